"""Everything `mmstudy` raises on purpose, with the exit code each one ends in.

MMStudyError            1  the run failed
├── UsageError          2  wrong usage or configuration; lists every fault
├── TooManyFailures     3  finished, but more trials failed than allowed
├── CheckFailed         4  a check did not hold
└── Interrupted       130  stopped by the user, state written

A trial's process speaks to its runner, never to the user:

TrialFailed     the trial fails, and would fail the same way again
StudyHalted     nothing can be written any more, or the cohort changed; continued later
CannotSplit     a training step cannot be made of more micro-batches
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "CannotSplit",
    "CheckFailed",
    "Interrupted",
    "MMStudyError",
    "StudyHalted",
    "TooManyFailures",
    "TrialFailed",
    "UsageError",
]


class MMStudyError(Exception):
    """Base of the family; `exit_code` is what the command ends with."""

    exit_code: ClassVar[int] = 1


class UsageError(MMStudyError):
    """The user asked for something that cannot be: `faults` lists all that is wrong."""

    exit_code = 2

    def __init__(self, *faults: str, heading: str = "") -> None:
        self.faults: Sequence[str] = faults
        lines = [heading] if heading else []
        lines += [f"  - {fault}" for fault in faults] if heading or len(faults) > 1 else [*faults]
        super().__init__("\n".join(lines))


class TooManyFailures(MMStudyError):
    """The study ended, but more trials failed than `limits.failed_trials` allows."""

    exit_code = 3


class CheckFailed(MMStudyError):
    """What was stored and what was computed anew differ."""

    exit_code = 4


class Interrupted(MMStudyError):
    """The user stopped the run; everything finished so far is stored."""

    exit_code = 130


class TrialFailed(Exception):
    """The trial cannot give a result, and would fail the same way again; says why."""


class StudyHalted(Exception):
    """No trial can go on (a full disk, a cohort that changed); this one is continued later."""


class CannotSplit(Exception):
    """A training step cannot be made of that many micro-batches; says why."""
