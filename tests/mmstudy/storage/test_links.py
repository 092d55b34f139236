"""No file of a study is read, written or deleted through a link in its folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError
from mmstudy.errors import MMStudyError
from mmstudy.storage.compaction import compact
from mmstudy.storage.examination import examine
from mmstudy.storage.explanations import load
from mmstudy.storage.schema import TRIALS
from mmstudy.storage.stop import ask_to_stop
from mmstudy.study import Study, open_study
from support.whole_study import EXPLAINED, whole_study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "root").mkdir()
    return whole_study(tmp_path / "root")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the user with a file in it; whatever happens, it stays as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "00000.parquet").write_text("do not lose this")
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "00000.parquet": "do not lose this"
    }


def replaced(path: Path, target: Path) -> None:
    """In the place of `path`, a link to `target`."""
    if path.exists():
        path.rename(path.with_name(f".{path.name}.before"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def looked_at(folder: Path) -> None:
    study = open_study(folder)
    study.importances()
    study.trials()


class TestReading:
    @pytest.mark.parametrize("name", ["study.json", "importance.json", "segments/manifest.json"])
    def test_a_json_that_is_a_link_is_refused(self, study: Study, name: str) -> None:
        path = study.folder.root / name
        replaced(path, path.with_name(f".{path.name}.before"))
        with pytest.raises(MMStudyError, match=rf"{path.name} is a link"):
            looked_at(study.folder.root)

    @pytest.mark.parametrize("name", ["study.json", "importance.json", "segments/manifest.json"])
    def test_a_pipe_in_its_place_does_not_hang(self, study: Study, name: str) -> None:
        path = study.folder.root / name
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(MMStudyError, match="is a FIFO"):
            looked_at(study.folder.root)

    @pytest.mark.parametrize("name", ["segments", "segments/trials.parquet", "trials"])
    def test_a_table_behind_a_link_is_refused(self, study: Study, name: str, outside: Path) -> None:
        path = study.folder.root / name
        into = path.with_name(f".{path.name}.before") if path.exists() else outside
        replaced(path, into)
        with pytest.raises(MMStudyError, match=rf"{path.name} is a link"):
            study.trials()

    def test_a_table_that_is_a_pipe_does_not_hang(self, study: Study) -> None:
        study.folder.trials.mkdir(exist_ok=True)
        os.mkfifo(study.folder.trial(99))
        with pytest.raises(MMStudyError, match=r"00099\.parquet is a FIFO"):
            study.trials()

    def test_explanations_behind_a_link_are_not_read(self, study: Study, outside: Path) -> None:
        best = int(study.trials()["number"][0])
        found = load(study.folder, best)
        assert found is not None
        replaced(study.folder.artifacts, study.folder.root / ".artifacts.before")
        with pytest.raises(MMStudyError, match="artifacts is a link"):
            load(study.folder, best)
        assert found.picture(study.folder, EXPLAINED) is None

    def test_shared_stages_behind_a_link_are_not_used(self, study: Study, outside: Path) -> None:
        for linked in (study.folder.shared, study.folder.artifacts):
            replaced(linked, outside)
            with pytest.raises(DataError, match=f"{linked.name} is a link"):
                study.folder.shared_with("../../elsewhere")

    def test_the_study_itself_may_be_a_link(self, study: Study, tmp_path: Path) -> None:
        (tmp_path / "mine").symlink_to(study.folder.root)
        assert open_study(tmp_path / "mine").trials().equals(study.trials())


class TestWriting:
    def test_nothing_is_written_into_a_folder_behind_a_link(
        self, study: Study, outside: Path
    ) -> None:
        folder = study.folder
        row = folder.read_table("trials").to_dicts()[0]
        for linked in (folder.trials, folder.artifacts, folder.confirmations):
            replaced(linked, outside)
        writes: list[Callable[[], None]] = [
            lambda: folder.put_rows(folder.trial(0), TRIALS, [row]),
            lambda: folder.add_rows(folder.confirmation(0, 0), TRIALS, [row]),
            lambda: folder.put_json(folder.claim(0), {}),
            lambda: folder.put_text(folder.trial_artifacts(0) / "error.txt", "x"),
            lambda: folder.put(folder.network(0, 0), lambda path: path.touch()),
            lambda: folder.hand_over(folder.checkpoint(0), lambda path: path.touch()),
            lambda: folder.drop(folder.trial(0)),
        ]
        for write in writes:
            with pytest.raises((StorageError, MMStudyError), match="is a link"):
                write()

    def test_a_link_in_a_files_place_is_replaced_not_followed(
        self, study: Study, outside: Path
    ) -> None:
        study.folder.importance.unlink()
        study.folder.importance.symlink_to(outside / "00000.parquet")
        study.folder.put_json(study.folder.importance, {"complete": 0, "rows": []})
        assert not study.folder.importance.is_symlink()

    def test_what_lies_behind_a_link_is_not_put_aside(self, study: Study, outside: Path) -> None:
        replaced(study.folder.predictions, outside)
        with pytest.raises(StorageError, match="predictions is a link"):
            study.folder.put_aside(study.folder.predictions / "00000.parquet", "damaged")

    def test_nothing_is_put_aside_behind_a_link(self, study: Study, outside: Path) -> None:
        replaced(study.folder.quarantine, outside)
        with pytest.raises(StorageError, match="quarantine is a link"):
            study.folder.put_aside(study.folder.importance, "damaged")
        assert study.folder.importance.exists()

    @pytest.mark.parametrize("name", ["trials", "segments", "confirmations", "quarantine"])
    def test_a_study_is_not_put_in_order_behind_a_link(
        self, study: Study, outside: Path, name: str
    ) -> None:
        """None of its records would seem to be there."""
        replaced(study.folder.root / name, outside)
        with pytest.raises(MMStudyError, match=f"{name} is a link"):
            examine(study.folder, study.folds)

    def test_a_request_to_stop_makes_no_file_elsewhere(self, study: Study, outside: Path) -> None:
        study.folder.stop.symlink_to(outside / "new")
        ask_to_stop(study.folder)
        assert study.folder.stop.is_file()

    def test_gathering_follows_no_link(self, study: Study, outside: Path) -> None:
        replaced(study.folder.trials, outside)
        with pytest.raises(MMStudyError, match="trials is a link"):
            compact(study.folder)


class TestDeleting:
    def test_a_link_is_deleted_itself(self, study: Study, outside: Path, command: Command) -> None:
        (study.folder.root / "linked").symlink_to(outside)
        (study.folder.root / "one").symlink_to(outside / "00000.parquet")
        study.folder.artifacts.joinpath("deep").symlink_to(outside)
        assert command("rm", str(study.folder.root), "--yes")[0] == 0
        assert not study.folder.root.exists()
