"""Who runs: the contract between the engine and whatever executes trials.

The engine decides and records (`Conductor`), a runner only executes. For each trial that it
launches, a runner calls `on_epoch` once per epoch the trial reports, in order, and `on_end` or
`on_halt` exactly once; after `on_epoch` answered False it stops that trial. All calls come from
one thread. A trial whose process died is launched again with the same task; the task resumes from
its own checkpoint and reports what is missing. A trial that finishes no epoch within
`epoch_seconds` is ended, with that as its fault; an objective that yields None says that it is
alive, and the time begins anew.
"""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

from mmstudy.records import EpochRow
from mmstudy.spec import ResourceSpec

__all__ = [
    "Conductor",
    "InlineRunner",
    "Objective",
    "Runner",
    "StudyHalted",
    "TrialFailed",
    "TrialTask",
    "overdue",
]


class TrialFailed(Exception):
    """The trial cannot give a result, and would fail the same way again; says why."""


class StudyHalted(Exception):
    """No trial can be recorded any more (a full disk); this one is to be continued later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """All that a trial's process needs to know; plain values, so it travels anywhere."""

    study: str  # the study folder
    cohort: str  # the cohort folder
    number: int
    params: str  # JSON
    seed: int
    threads: int
    device: str
    gpu: float = 0.0  # share of one GPU, or number of them
    epoch_seconds: float | None = None  # longest time for one epoch
    launch: str | None = None  # of the driver
    split_seed: int | None = None  # other folds than the study's
    confirms: tuple[int, int] | None = None  # of a confirming run: the trial, and which run
    last_epoch: int | None = None  # each fold ends after it


Objective = Callable[[TrialTask], Iterator[EpochRow | None]]


class Conductor(Protocol):
    """Who decides; implemented by the engine."""

    def next_task(self) -> TrialTask | None:
        """The next trial to launch; None when there is none now."""

    @property
    def finished(self) -> bool:
        """Whether no trial will ever be launched again."""

    def on_epoch(self, row: EpochRow) -> bool:
        """Take note of an epoch; False stops the trial, whose result is known or not wanted."""

    def on_end(self, number: int, fault: str | None) -> None:
        """The trial has ended or was stopped; `fault` says why it failed, if it did."""

    def on_halt(self, number: int, reason: str) -> None:
        """Instead of `on_end`: the trial was halted, and no other is to begin."""


class Runner(ABC):
    """Executes the trials a conductor hands out until it has no more.

    Used as a context: what it needs is started on entry and given back on exit.
    """

    def __enter__(self) -> Self:
        """Make ready to run."""
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what entering took."""

    @abstractmethod
    def gpus(self) -> float:
        """Number of GPUs it can reach; only inside the context."""

    @abstractmethod
    def run(self, conductor: Conductor, objective: Objective, resources: ResourceSpec) -> None:
        """Return when the conductor is finished and no trial is alive.

        Args:
            conductor: who decides.
            objective: what a trial does.
            resources: what one trial gets, and how many run at once.

        Raises:
            KeyboardInterrupt: stopped at once; trials alive were abandoned as they were.
        """


class InlineRunner(Runner):
    """One trial after the other in this process: the debug twin of the Ray runner.

    In a thread other than the main one it cannot interrupt a trial that hangs.
    """

    def gpus(self) -> float:
        """See `Runner.gpus`."""
        import torch  # heavy, and a conductor or a test of one needs none

        return float(torch.cuda.device_count())

    def run(self, conductor: Conductor, objective: Objective, resources: ResourceSpec) -> None:
        """See `Runner.run`."""
        while (task := conductor.next_task()) is not None:
            try:
                self._trial(task, conductor, objective)
            except TrialFailed as error:
                conductor.on_end(task.number, str(error))
            except StudyHalted as error:
                conductor.on_halt(task.number, str(error))
            else:
                conductor.on_end(task.number, None)

    def _trial(self, task: TrialTask, conductor: Conductor, objective: Objective) -> None:
        epochs = objective(task)
        while True:
            try:
                with _time_limit(task.epoch_seconds):
                    row = next(epochs)
            except StopIteration:
                return
            if row is not None and not conductor.on_epoch(row):
                return


def overdue(seconds: float) -> str:
    """The fault of a trial that hangs."""
    return f"timeout: no epoch was finished within {seconds:g} s (limits.epoch_minutes)"


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TrialFailed in the main thread when `seconds` are over."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(*_: object) -> None:
        raise TrialFailed(overdue(seconds))

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
