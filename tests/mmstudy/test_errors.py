"""What goes wrong on purpose: which exit code, and all faults in one message."""

from __future__ import annotations

import pytest

from mmstudy import errors
from mmstudy.errors import (
    CannotSplit,
    CheckFailed,
    Interrupted,
    MMStudyError,
    StudyHalted,
    TooManyFailures,
    TrialFailed,
    UsageError,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (MMStudyError, 1),
        (UsageError, 2),
        (TooManyFailures, 3),
        (CheckFailed, 4),
        (Interrupted, 130),
    ],
)
def test_each_kind_ends_in_its_exit_code(kind: type[MMStudyError], code: int) -> None:
    assert kind("why").exit_code == code
    assert issubclass(kind, MMStudyError)


def test_no_two_kinds_end_alike() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = [kind.exit_code for kind in kinds if issubclass(kind, MMStudyError)]
    assert len(set(codes)) == len(codes) == 5


@pytest.mark.parametrize("kind", [TrialFailed, StudyHalted, CannotSplit])
def test_what_a_trial_tells_its_runner_is_never_the_command_s_end(kind: type[Exception]) -> None:
    assert not issubclass(kind, MMStudyError)


@pytest.mark.parametrize(
    ("faults", "heading", "text"),
    [
        (("one",), "", "one"),
        (("one", "two"), "", "  - one\n  - two"),
        (("one",), "s has 1 fault:", "s has 1 fault:\n  - one"),
        (("one", "two"), "h:", "h:\n  - one\n  - two"),
    ],
)
def test_all_faults_are_told_at_once(faults: tuple[str, ...], heading: str, text: str) -> None:
    error = UsageError(*faults, heading=heading)
    assert str(error) == text
    assert tuple(error.faults) == faults
