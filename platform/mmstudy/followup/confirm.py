"""The best few trials again, over new splits and training seeds: what is left of their value.

That takes out luck of training and of dealing folds, and leaves luck of the patients, who are the
same in every run (`Study.luck` says how much is which).

A run trains a trial's params on other folds of the same patients, the test set still set aside, and
takes the AUROC at the trial's own best epoch: nothing is chosen again. Run k of every trial has the
same folds, so trials can be compared run by run. A run that was stopped goes on with the fold it
had reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.data.cohort import Cohort
from mmcaf.data.verification import check
from mmcaf.errors import CohortError
from mmcaf.files.atomic import StorageError
from mmstudy.driver.contract import Runner
from mmstudy.driver.drive import adapted
from mmstudy.errors import (
    Interrupted,
    MMStudyError,
    StudyHalted,
    TooManyFailures,
    TrialFailed,
    UsageError,
)
from mmstudy.followup.rerun import split_of, task_of
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.lock import driver_lock
from mmstudy.storage.schema import CONFIRMATIONS, MOST_TRIALS, PREDICTIONS, RATES, EpochRow
from mmstudy.storage.stop import stoppable
from mmstudy.study import Study, open_study
from mmstudy.trial.compute import derive_seed, load_plan, train
from mmstudy.trial.task import FoldEpoch, TrialTask

__all__ = ["MOST_RUNS", "confirm", "run_confirmation"]

MOST_RUNS = 1000
"""Of one trial: its interval would be no narrower in any way that matters."""


def confirm(
    study: Study,
    runner: Runner,
    *,
    cohort: str | Path | None = None,
    top: int = 3,
    seeds: int = 5,
    weights: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Run what is missing of `seeds` runs of the `top` trials; one row per confirmed trial.

    Trials that need SAM's weights have them from the folder `weights`.

    Raises:
        MMStudyError: there is no complete trial, one needs weights, or nothing can be written any
            more.
        CohortError: a volume is not what was ingested.
        TooManyFailures: a run failed; the others were made.
        UsageError: a driver runs the study, or a number is out of range.
        Interrupted: the user stopped it; the same call goes on from there.
    """
    for name, number, most in (("top", top, MOST_TRIALS), ("seeds", seeds, MOST_RUNS)):
        if not 1 <= number <= most:
            raise UsageError(f"{name} must be from 1 to {most}, got {number}.")
    spec = study.about.spec
    chosen = study.highest(top)
    if not chosen:
        raise MMStudyError(f"{study.name} has no complete trial to confirm.")
    own = study.cohort(cohort)
    check(own, progress=progress)
    folder = study.folder.working()
    with driver_lock(folder), runner:
        folder.refresh(at_once=True)
        resources = adapted(spec.resources, runner, say)
        device = "cuda" if resources.gpu else "cpu"
        tasks = [
            replace(task, device=device, gpu=resources.gpu, threads=resources.cpu)
            for task in _tasks(Study(folder, study.about), own, chosen, seeds, weights)
        ]
        conductor = _Conductor(tasks, progress)
        try:
            with stoppable(folder, conductor.interrupt, lambda: conductor.interrupted):
                runner.run(conductor, run_confirmation, resources)
        except KeyboardInterrupt:
            conductor.interrupt()
    if conductor.interrupted:
        raise Interrupted("Stopped. Folds that are done are stored; the same command goes on.")
    if conductor.halted:
        raise MMStudyError(conductor.halted)
    if conductor.faults:
        raise TooManyFailures(f"{len(conductor.faults)} runs failed: {conductor.faults[0]}")
    study.refresh()
    return summary(study)


def summary(study: Study) -> list[dict[str, Any]]:
    """Confirmed trials, the best first: the value of the search beside the confirmed one.

    The standard error of training falls with the number of runs, that of patients does not; the
    share is that of patients in the variance. All three are None where the runs do not tell.
    """
    confirmed, values = study.confirmed(), dict(study.trials().select("number", "value").rows())
    luck = {number: study.luck(number) for number in confirmed}
    count = dict(study.confirmations().group_by("number").agg(pl.col("run").n_unique()).rows())
    return [
        {
            "number": number,
            "value": values[number],
            "confirmed": found.mean,
            "low": found.low,
            "high": found.high,
            "runs": count[number],
            "folds": found.n,  # over all runs
            "training_error": of.training if (of := luck[number]) else None,
            "patients_error": of.patients if of else None,
            "patients_share": of.share if of else None,
        }
        for number, found in confirmed.items()
    ]


