"""How a study stands: counts by state, the highest value so far. Kept up to date, never counted
anew."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from mmstudy.storage.schema import INFEASIBLE, State

__all__ = ["Standing", "Tally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a study stands, for the progress line."""

    asked: int
    running: int
    complete: int
    pruned: int
    failed: int
    infeasible: int
    best: float | None  # the highest value of the search so far
    best_number: int | None
    seconds_left: float | None
    stopping: str | None  # why no further trial begins, if so


class Tally:
    """States of all trials of a study."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}
        self._count: Counter[State] = Counter()
        self._infeasible: set[int] = set()
        self._best: tuple[float, int] | None = None  # value, -number: the earlier of two equals
        self._started = time.monotonic()
        self._ended_here = 0
        self.infeasible_in_a_row = 0

    def set(
        self, number: int, state: State, value: float | None = None, reason: str | None = None
    ) -> None:
        """Trial `number` is now in `state`."""
        known = self._states.get(number)
        if known is not None:
            self._count[known] -= 1
            self._ended_here += known is State.RUNNING and state is not State.RUNNING
        self._states[number] = state
        self._count[state] += 1
        if state is State.FAIL and (reason or "").startswith(INFEASIBLE):
            self._infeasible.add(number)
            self.infeasible_in_a_row += 1
        elif state is not State.RUNNING:
            self.infeasible_in_a_row = 0
        if state is State.COMPLETE and value is not None:
            self._best = max(self._best or (value, -number), (value, -number))

    @property
    def counted(self) -> int:
        """Trials that count towards the number asked for; failed ones do not."""
        return self._count[State.COMPLETE] + self._count[State.PRUNED]

    @property
    def failed(self) -> int:
        """Trials that ran and failed."""
        return self._count[State.FAIL] - len(self._infeasible)

    @property
    def best(self) -> tuple[float, int] | None:
        """Value and number of the complete trial that is highest in the search."""
        return (self._best[0], -self._best[1]) if self._best else None

    def standing(self, *, asked: int, running: int, stopping: str | None) -> Standing:
        """All of it, for a human."""
        left = None
        if self._ended_here:
            per_trial = (time.monotonic() - self._started) / self._ended_here
            left = per_trial * max(0, asked - self.counted)
        best = self.best
        return Standing(
            asked=asked,
            running=running,
            complete=self._count[State.COMPLETE],
            pruned=self._count[State.PRUNED],
            failed=self.failed,
            infeasible=len(self._infeasible),
            best=best[0] if best else None,
            best_number=best[1] if best else None,
            seconds_left=left,
            stopping=stopping,
        )
