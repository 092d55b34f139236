"""Where everything of a study lies: names that studies on disk have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmstudy.errors import MMStudyError
from mmstudy.storage.paths import StudyPaths

PATHS = StudyPaths(Path("root/heads"))


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (PATHS.study, "study.json"),
        (PATHS.journal, "optuna.journal"),
        (PATHS.lock, "driver.lock"),
        (PATHS.stop, "driver.stop"),
        (PATHS.importance, "importance.json"),
        (PATHS.probe, "probe.json"),
        (PATHS.manifest, "segments/manifest.json"),
        (PATHS.evaluations, "evaluations.parquet"),
        (PATHS.shared, "artifacts/shared"),
        (PATHS.trial(7), "trials/00007.parquet"),
        (PATHS.trial_metrics(123456), "metrics/123456.parquet"),
        (PATHS.trial_predictions(7), "predictions/00007.val.parquet"),
        (PATHS.test_predictions(2), "predictions/final-002.test.parquet"),
        (PATHS.confirmation(7, 3), "confirmations/00007-003.parquet"),
        (PATHS.checkpoint(7), "artifacts/00007/last.safetensors"),
        (PATHS.claim(7), "artifacts/00007/claim.json"),
        (PATHS.explanations(7), "artifacts/00007/explanations"),
    ],
)
def test_a_file_lies_where_studies_on_disk_have_it(path: Path, where: str) -> None:
    assert path == Path("root/heads") / where


def test_a_study_is_named_by_its_folder() -> None:
    assert PATHS.name == "heads"


def test_stages_may_be_shared_with_other_studies(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path / "root" / "heads")
    assert paths.shared_with(None) == paths.shared
    assert paths.shared_with("../shared") == (tmp_path / "root" / "shared").resolve()


def test_a_study_written_by_the_first_version_has_these_names() -> None:
    old = StudyPaths(Path(__file__).parents[2] / "fixtures" / "study_v1")
    assert old.study.is_file()
    assert old.journal.is_file()
    assert old.trial(0).is_file()
    assert old.trial_metrics(0).is_file()
    assert old.trial_predictions(0).is_file()


class TestFiles:
    def test_they_come_in_order_and_none_where_there_is_no_folder(self, tmp_path: Path) -> None:
        paths = StudyPaths(tmp_path)
        assert paths.files(paths.trials, "*") == []
        paths.trials.mkdir()
        for name in ("00002.parquet", "00001.parquet", ".00003.parquet.tmp-x"):
            (paths.trials / name).touch()
        assert paths.files(paths.trials, "[0-9]*.parquet") == [paths.trial(1), paths.trial(2)]

    def test_what_is_no_folder_is_told(self, tmp_path: Path) -> None:
        """Else its trials would seem never to have run."""
        paths = StudyPaths(tmp_path)
        os.mkfifo(paths.trials)
        paths.metrics.touch()
        paths.segments.symlink_to(tmp_path)
        for folder, kind in ((paths.trials, "a FIFO"), (paths.metrics, "a file")):
            with pytest.raises(MMStudyError, match=f"{folder.name} is {kind}"):
                paths.files(folder, "*")
        with pytest.raises(MMStudyError, match="is a FIFO"):
            paths.check_folders()
        paths.trials.unlink()
        paths.metrics.unlink()
        with pytest.raises(MMStudyError, match="segments is a link"):
            paths.check_folders()

    def test_what_is_there_is_known_and_what_cannot_be_known_is_told(self, tmp_path: Path) -> None:
        paths = StudyPaths(tmp_path)
        assert not paths.has(paths.trial(0))
        paths.trials.mkdir()
        paths.trial(0).symlink_to("nowhere")
        assert paths.has(paths.trial(0))
        with pytest.raises(MMStudyError, match="Cannot look into"):
            paths.has(tmp_path / ("x" * 300))

    def test_a_name_too_long_for_the_system_is_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(MMStudyError, match="Look whose it is"):
            StudyPaths(tmp_path).files(tmp_path / ("x" * 300), "*")
