"""Real studies on Ray: pruned, killed, interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from mmcaf.data.cohort import Cohort
from mmstudy.followup.rerun import rerun
from mmstudy.study import Study, open_study
from support.tiny_spec import TINY_SPEC

pytestmark = pytest.mark.slow

LONG = {"train": {"epochs": 6, "optimizer": "adamw"}, "search": {"trials": 5, "startup_trials": 2}}


class Command:
    """`mmstudy run` in a process of its own, on a spec that is the tiny one with changes."""

    def __init__(self, cohort: Cohort, folder: Path, **changes: Any) -> None:
        (folder / "spec.yaml").write_text(yaml.safe_dump(deepcopy(TINY_SPEC) | changes))
        self.study = folder / "s"
        self.arguments = [
            sys.executable,
            "-P",  # as the script does, which does not import from where it is typed
            "-m",
            "mmstudy.cli.main",
            "run",
            str(folder / "spec.yaml"),
        ]
        self.arguments += ["--cohort", str(cohort.folder), "--root", str(folder), "--name", "s"]

    def stopped_by(self, stop: Callable[[subprocess.Popen[str]], object]) -> tuple[int, str]:
        """Begin, stop it as soon as an epoch is recorded; exit code and stderr."""
        process = subprocess.Popen(
            self.arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not [*self._metrics()]:
            time.sleep(0.05)
        stop(process)
        _, stderr = process.communicate(timeout=120)
        return process.returncode, stderr

    def finished(self, cwd: Path | None = None) -> Study:
        """Run to the end."""
        done = subprocess.run(self.arguments, capture_output=True, text=True, check=False, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return open_study(self.study)

    def _metrics(self) -> Iterator[Path]:
        return (self.study / "metrics").glob("[0-9]*.parquet")


def assert_exact(study: Study, cohort: Cohort) -> None:
    """Five complete trials, every epoch once, numbers as an uninterrupted run would give them."""
    assert study.counts() == {"running": 0, "complete": 5, "pruned": 0, "fail": 0}
    places = study.metrics().select("number", "fold", "epoch").rows()
    assert places == [(n, f, e) for n in range(5) for f in range(2) for e in range(6)]
    assert all(row["same"] for row in rerun(study, 0, cohort.folder))


def test_a_killed_driver_is_continued_exactly(cohort: Cohort, tmp_path: Path) -> None:
    command = Command(cohort, tmp_path, **LONG)
    command.stopped_by(lambda process: process.kill())
    stranger = tmp_path / "stranger"  # a folder to stand in, whose files are not to be run
    stranger.mkdir()
    for name in ("cv2", "torch", "polars", "safetensors", "mmcaf"):
        (stranger / f"{name}.py").write_text("open('it-ran', 'w'); raise SystemExit(1)\n")
    study = command.finished(stranger)
    assert not (stranger / "it-ran").exists()
    assert_exact(study, cohort)
    # From the own checkpoint: where the first attempt had recorded an epoch, the second does
    # not begin with that.
    epochs = study.metrics()
    had = epochs.filter(pl.col("attempt") == 1)["number"].unique().to_list()
    again = epochs.filter(pl.col("attempt") > 1, pl.col("number").is_in(had))
    assert again.height
    assert again.group_by("number").first().filter(fold=0, epoch=0).is_empty()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_driver_lets_epochs_end_and_goes_on(
    cohort: Cohort, tmp_path: Path, number: signal.Signals
) -> None:
    command = Command(cohort, tmp_path, **LONG)
    code, stderr = command.stopped_by(lambda process: process.send_signal(number))
    assert code == 130
    assert "the same command goes on from there" in stderr
    stopped = open_study(command.study)
    assert stopped.counts()["fail"] == 0
    assert stopped.counts()["running"] >= 1
    assert_exact(command.finished(), cohort)


def test_stop_is_heard_by_the_driver_from_another_process(cohort: Cohort, tmp_path: Path) -> None:
    command = Command(cohort, tmp_path, **LONG)
    stop = [sys.executable, "-m", "mmstudy.cli.main", "stop", str(command.study)]
    code, stderr = command.stopped_by(lambda _: subprocess.run(stop, check=True))
    assert code == 130
    assert "the same command goes on from there" in stderr
    assert open_study(command.study).counts()["fail"] == 0


def test_trials_are_pruned(cohort: Cohort, tmp_path: Path) -> None:
    changes = {
        "space": {"train.lr": {"float": [1e-4, 1e-1], "log": True}},
        "train": {"epochs": 3, "optimizer": "adamw"},
        "search": {"trials": 8, "sampler": "random"},
        "pruning": {"grace_epochs": 1, "reduction": 2},
    }
    study = Command(cohort, tmp_path, **changes).finished()
    counts = study.counts()
    assert counts["complete"] + counts["pruned"] == 8
    assert counts["pruned"] >= 1
    short = study.trials().filter(state="pruned")
    assert all(reason for reason in short["reason"])
    assert all(study.metrics(number).height < 6 for number in short["number"])