def run_confirmation(task: TrialTask) -> Iterator[EpochRow | None]:
    """One confirming run; writes a row per fold as it ends.

    Raises:
        TrialFailed: anything that would happen again on a second try.
        StudyHalted: nothing can be written any more, or the cohort is not what it was.
    """
    try:
        yield from _computed(task)
    except StorageError as error:
        raise StudyHalted(error.strerror) from error
    except CohortError as error:
        raise StudyHalted(str(error)) from error
    except Exception as error:
        raise TrialFailed(f"{type(error).__name__}: {error}") from error


def _computed(task: TrialTask) -> Iterator[EpochRow | None]:
    number, run = task.confirms or (task.number, 0)
    folder = StudyFolder.at(task.study, "trial")
    path = folder.confirmation(number, run)
    folder.fetch(path, folder.confirmation_cases(number, run))
    done = len({row["fold"] for row in folder.rows(path, CONFIRMATIONS)})
    study = open_study(task.study)
    split = split_of(study, replace(task, number=number))
    seconds = 0.0  # of the fold
    for epoch in train(load_plan(task), first_fold=done, last_epoch=task.last_epoch, split=split):
        if epoch is None:
            yield None
            continue
        seconds += epoch.report.seconds
        if epoch.report.epoch == task.last_epoch:
            row = _row(task, number, run, epoch, seconds)
            _keep_cases(folder, number, run, epoch)
            folder.add_rows(path, CONFIRMATIONS, [row])
            seconds = 0.0
        yield epoch.row(task.number)


def _tasks(
    study: Study, cohort: Cohort, numbers: list[int], seeds: int, weights: str | Path | None
) -> Iterator[TrialTask]:
    index, spec = 0, study.about.spec
    for run in range(seeds):
        for number in numbers:
            rows = study.folder.rows(study.folder.confirmation(number, run), CONFIRMATIONS)
            if len({row["fold"] for row in rows}) < study.folds:
                yield replace(
                    task_of(study, number, cohort, weights=weights),
                    number=index,
                    seed=derive_seed(spec.search.seed, "confirm", number, run),
                    split_seed=derive_seed(spec.protocol.seed, "confirm", run),
                    confirms=(number, run),
                    last_epoch=int(study.trial(number)["best_epoch"]),
                    epoch_seconds=spec.limits.epoch_minutes * 60,
                )
                index += 1


class _Conductor:
    """Hands out a fixed list of runs."""

    def __init__(self, tasks: list[TrialTask], progress: Callable[[str, int, int], None]) -> None:
        self._waiting, self._total, self._alive = [*tasks], len(tasks), 0
        self._progress = progress
        self.faults: list[str] = []
        self.halted: str | None = None
        self.interrupted = False

    def next_task(self) -> TrialTask | None:
        if self.interrupted or not self._waiting:
            return None
        self._alive += 1
        return self._waiting.pop(0)

    @property
    def finished(self) -> bool:
        return not self._alive and (self.interrupted or not self._waiting)

    def on_epoch(self, _: EpochRow) -> bool:
        return not self.interrupted

    def on_end(self, number: int, fault: str | None) -> None:
        self._alive -= 1
        if fault is not None and not self.interrupted:
            self.faults.append(fault)
        done = self._total - len(self._waiting) - self._alive
        self._progress("confirming runs", done, self._total)

    def on_halt(self, number: int, reason: str) -> None:
        self.halted = reason
        self.on_end(number, reason)
        self._waiting.clear()

    def interrupt(self) -> None:
        self.interrupted = True


def _row(
    task: TrialTask, number: int, run: int, epoch: FoldEpoch, seconds: float
) -> dict[str, Any]:
    return {
        "number": number,
        "run": run,
        "fold": epoch.fold,
        "epoch": epoch.report.epoch,
        "seed": task.seed,
        "n_train": epoch.n_train,
        "n_val": epoch.n_val,
        **{rate: epoch.report.rates.get(rate) for rate in RATES},
        "seconds": seconds,
        "written": datetime.now(UTC),
    }


def _keep_cases(folder: StudyFolder, number: int, run: int, epoch: FoldEpoch) -> None:
    """Write what a fold's validation cases got, in place of what a killed process had written."""
    path = folder.confirmation_cases(number, run)
    found = epoch.report.predictions
    of = {"number": number, "fold": epoch.fold, "epoch": epoch.report.epoch}
    cases = [
        {**of, "case": case, "label": int(label), "probability": float(probability)}
        for case, label, probability in zip(found.case, found.label, found.probability, strict=True)
    ]
    before = [row for row in folder.rows(path, PREDICTIONS) if row["fold"] != epoch.fold]
    folder.put_rows(path, PREDICTIONS, [*before, *cases])
