"""What a killed driver has left is swept away; nothing else is, and nothing that may be in use."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mmcaf.files.atomic import replacing
from mmstudy.driver.leftovers import sweep
from mmstudy.storage.folder import StudyFolder


def aged(path: Path, hours: float = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, times=(time.time() - 3600 * hours,) * 2)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "study")


def temporary(path: Path) -> Path:
    """A temporary file as a process leaves it that is killed while it writes."""
    with replacing(path) as beside:
        beside.touch()
    return aged(beside)


def test_temporary_files_of_every_table_and_of_trials_that_run_are_deleted(
    folder: StudyFolder,
) -> None:
    left = {
        temporary(path)
        for path in (
            folder.study,
            folder.journal,
            folder.trial(0),
            folder.trial_metrics(3),
            folder.trial_predictions(3),
            folder.confirmation(0, 1),
            folder.manifest,
            folder.checkpoint(3),
            folder.shared / "tokens.npy",
        )
    }
    assert {*sweep(folder, [3])} == left
    assert not [path for path in left if path.exists()]


@pytest.mark.parametrize(
    "name",
    [
        "00003.parquet",
        ".hidden",
        ".nfs000000000001",
        ".00003.parquet.tmp-mine",
        ".00003.parquet.tmp-host-1-0f3a9c1e.bak",
        "a.tmp-host-1-0f3a9c1e",
    ],
)
def test_other_names_stay(folder: StudyFolder, name: str) -> None:
    path = aged(folder.trials / name)
    assert sweep(folder, []) == []
    assert path.exists()


@pytest.mark.parametrize("hours", [0.9, -0.9])
def test_what_may_be_in_use_stays(folder: StudyFolder, hours: float) -> None:
    path = aged(folder.trials / ".00003.parquet.tmp-host-1-0f3a9c1e", hours)
    assert sweep(folder, []) == []
    assert path.exists()


def test_no_link_is_followed(folder: StudyFolder, tmp_path: Path) -> None:
    mine = aged(tmp_path / "mine" / ".x.tmp-host-1-0f3a9c1e")
    link = folder.trials / ".y.tmp-host-1-0f3a9c1e"
    folder.trials.mkdir(parents=True)
    link.symlink_to(mine)
    os.utime(link, times=(0, 0), follow_symlinks=False)
    assert sweep(folder, []) == [link]
    folder.metrics.symlink_to(mine.parent)
    assert sweep(folder, []) == []
    assert mine.exists()
