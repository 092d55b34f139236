"""A study folder is data, never a command: what a received one cannot do."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.files.atomic import StorageError, locked, open_for_locking, write_json
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.search.journal import open_journal
from mmstudy.storage.about import cohort_place
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.lock import driver_lock, holder
from mmstudy.study import Study, found_studies, open_study
from support.made_study import made_study
from support.opened_files import opened

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "root").mkdir()
    return made_study(tmp_path / "root")


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A file of the user outside the study; whatever happens, it stays as it is."""
    path = tmp_path / "precious.txt"
    path.write_text("do not lose this")
    yield path
    assert path.read_text() == "do not lose this"


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A server on loopback that nobody may call, and who did."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    connection, caller = server.accept()
                except TimeoutError:
                    continue
                calls.append(caller)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield int(server.getsockname()[1]), calls
        over.set()
        thread.join()


class TestLinks:
    def test_a_lock_that_is_a_link_empties_nothing(self, study: Study, precious: Path) -> None:
        study.folder.lock.symlink_to(precious)
        with pytest.raises(StorageError, match="is a link"), driver_lock(study.folder):
            pytest.fail("it was taken")

    @pytest.mark.parametrize("given", [["compact"], ["rm", "--yes"]])
    def test_no_command_follows_it(
        self, study: Study, precious: Path, given: list[str], command: Command
    ) -> None:
        study.folder.lock.symlink_to(precious)
        name, *options = given
        code, _, told = command(name, str(study.folder.root), *options)
        assert code == 1
        assert "driver.lock is a link" in told
        assert study.folder.study.exists()

    def test_looking_at_it_does_no_harm(self, study: Study, precious: Path) -> None:
        study.folder.lock.symlink_to(precious)
        assert not study.live()

    def test_a_lock_that_is_a_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "driver.lock")
        with pytest.raises(StorageError, match="no regular file"):
            open_for_locking(tmp_path / "driver.lock")

    def test_the_lock_of_a_file_follows_no_link(self, tmp_path: Path, precious: Path) -> None:
        (tmp_path / ".x.lock").symlink_to(precious)
        with pytest.raises(StorageError, match="is a link"), locked(tmp_path / "x"):
            pytest.fail("it was taken")

    def test_a_journal_that_is_a_link_is_not_written(self, study: Study, precious: Path) -> None:
        study.folder.journal.unlink(missing_ok=True)
        study.folder.journal.symlink_to(precious)
        with pytest.raises(UsageError, match="is a link"):
            open_journal(study.folder.journal)

    def test_a_temporary_name_cannot_be_known_before(self, tmp_path: Path, precious: Path) -> None:
        """By its old name, of host and process, a link could be there before the file is."""
        old = f".x.json.tmp-{socket.gethostname()}-{os.getpid()}"
        (tmp_path / old).symlink_to(precious)
        write_json(tmp_path / "x.json", {"a": 1})
        assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}

    def test_a_driver_that_ends_leaves_a_lock_that_others_can_take(self, study: Study) -> None:
        with driver_lock(study.folder):
            assert holder(study.folder) == (socket.gethostname(), os.getpid())
        assert holder(study.folder) is None
        assert study.folder.lock.stat().st_mode & 0o077 == 0


