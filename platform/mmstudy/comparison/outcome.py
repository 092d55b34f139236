"""The tests of two rows, and what they decide: AUROC for itself, the calls at a threshold jointly.

AUROC asks who ranks cases better, whatever the threshold, so no rate may speak against it.
Sensitivity and specificity are one decision: one higher for the other lower may be no more than
another threshold, and so decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["ALPHA", "AREA", "Outcome", "Test", "outcome_of", "split_outcomes"]

ALPHA = 0.05
AREA = "AUROC"
Outcome = Literal["untested", "none", "better", "worse", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One measure of two rows; `p_holm` is corrected for the `family` tests made together."""

    measure: str
    ours: str  # as shown: hits/total, or the value
    theirs: str
    difference: float | None  # ours minus theirs
    low: float | None  # of its 95 % interval: ours is not worse by more than -low
    high: float | None
    p: float | None
    how: str
    p_holm: float | None = None
    family: int = 0
    higher: float | None = None  # probability that ours is truly the higher one
    detectable: float | None = None  # smallest true difference it would have shown, 80 % power

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below 0.05."""
        return self.p_holm is not None and self.p_holm < ALPHA

    @property
    def worse_by(self) -> float | None:
        """By how much ours can be worse at most: the bound of a reading as non-inferiority.

        The lower end of the 95 % interval turned round, never below 0: whoever fixed a larger
        margin before the data has shown, one-sided at 2.5 %, that ours is not inferior.
        """
        return None if self.low is None else max(0.0, -self.low)

    def as_dict(self) -> dict[str, Any]:
        """All fields and the bound as plain values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"worse_by": self.worse_by}


def outcome_of(tests: Sequence[Test]) -> tuple[Outcome, Outcome, Outcome]:
    """What all tests say together, then AUROC alone, then the calls.

    Both parts count the same: if one decides, so do all; two that contradict are mixed.
    """
    area, calls = split_outcomes(tests)
    decided = {part for part in (area, calls) if part != "none"}
    if decided == {"better", "worse"}:
        return "mixed", area, calls
    return (area if area != "none" else calls), area, calls


def split_outcomes(tests: Sequence[Test]) -> tuple[Outcome, Outcome]:
    """What AUROC says, and what the measures of the calls say jointly."""
    areas = [test for test in tests if test.measure == AREA]
    return _jointly(areas), _jointly([test for test in tests if test.measure != AREA])


def _jointly(tests: Sequence[Test]) -> Outcome:
    """What several measures say as one decision; where one of them is not defined, as sensitivity
    is without squamous patients, the others alone decide nothing."""
    clear = {test.difference > 0 for test in tests if test.significant and test.difference}
    signs = {test.difference > 0 for test in tests if test.difference}
    if not clear:
        return "none"
    if len(signs) > 1 or any(test.difference is None for test in tests):
        return "mixed"
    return "better" if clear == {True} else "worse"
