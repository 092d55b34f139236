"""`mmstudy check` says what is wrong, ends with 4, and repairs a study when asked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.volumes import VolumeSpec
from mmstudy.study import Study
from support.recorded_study import run_quick, truth

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def study(cohort: Cohort, tmp_path: Path) -> Study:
    return run_quick(cohort, tmp_path / "root", 3)


def test_a_whole_study_is_whole(command: Command, study: Study) -> None:
    code, out, err = command("check", "s", "--root", str(study.folder.root.parent))
    assert (code, out.strip()) == (0, "")
    assert err.strip() == "s is whole."


def test_a_damaged_one_is_told_repaired_and_gone_on_with(
    command: Command, study: Study, cohort: Cohort
) -> None:
    before, where = truth(study), str(study.folder.root)
    study.folder.journal.unlink()
    study.folder.trial_metrics(1).write_bytes(b"")
    code, out, err = command("check", where, "-f", "json")
    assert code == 4
    assert [row["what"] for row in json.loads(out)] == ["metrics/00001.parquet", "trial 1"]
    assert "is not whole; things that are wrong: 2" in err
    assert not study.folder.quarantine.exists()  # nothing was changed
    code, out, err = command("check", where, "--repair", "-f", "json")
    assert code == 0
    assert "optuna.journal" in {row["what"] for row in json.loads(out)}
    assert "is put in order" in err
    assert command("check", where)[0] == 0
    again = run_quick(cohort, study.folder.root.parent, 3)
    for one, other in zip(truth(again), before, strict=True):
        assert one.equals(other)


def test_a_cohort_is_checked_by_case(command: Command, cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    shutil.copytree(cohort.folder, folder)
    assert command("check", str(folder))[0] == 0
    case, name = cohort.patients.select("case", "volume").row(3)
    path = folder / "volumes" / VolumeSpec(cohort.in_plane_px).digest / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path)
    code, out, err = command("check", str(folder), "-f", "json")
    assert code == 4
    assert case in out
    assert "is not whole; things that are wrong: 1" in err
    code, _, err = command("check", str(folder), "--repair")
    assert (code, "ingest it again" in err) == (2, True)


def test_a_cohort_of_which_a_file_is_something_else_is_one(
    command: Command, cohort: Cohort, tmp_path: Path
) -> None:
    (tmp_path / "cohort.json").symlink_to(cohort.folder / "cohort.json")
    code, _, err = command("check", str(tmp_path))
    assert (code, "cohort.json is a link" in err) == (2, True)
    (tmp_path / "cohort.json").unlink()
    (tmp_path / "cohort.json").mkdir()
    code, _, err = command("check", str(tmp_path))
    assert (code, "cohort.json is a folder" in err) == (2, True)


def test_what_is_neither_is_told(command: Command, tmp_path: Path) -> None:
    code, _, err = command("check", "none", "--root", str(tmp_path))
    assert code == 1
    assert "No study" in err
