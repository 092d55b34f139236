"""Everything goes wrong at once, and the record is exact in the end."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mmcaf.data.cohort import Cohort
from mmstudy.search.optuna_study import Search
from mmstudy.search.scoring import curve_of, objective_value
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.schema import State
from mmstudy.study import open_study
from mmstudy.trial.task import TrialTask
from support import cheap_trial
from support.tiny_spec import TINY_SPEC

pytestmark = pytest.mark.slow

TRIALS, DRIVER_KILLS, WORKER_KILLS = 24, 5, 10
SPEC = deepcopy(TINY_SPEC) | {
    "train": {"epochs": 5},
    "space": {"train.lr": {"float": [1e-3, 3.0], "log": True}},
    "search": {"trials": TRIALS, "startup_trials": 5},
    "pruning": {"grace_epochs": 2, "reduction": 2},
    "limits": {"failed_trials": 8, "epoch_minutes": 0.1},
}


class Driver:
    """Runs the study until it is killed or done."""

    def __init__(self, folder: Path, cohort: Cohort) -> None:
        (folder / "spec.yaml").write_text(yaml.safe_dump(SPEC))
        self._command = [sys.executable, "-m", "support.chaos_driver", str(folder / "spec.yaml")]
        self._command += [str(cohort.folder), str(folder)]
        # The driver and its workers find `support` as this process does.
        tests = str(Path(cheap_trial.__file__).parents[1])
        paths = [tests, os.environ.get("PYTHONPATH", "")]
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self._trials, self._log = folder / "s" / "metrics", folder / "driver.log"
        self.start()

    def start(self) -> None:
        self._seen = self._marks()
        with self._log.open("w") as log:
            self.process = psutil.Popen(
                self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=log
            )

    def working(self) -> bool:
        """Whether this driver's trials have recorded an epoch."""
        return self._marks() != self._seen

    def workers(self) -> list[psutil.Process]:
        """Processes that hold a trial."""
        try:
            family = self.process.children(recursive=True)
            return [one for one in family if "ImplicitFunc" in " ".join(one.cmdline())]
        except psutil.Error:
            return []

    def finish(self) -> None:
        """Wait for the end."""
        assert self.process.wait(timeout=300) == 0, self._log.read_text()

    def _marks(self) -> dict[str, int]:
        files = self._trials.glob("[0-9]*.parquet")
        return {path.name: path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="module")
def folder(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was killed at random until it was done."""
    chance = random.Random(5)  # noqa: S311 - no secret
    folder = tmp_path_factory.mktemp("chaos")
    driver, drivers_killed, workers_killed = Driver(folder, cohort), 0, 0
    deadline = time.monotonic() + 900
    while driver.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        if not driver.working():
            continue
        for _ in range(chance.randint(1, 3)):
            time.sleep(chance.uniform(0.1, 1.0))
            workers = driver.workers()
            if workers and workers_killed < WORKER_KILLS:
                chance.choice(workers).kill()
                workers_killed += 1
        if drivers_killed < DRIVER_KILLS:
            time.sleep(chance.uniform(0, 1.5))
            driver.process.kill()
            driver.process.wait()
            drivers_killed += 1
            driver.start()
    driver.finish()
    assert (drivers_killed, workers_killed) == (DRIVER_KILLS, WORKER_KILLS)
    return folder / "s"


def test_every_trial_is_accounted_for(folder: Path) -> None:
    rows = FolderLedger(StudyFolder(folder)).trials()
    numbers = [row.number for row in rows]
    assert len(set(numbers)) == len(numbers)
    states = [row.state for row in rows]
    assert State.RUNNING not in states
    assert sum(state in (State.COMPLETE, State.PRUNED) for state in states) == TRIALS
    told = Search(StudyFolder(folder).journal, parse_spec(SPEC)).told()
    assert {n: one.state for n, one in told.items()} == dict(zip(numbers, states, strict=True))


def test_only_what_had_to_fail_failed_with_its_reason(folder: Path) -> None:
    rows = {row.number: row for row in FolderLedger(StudyFolder(folder)).trials()}
    failed = {number: row.reason for number, row in rows.items() if row.state is State.FAIL}
    reasons = {
        cheap_trial.ALWAYS_FAILS: "ValueError: on purpose, every time",
        cheap_trial.BECOMES_NAN: "not finite: the loss became nan",
        cheap_trial.OUT_OF_MEMORY: "oom: Unable to allocate",
        # While it hangs its worker may be the one that is killed, again and again.
        cheap_trial.HANGS: "timeout: no epoch was finished within 6 s|its process died 4 times",
    }
    assert failed.keys() == reasons.keys()
    for number, reason in reasons.items():
        assert re.match(reason, failed[number] or "")


def test_every_epoch_of_every_complete_trial_is_there_once(folder: Path) -> None:
    study = open_study(folder)
    complete = study.trials().filter(state="complete")["number"]
    assert len(complete) >= 5
    for number in complete:
        places = study.metrics(number).select("fold", "epoch").rows()
        assert places == [(fold, epoch) for fold in range(2) for epoch in range(5)]


def test_the_best_trial_is_the_best_of_the_metrics_files(folder: Path) -> None:
    study, ledger = open_study(folder), FolderLedger(StudyFolder(folder))
    values = {
        row.number: objective_value(curve_of(ledger.epochs(row.number)), 2)
        for row in ledger.trials()
        if row.state is State.COMPLETE
    }
    best = study.best_trial()
    assert best is not None
    assert best["number"] == max(values, key=lambda number: (values[number][0], -number))
    assert (best["value"], best["best_epoch"]) == values[best["number"]]


def test_five_complete_trials_run_again_give_the_stored_values(
    folder: Path, tmp_path: Path
) -> None:
    ledger = FolderLedger(StudyFolder(folder))
    complete = [row for row in ledger.trials() if row.state is State.COMPLETE]
    for row in sorted(complete, key=lambda row: -row.attempts)[:5]:
        task = TrialTask(
            study=str(tmp_path),
            cohort="",
            number=row.number,
            params=json.dumps(json.loads(row.params) | {"seconds": 0}),
            seed=row.seed,
            threads=1,
            device="cpu",
        )
        again: list[dict[str, Any]] = [one.rates for one in cheap_trial.run_cheap(task)]
        assert again == [one.rates for one in ledger.epochs(row.number)]
