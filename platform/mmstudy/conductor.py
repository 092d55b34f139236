"""Decides and records, for whatever runner executes: which trial is next, which one stops, how each
one ended.

States are exact. COMPLETE only when the last planned epoch of the last planned fold was reported;
PRUNED when stopped on purpose; FAIL on an error or an undefined value, with the reason. The
objective is the validation AUROC averaged over the folds at one epoch shared by all, the best such.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mmstudy.paths import StudyPaths
from mmstudy.records import METRICS, TRIALS, EpochRow, State, TrialRow
from mmstudy.runner import TrialTask
from mmstudy.search import Proposal, Search
from mmstudy.spec import StudySpec, trial_config
from mmstudy.store import read_json, read_rows, write_rows

__all__ = ["Standing", "StudyConductor", "objective_value", "reachable_value"]

Curve = dict[tuple[int, int], float]  # (fold, epoch) -> validation AUROC


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a study stands, for the progress line."""

    asked: int
    running: int
    complete: int
    pruned: int
    failed: int
    best: float | None
    best_number: int | None
    seconds_left: float | None
    stopping: str | None  # why no further trial begins, if so


def objective_value(curve: Mapping[tuple[int, int], float], folds: int) -> tuple[float, int]:
    """The mean AUROC over the folds at the best epoch shared by all, and that epoch.

    >>> objective_value({(0, 0): 0.9, (0, 1): 0.7, (1, 0): 0.5, (1, 1): 0.8}, folds=2)
    (0.75, 1)
    """
    means = _epoch_means(curve, folds, missing=float("-inf"))
    value, epoch = max((value, -epoch) for epoch, value in means.items())
    return value, -epoch


def reachable_value(curve: Mapping[tuple[int, int], float], folds: int) -> float:
    """What the objective could still become if every fold to come reached an AUROC of 1.

    >>> reachable_value({(0, 0): 0.5, (0, 1): 0.6}, folds=2)
    0.8
    """
    return max(_epoch_means(curve, folds, missing=1.0).values())


def _epoch_means(
    curve: Mapping[tuple[int, int], float], folds: int, missing: float
) -> dict[int, float]:
    epochs = {epoch for _, epoch in curve}
    return {
        epoch: sum(curve.get((fold, epoch), missing) for fold in range(folds)) / folds
        for epoch in epochs
    }


@dataclass(slots=True)
class _Live:
    """What is known of a trial that runs."""

    epochs: int  # planned per fold
    curve: Curve
    stopped: str | None = None
    fault: str | None = None


