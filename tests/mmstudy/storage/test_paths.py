"""Where everything of a study lies: names that studies on disk have."""

from __future__ import annotations

from pathlib import Path

import pytest

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