class TestAddresses:
    def test_a_mark_makes_no_folder_somebody_else_s(
        self, study: Study, listener: tuple[int, list[object]], command: Command
    ) -> None:
        port, calls = listener
        stranger = f"s3://bucket/x?endpoint_override=127.0.0.1:{port}&scheme=http"
        for folder in (study.folder.root, study.folder.root.parent):
            (folder / ".address").write_text(stranger)
        root = str(study.folder.root.parent)
        assert command("ls", "--root", root)[0] == 0
        assert command("trials", study.name, "--root", root)[0] == 0
        assert study.folder.working() == study.folder
        assert study.folder.trials.is_dir()
        assert not calls

    def test_no_cohort_is_fetched_from_where_a_study_says(
        self, study: Study, listener: tuple[int, list[object]]
    ) -> None:
        port, calls = listener
        link = f"s3://bucket/c?endpoint_override=127.0.0.1:{port}&scheme=http"
        there = Study(study.folder, replace(study.about, cohort=link))
        with pytest.raises(MMStudyError, match="give it with --cohort"):
            there.cohort()
        assert not calls

    def test_the_cohort_of_a_stored_study_may_lie_in_its_own_bucket(
        self, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
        stored = StudyFolder.at("s3://bucket/studies/s?region=eu-central-1")
        own = replace(study.about, cohort="s3://bucket/cohort?region=eu-central-1")
        assert cohort_place(own, stored).is_relative_to(tmp_path / "cache" / "cohort")
        for other in ("s3://other/cohort?region=eu-central-1", "s3://bucket/cohort?scheme=http"):
            with pytest.raises(MMStudyError, match="does not decide"):
                cohort_place(replace(study.about, cohort=other), stored)

    @pytest.mark.parametrize(
        "way", ["../../../elsewhere", "../../a/b", "/etc", "..", "../..", "../.", "a", "../linked"]
    )
    def test_a_study_leads_to_no_cohort_but_beside_it_or_its_root(
        self, study: Study, tmp_path: Path, way: str
    ) -> None:
        (study.folder.root.parent / "linked").symlink_to(tmp_path)
        (study.folder.root / "a").mkdir()
        with opened() as files, pytest.raises(MMStudyError, match="does not decide what is read"):
            Study(study.folder, replace(study.about, cohort=way, cohort_digest="0")).cohort()
        assert not [file for file in files if "cohort" in Path(file).name]

    @pytest.mark.parametrize("way", ["../cohort", "../../cohort", "../../../elsewhere"])
    def test_a_cohort_that_the_user_named_is_found_again(
        self, study: Study, cohort: Cohort, tmp_path: Path, way: str
    ) -> None:
        named = tmp_path / "named"
        shutil.copytree(cohort.folder, named)
        told = replace(study.about, cohort=way, cohort_digest=cohort.digest)
        asked = Study(study.folder, told)
        asked.cohort(named)
        assert asked.cohort().folder == named
        copy = study.folder.root / way
        shutil.copytree(cohort.folder, copy)
        beside = way != "../../../elsewhere"
        assert asked.cohort().folder == (copy.resolve() if beside else named)

    @pytest.mark.parametrize("link", ["../../elsewhere", "/etc", "..", "../.hidden", "a/../../b"])
    def test_shared_stages_lie_beside_the_study_or_in_it(self, study: Study, link: str) -> None:
        assert study.folder.shared_with(link) == study.folder.shared

    def test_shared_stages_of_one_root_are_found(self, study: Study, tmp_path: Path) -> None:
        root = study.folder.root.parent
        assert study.folder.shared_with("../bench-shared") == root.resolve() / "bench-shared"
        (root / "linked").symlink_to(tmp_path)
        assert study.folder.shared_with("../linked") == study.folder.shared


class TestDamage:
    @pytest.mark.parametrize(
        "change",
        [
            {"spec": []},
            {"spec": "x"},
            {"split": {"folds": [{"val": []}], "test": []}},
            {"split": []},
            {"split": {"folds": 3, "test": []}},
            {"n_cases": [1]},
        ],
        ids=str,
    )
    def test_one_bad_study_does_not_hide_the_others(
        self, study: Study, change: dict[str, Any], command: Command
    ) -> None:
        bad = study.folder.root.parent / "bad"
        bad.mkdir()
        raw = json.loads(study.folder.study.read_text())
        (bad / "study.json").write_text(json.dumps(raw | change))
        found = {one.folder.name: one for one in found_studies(bad.parent)}
        assert found[study.name].study is not None
        assert "study.json is damaged" in str(found["bad"].fault)
        code, out, told = command("ls", "--root", str(bad.parent), "-f", "json")
        assert code == 0
        assert [row["study"] for row in json.loads(out)] == [study.name]
        assert "bad cannot be opened." in told

    def test_a_table_that_cannot_be_read_does_not_hide_the_others(
        self, study: Study, command: Command
    ) -> None:
        bad = made_study(study.folder.root.parent, name="bad")
        bad.folder.trial(0).write_bytes(b"PAR1 no more")
        code, out, told = command("ls", "--root", str(study.folder.root.parent), "-f", "json")
        assert code == 0
        assert [row["study"] for row in json.loads(out)] == [study.name]
        assert "bad cannot be read." in told
        assert "00000.parquet" in told

    def test_a_spec_without_anything_is_still_listed(self, study: Study, command: Command) -> None:
        raw = json.loads(study.folder.study.read_text())
        study.folder.study.write_text(json.dumps(raw | {"spec": {}}))
        assert command("ls", "--root", str(study.folder.root.parent))[0] == 0

    @pytest.mark.parametrize(
        "entry",
        [
            {"file": "trials-00000-00001.parquet", "numbers": [[0, 10_000_000_000]]},
            {"file": "trials-00000-00001.parquet", "numbers": [[-5, 1]]},
            {"file": "../../secret.parquet", "numbers": [[0, 1]]},
            {"file": "/etc/passwd", "numbers": [[0, 1]]},
            {"file": "metrics-00000-00001.parquet", "numbers": [[0, 1]]},
            {"numbers": [[0, 1]]},
            {"file": "trials-00000-00001.parquet", "numbers": "all"},
            [],
        ],
        ids=str,
    )
    def test_a_manifest_cannot_name_what_it_likes(self, study: Study, entry: Any) -> None:
        study.folder.segments.mkdir(exist_ok=True)
        study.folder.manifest.write_text(json.dumps({"trials": [entry]}))
        with pytest.raises(MMStudyError, match=r"manifest.json is damaged: .* Copy"):
            open_study(study.folder.root).trials()