class StudyConductor:
    """See `mmstudy.runner.Conductor` for the contract it fulfils.

    Args:
        paths: the study folder, whose lock this process holds.
        spec: the study's spec.
        search: the opened Optuna study.
        folds: number of folds every trial goes through.
        task: makes the task of a proposal.
        notify: called after each change with how the study stands.
    """

    def __init__(
        self,
        *,
        paths: StudyPaths,
        spec: StudySpec,
        search: Search,
        folds: int,
        task: Callable[[Proposal], TrialTask],
        notify: Callable[[Standing], None],
    ) -> None:
        self._paths, self._spec, self._search, self._folds = paths, spec, search, folds
        self._task, self._notify = task, notify
        self._live: dict[int, _Live] = {}
        self._states = search.states()
        self._started = time.monotonic()
        self._ended_here = 0
        self.stopping: str | None = None
        self.interrupted = False
        self.halted: str | None = None  # why nothing can be recorded any more, if so
        self._recover()

    # What a runner calls.

    def next_task(self) -> TrialTask | None:
        """See `Conductor.next_task`."""
        while not self._out_of_budget() and not self.stopping:
            interrupted = self._search.interrupted()
            if interrupted:
                proposal = self._search.take_up(interrupted[0])
            elif self._counted() + len(self._live) < self._spec.search.trials:
                proposal = self._search.ask()
            else:
                return None
            task = self._launch(proposal)
            if task is not None:
                return task
        return None

    @property
    def finished(self) -> bool:
        """See `Conductor.finished`."""
        if self._live:
            return False
        return self.stopping is not None or (
            self._counted() >= self._spec.search.trials and not self._search.interrupted()
        )

    def on_epoch(self, row: EpochRow) -> bool:
        """See `Conductor.on_epoch`."""
        live = self._live[row.number]
        position = (row.fold, row.epoch)
        if sum(known < position for known in live.curve) < row.fold * live.epochs + row.epoch:
            self._catch_up(row.number)  # an epoch was recorded, but its report was lost
        auroc = row.rates["auroc"]
        if auroc is None:
            live.fault = f"fold {row.fold} has an undefined AUROC"
            return False
        live.curve[position] = auroc
        if row.fold == 0:
            self._search.report(row.number, row.epoch, auroc)
        os.utime(self._paths.lock)  # shows that the driver is alive
        live.stopped = self._reason_to_stop(row.number, *position)
        self._tell_standing()
        return live.stopped is None and not self.interrupted

    def on_end(self, number: int, fault: str | None) -> None:
        """See `Conductor.on_end`."""
        live = self._live[number]
        self._ended_here += 1
        fault = fault or live.fault
        if fault is None and len(live.curve) < self._folds * live.epochs:
            self._catch_up(number)
        if fault is not None:
            self._end(number, State.FAIL, reason=fault)
        elif len(live.curve) == self._folds * live.epochs:
            self._end(number, State.COMPLETE)
        elif live.stopped is not None:
            self._end(number, State.PRUNED, reason=live.stopped)
        elif self.interrupted:
            del self._live[number]  # stays RUNNING; the next driver takes it up
        else:
            self._end(number, State.FAIL, reason="ended before its last epoch")

    def on_halt(self, number: int, reason: str) -> None:
        """See `Conductor.on_halt`."""
        self.stopping = self.halted = reason
        del self._live[number]  # stays RUNNING; the next driver takes it up

    # What the engine asks.

    def interrupt(self) -> None:
        """Begin no trial any more; those alive end after their epoch, stored, and stay RUNNING.

        Called from a signal handler: it may only set flags.
        """
        self.interrupted = True
        self.stopping = "interrupted"

    @property
    def failed(self) -> int:
        """Number of trials that failed so far."""
        return Counter(self._states.values())[State.FAIL]

    def standing(self) -> Standing:
        """How the study stands now."""
        count = Counter(self._states.values())
        best = self._best()
        left = None
        if self._ended_here:
            per_trial = (time.monotonic() - self._started) / self._ended_here
            left = per_trial * max(0, self._spec.search.trials - self._counted())
        return Standing(
            asked=self._spec.search.trials,
            running=len(self._live),
            complete=count[State.COMPLETE],
            pruned=count[State.PRUNED],
            failed=count[State.FAIL],
            best=best[0] if best else None,
            best_number=best[1] if best else None,
            seconds_left=left,
            stopping=self.stopping,
        )

    # Launching and ending.

    def _launch(self, proposal: Proposal) -> TrialTask | None:
        number = proposal.number
        task = self._task(proposal)
        earlier = read_rows(self._paths.trial(number), TRIALS)
        self._states[number] = State.RUNNING
        started = earlier[0]["started"] if earlier else datetime.now(UTC)
        row = TrialRow(
            number=number,
            state=State.RUNNING,
            params=task.params,
            seed=task.seed,
            attempts=earlier[0]["attempts"] + 1 if earlier else 1,
            started=started,
            device=task.device,
            threads=task.threads,
        )
        self._write(row)
        self._live[number] = live = _Live(epochs=0, curve={})
        try:
            live.epochs = trial_config(self._spec, proposal.params).train.epochs
        except ValueError as error:  # each value is valid alone, this combination is not
            self._end(number, State.FAIL, reason=str(error))
            return None
        self._catch_up(number)
        self._tell_standing()
        return task

    def _end(self, number: int, state: State, reason: str | None = None) -> None:
        """Tell the study first, then write the row: a kill in between is mended by `_recover`."""
        value = epoch = None
        if state is State.COMPLETE:
            value, epoch = objective_value(self._live[number].curve, self._folds)
            self._search.complete(number, value)
        elif state is State.PRUNED:
            self._search.prune(number)
        else:
            self._search.fail(number)
        self._record_end(number, state, value=value, best_epoch=epoch, reason=reason)
        del self._live[number]
        if self.failed > self._spec.limits.failed_trials:
            self.stopping = f"{self.failed} trials failed"
        self._tell_standing()

    def _record_end(
        self,
        number: int,
        state: State,
        *,
        value: float | None,
        best_epoch: int | None,
        reason: str | None,
    ) -> None:
        row = TrialRow(**read_rows(self._paths.trial(number), TRIALS)[0])
        metrics = read_rows(self._paths.trial_metrics(number), METRICS)
        claim = self._paths.claim(number)
        attempts = int(read_json(claim)["attempt"]) if claim.exists() else row.attempts
        self._states[number] = state
        self._write(
            replace(
                row,
                state=state,
                value=value,
                best_epoch=best_epoch,
                attempts=attempts,
                ended=datetime.now(UTC),
                seconds=sum(epoch["seconds"] for epoch in metrics),
                reason=reason,
            )
        )
        # Needed only to go on with the trial, and large.
        (self._paths.trial_artifacts(number) / "last.safetensors").unlink(missing_ok=True)

    def _recover(self) -> None:
        """Finish rows of trials that the study knows to have ended, but whose driver died first."""
        for number, state in self._states.items():
            rows = read_rows(self._paths.trial(number), TRIALS)
            if state is State.RUNNING or not rows or rows[0]["state"] != State.RUNNING:
                continue
            value = epoch = reason = None
            if state is State.COMPLETE:
                value, epoch = objective_value(self._recorded_curve(number), self._folds)
            else:
                reason = "the driver died while writing the reason"
            self._record_end(number, state, value=value, best_epoch=epoch, reason=reason)

    # Deciding.

    def _reason_to_stop(self, number: int, fold: int, epoch: int) -> str | None:
        live = self._live[number]
        last_epoch = epoch == live.epochs - 1
        if self._spec.pruning is None or (last_epoch and fold == self._folds - 1):
            return None
        if fold == 0 and self._search.should_prune(number):
            return f"behind the other trials after epoch {epoch + 1} of the first fold"
        best = self._best()
        if last_epoch and best is not None:
            reachable = reachable_value(live.curve, self._folds)
            if reachable < best[0]:
                return (
                    f"even AUROC 1 on every fold to come would give {reachable:.3f}, "
                    f"less than {best[0]:.3f} of trial {best[1]}"
                )
        return None

    def _best(self) -> tuple[float, int] | None:
        values = [
            (value, -number)
            for number, state in self._states.items()
            if state is State.COMPLETE and (value := self._search.value(number)) is not None
        ]
        return (max(values)[0], -max(values)[1]) if values else None

    def _counted(self) -> int:
        """Trials that count towards the number asked for; failed ones do not."""
        return sum(state in (State.COMPLETE, State.PRUNED) for state in self._states.values())

    def _out_of_budget(self) -> bool:
        hours = self._spec.limits.hours
        if hours is not None and time.monotonic() - self._started > hours * 3600:
            self.stopping = self.stopping or f"the time limit of {hours:g} hours is reached"
        return self.stopping is not None

    # Small things.

    def _recorded_curve(self, number: int) -> Curve:
        rows = read_rows(self._paths.trial_metrics(number), METRICS)
        return {(r["fold"], r["epoch"]): r["auroc"] for r in rows if r["auroc"] is not None}

    def _catch_up(self, number: int) -> None:
        """Take over what the trial has recorded but not, or not to this driver, reported."""
        for position, auroc in self._recorded_curve(number).items():
            self._live[number].curve[position] = auroc
            if position[0] == 0:
                self._search.report(number, position[1], auroc)

    def _write(self, row: TrialRow) -> None:
        write_rows(self._paths.trial(row.number), TRIALS, [row.as_dict()])

    def _tell_standing(self) -> None:
        self._notify(self.standing())
