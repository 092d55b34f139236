"""Decides and records, for whatever runner executes: which trial is next, which one stops, how each
one ended.

States are exact. COMPLETE only when the last planned epoch of the last planned fold was reported;
PRUNED when stopped on purpose; FAIL on an error or an undefined value, with the reason. The study
is told first, then the trial's row is written: a kill in between is mended by `_recover`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mmstudy.driver.tally import Standing, Tally
from mmstudy.search.optuna_study import Proposal, Search
from mmstudy.search.scoring import (
    Curve,
    curve_of,
    objective_value,
    outcome,
    reachable_value,
    seconds_per_epoch,
    time_spent,
    wilcoxon_p,
)
from mmstudy.spec.study_spec import StudySpec, trial_config
from mmstudy.storage.compaction import SEGMENT_TRIALS
from mmstudy.storage.ledger import Ledger
from mmstudy.storage.schema import INFEASIBLE, EpochRow, State, TrialRow
from mmstudy.trial.task import TrialTask

__all__ = ["StudyConductor"]

_INFEASIBLE_IN_A_ROW = 1000  # proposals that break a constraint before the space is called empty


@dataclass(slots=True)
class _Live:
    """What is known of a trial that runs."""

    row: TrialRow
    epochs: int = 0  # planned per fold
    rows: dict[tuple[int, int], EpochRow] = field(default_factory=dict)
    curve: Curve = field(default_factory=dict)
    stopped: str | None = None
    fault: str | None = None

    def take(self, row: EpochRow) -> None:
        self.rows[row.fold, row.epoch] = row
        auroc = row.rates["auroc"]
        if auroc is None:
            self.fault = f"not finite: fold {row.fold} has an undefined AUROC"
        else:
            self.curve[row.fold, row.epoch] = auroc


class StudyConductor:
    """Decides which trial is next and records what becomes of each (`contract.Conductor`).

    Args:
        ledger: where trials are recorded; this process is the only driver.
        spec: the study's spec.
        search: the opened Optuna study.
        folds: number of folds every trial goes through.
        task: makes the task of a proposal.
        notify: called after each change with how the study stands.
        rows: of the trials, by number, as the ledger has them; read there if not given.
        cohort_digest: written into every trial's row.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        spec: StudySpec,
        search: Search,
        folds: int,
        task: Callable[[Proposal], TrialTask],
        notify: Callable[[Standing], None],
        rows: Mapping[int, TrialRow] | None = None,
        cohort_digest: str | None = None,
    ) -> None:
        self._ledger, self._spec, self._search, self._folds = ledger, spec, search, folds
        self._task, self._notify, self._digest = task, notify, cohort_digest
        self._live: dict[int, _Live] = {}
        self._tally = Tally()
        self._left_running: dict[int, TrialRow] = {}  # by an earlier driver
        self._best_curve: tuple[int, Curve] | None = None
        self._started = time.monotonic()
        self._loose = 0  # trials ended since the last compaction
        self.stopping: str | None = None
        self.interrupted = False
        self.halted: str | None = None  # why nothing can be recorded any more, if so
        self._recover({row.number: row for row in ledger.trials()} if rows is None else rows)

    # What a runner calls.

    def next_task(self) -> TrialTask | None:
        """The next trial to launch; None when there is none now."""
        while not self._out_of_budget():
            interrupted = self._search.interrupted()
            if interrupted:
                proposal = self._search.take_up(interrupted[0])
            elif self._wants_more():
                proposal = self._search.ask()
            else:
                return None
            task = self._launch(proposal)
            if task is not None:
                return task
        return None

    @property
    def finished(self) -> bool:
        """Whether no trial will ever be launched again."""
        if self._live:
            return False
        done = not self._wants_more() and not self._search.interrupted()
        return self.stopping is not None or done

    def on_epoch(self, row: EpochRow) -> bool:
        """Take note of an epoch; False stops the trial."""
        live = self._live[row.number]
        position = (row.fold, row.epoch)
        if sum(known < position for known in live.rows) < row.fold * live.epochs + row.epoch:
            self._catch_up(row.number)  # an epoch was recorded, but its report was lost
        live.take(row)
        if live.fault is not None:
            return False
        if row.fold == 0:
            self._search.report(row.number, row.epoch, live.curve[position])
        live.stopped = self._reason_to_stop(row.number, *position)
        self._tell_standing()
        return live.stopped is None and not self.interrupted and not self._whole(live)

    def on_end(self, number: int, fault: str | None) -> None:
        """The trial has ended or was stopped; `fault` says why it failed, if it did."""
        live = self._live[number]
        decided = live.fault is not None or live.stopped is not None or self._whole(live)
        if fault is None and not decided:
            self._catch_up(number)
        fault = fault or live.fault
        if fault is not None:
            self._end(number, State.FAIL, reason=fault)
        elif self._whole(live):
            self._complete(number)
        elif live.stopped is not None:
            self._end(number, State.PRUNED, reason=live.stopped)
        elif self.interrupted:
            del self._live[number]  # stays RUNNING; the next driver takes it up
        else:
            self._end(number, State.FAIL, reason="ended before its last epoch")

    def on_halt(self, number: int, reason: str) -> None:
        """The trial was halted, to be continued later; no other begins."""
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
        """Number of trials that ran and failed so far."""
        return self._tally.failed

    def standing(self) -> Standing:
        """How the study stands now."""
        return self._tally.standing(
            asked=self._spec.search.trials, running=len(self._live), stopping=self.stopping
        )

    # Launching and ending.

    def _launch(self, proposal: Proposal) -> TrialTask | None:
        number, task = proposal.number, self._task(proposal)
        earlier = self._left_running.pop(number, None)
        row = TrialRow(
            number=number,
            state=State.RUNNING,
            params=task.params,
            seed=task.seed,
            attempts=earlier.attempts + 1 if earlier else 1,
            started=earlier.started if earlier else datetime.now(UTC),
            device=task.device,
            threads=task.threads,
            cohort_digest=self._digest,
        )
        self._ledger.put_trial(row)
        self._tally.set(number, State.RUNNING)
        self._live[number] = live = _Live(row)
        try:
            live.epochs = trial_config(self._spec, proposal.params).train.epochs
        except ValueError as error:  # each value is valid alone, this combination is not
            self._end(number, State.FAIL, reason=f"{INFEASIBLE}: {error}")
            if self._tally.infeasible_in_a_row >= _INFEASIBLE_IN_A_ROW:
                self.stopping = f"{_INFEASIBLE_IN_A_ROW} proposals in a row were {INFEASIBLE}"
            return None
        if earlier:
            self._catch_up(number)
            if self._whole(live):  # only its end was not told
                self._complete(number)
                return None
        self._tell_standing()
        return task

    def _complete(self, number: int) -> None:
        live = self._live[number]
        value, epoch = objective_value(live.curve, self._folds)
        rows = [*live.rows.values()]
        found = [outcome(objective, value, rows) for objective in self._spec.search.objectives]
        values = [one for one in found if one is not None]
        if len(values) < len(found):
            self._end(number, State.FAIL, reason="its number of parameters was not recorded")
            return
        self._search.complete(number, values)
        self._record_end(live, State.COMPLETE, value=value, best_epoch=epoch)

    def _end(self, number: int, state: State, *, reason: str) -> None:
        if state is State.PRUNED:
            self._search.prune(number)
        else:
            self._search.fail(number)
        self._record_end(self._live[number], state, reason=reason)
        self._check_failures()

    def _check_failures(self) -> None:
        if self._tally.failed > self._spec.limits.failed_trials:
            self.stopping = f"{self._tally.failed} trials failed"

    def _record_end(
        self,
        live: _Live,
        state: State,
        *,
        value: float | None = None,
        best_epoch: int | None = None,
        reason: str | None = None,
    ) -> None:
        number, rows = live.row.number, [*live.rows.values()]
        claim, spent = self._ledger.claim(number), time_spent(rows)
        row = replace(
            live.row,
            state=state,
            value=value,
            best_epoch=best_epoch,
            ended=datetime.now(UTC),
            gpu_seconds=sum(row.gpu_seconds or 0.0 for row in rows),
            seconds_per_epoch=seconds_per_epoch(rows),
            seconds=spent.seconds,
            prepare_seconds=spent.prepare_seconds,
            data_wait_share=spent.data_wait_share,
            gpu_utilisation=spent.gpu_utilisation,
            parameters=next((row.parameters for row in rows if row.parameters), None),
            reason=reason,
        )
        if claim is not None:
            row = replace(
                row,
                attempts=claim.attempt,
                host=claim.host,
                device=claim.device or row.device,
                hardware=claim.hardware,
                versions=json.dumps(claim.versions),
                code_version=claim.code_version,
            )
        self._ledger.put_trial(row)
        self._ledger.drop_checkpoint(number)
        self._live.pop(number, None)
        self._tally.set(number, state, value, reason)
        self._loose += 1
        if self._loose >= SEGMENT_TRIALS:
            self._ledger.compact()
            self._loose = 0
        self._tell_standing()

    def _recover(self, rows: Mapping[int, TrialRow]) -> None:
        """Take over what earlier drivers left: states, and rows whose driver died writing them."""
        for number, told in self._search.told().items():
            row = rows.get(number)
            if told.state is State.RUNNING or row is None:
                if row is not None:
                    self._left_running[number] = row
                continue
            self._tally.set(number, told.state, row.value, row.reason)
            if row.state is State.RUNNING:
                self._finish_row(row, told.state)
        self._check_failures()

    def _finish_row(self, row: TrialRow, state: State) -> None:
        live = _Live(row)
        for epoch in self._ledger.epochs(row.number):
            live.take(epoch)
        if state is State.COMPLETE:
            value, epoch_number = objective_value(live.curve, self._folds)
            self._record_end(live, state, value=value, best_epoch=epoch_number)
        else:
            reason = live.fault or "the driver died while writing the reason"
            self._record_end(live, state, reason=reason)

    # Deciding.

    def _wants_more(self) -> bool:
        enough = self._tally.counted + len(self._live) >= self._spec.search.trials
        return not enough and not self._search.exhausted

    def _whole(self, live: _Live) -> bool:
        return len(live.curve) == self._folds * live.epochs

    def _reason_to_stop(self, number: int, fold: int, epoch: int) -> str | None:
        live = self._live[number]
        last_epoch = epoch == live.epochs - 1
        if self._spec.pruning is None or (last_epoch and fold == self._folds - 1):
            return None
        if fold == 0 and self._search.should_prune(number):
            return f"behind the other trials after epoch {epoch + 1} of the first fold"
        return self._reason_across_folds(live.curve, fold + 1) if last_epoch else None

    def _reason_across_folds(self, curve: Curve, done: int) -> str | None:
        """Whether the best trial is out of reach after the `done` first folds."""
        best, pruning = self._tally.best, self._spec.pruning
        if best is None or pruning is None:
            return None
        reachable = reachable_value(curve, self._folds)
        if reachable < best[0]:
            return (
                f"even AUROC 1 on every fold to come would give {reachable:.3f}, "
                f"less than {best[0]:.3f} of trial {best[1]}"
            )
        p = wilcoxon_p(curve, self._curve_of_best(best[1]), done=done) if done >= 10 else None
        if p is not None and p < pruning.wilcoxon_p:
            return f"behind trial {best[1]} on {done} folds (signed-rank p = {p:.3f})"
        return None

    def _curve_of_best(self, number: int) -> Curve:
        if self._best_curve is None or self._best_curve[0] != number:
            self._best_curve = number, curve_of(self._ledger.epochs(number))
        return self._best_curve[1]

    def _out_of_budget(self) -> bool:
        hours = self._spec.limits.hours
        if hours is not None and time.monotonic() - self._started > hours * 3600:
            self.stopping = self.stopping or f"the time limit of {hours:g} hours is reached"
        return self.stopping is not None

    # Small things.

    def _catch_up(self, number: int) -> None:
        """Take over what the trial has recorded but not, or not to this driver, reported."""
        live = self._live[number]
        for row in self._ledger.epochs(number):
            live.take(row)
            if row.fold == 0 and live.fault is None:
                self._search.report(number, row.epoch, live.curve[0, row.epoch])

    def _tell_standing(self) -> None:
        self._notify(self.standing())
