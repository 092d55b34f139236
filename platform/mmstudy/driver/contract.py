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

from abc import ABC, abstractmethod
from typing import Protocol, Self

from mmstudy.spec.study_spec import ResourceSpec
from mmstudy.storage.schema import EpochRow
from mmstudy.trial.task import Objective, TrialTask

__all__ = ["TIME_STEPS", "Conductor", "Runner", "overdue"]

TIME_STEPS = 20
"""In so many steps the time of an epoch is counted: no clock tells how long a process stood still.
A stop makes one of them shorter, so one more is given."""


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


def overdue(seconds: float) -> str:
    """The fault of a trial that hangs."""
    return f"timeout: no epoch was finished within {seconds:g} s (limits.epoch_minutes)"
