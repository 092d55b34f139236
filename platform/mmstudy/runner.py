"""Who runs: the contract between the engine and whatever executes trials.

The engine decides and records (`Conductor`), a runner only executes. For each trial that it
launches, a runner calls `on_epoch` once per epoch the trial reports, in order, and `on_end` or
`on_halt` exactly once; after `on_epoch` answered False it stops that trial. All calls come from
one thread. A trial whose process died may be launched again with the same task; the task resumes
from its own checkpoint and reports what is missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mmstudy.records import EpochRow

__all__ = [
    "Conductor",
    "InlineRunner",
    "Objective",
    "Runner",
    "StudyHalted",
    "TrialFailed",
    "TrialTask",
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


Objective = Callable[[TrialTask], Iterator[EpochRow]]


class Conductor(Protocol):
    """Who decides; implemented by the engine."""

    def next_task(self) -> TrialTask | None:
        """The next trial to launch; None when there is none now."""

    @property
    def finished(self) -> bool:
        """Whether no trial will ever be launched again."""

    def on_epoch(self, row: EpochRow) -> bool:
        """Take note of an epoch; False stops the trial."""

    def on_end(self, number: int, fault: str | None) -> None:
        """The trial has ended or was stopped; `fault` says why it failed, if it did."""

    def on_halt(self, number: int, reason: str) -> None:
        """Instead of `on_end`: the trial was halted, and no other is to begin."""


class Runner(ABC):
    """Executes the trials a conductor hands out until it has no more."""

    @abstractmethod
    def run(self, conductor: Conductor, objective: Objective) -> None:
        """Return when the conductor is finished and no trial is alive.

        Raises:
            KeyboardInterrupt: stopped at once; trials alive were abandoned as they were.
        """


class InlineRunner(Runner):
    """One trial after the other in this process: the debug twin of the Ray runner."""

    def run(self, conductor: Conductor, objective: Objective) -> None:
        """See `Runner.run`."""
        while (task := conductor.next_task()) is not None:
            try:
                for row in objective(task):
                    if not conductor.on_epoch(row):
                        break
            except TrialFailed as error:
                conductor.on_end(task.number, str(error))
            except StudyHalted as error:
                conductor.on_halt(task.number, str(error))
            else:
                conductor.on_end(task.number, None)
