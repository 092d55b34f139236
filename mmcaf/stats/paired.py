"""Two or more methods judged on the same cases: exact McNemar, DeLong's test, Holm's correction.

Pure numpy. A test knows nothing of how a method was chosen: one that was the best of many on these
very cases is better here than it will be elsewhere, and its p value too small. Who calls says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb, erfc, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from mmcaf.stats.metrics import Proportion, auroc, checked, placements

__all__ = [
    "Discordant",
    "PairedAreas",
    "PairedTest",
    "Scored",
    "compare_all",
    "delong",
    "holm",
    "mcnemar",
    "smallest_gap",
]


@dataclass(frozen=True, slots=True)
class Discordant:
    """Cases that only one of two methods got right, of `n`."""

    only_first: int
    only_second: int
    n: int

    @property
    def p(self) -> float:
        """Two-sided p of McNemar's exact test; 1 where the methods never differ.

        >>> Discordant(6, 0, 43).p
        0.03125
        """
        few, all_ = min(self.only_first, self.only_second), self.only_first + self.only_second
        ways: int = sum(comb(all_, k) for k in range(few + 1))
        return min(1.0, 2 * ways / (1 << all_))


@dataclass(frozen=True, slots=True)
class PairedAreas:
    """AUROCs of two methods on the same cases; NaN and None where undefined."""

    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None


def mcnemar(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> Discordant:
    """Which of two methods' calls, all of shape (cases,), were right where the other was wrong.

    Raises:
        ValueError: shapes differ, or labels or calls are other than 0 and 1.
    """
    y, a = checked(labels, first)
    _, b = checked(labels, second)
    odd = sorted({*np.unique(a).tolist(), *np.unique(b).tolist()} - {0.0, 1.0})
    if odd:
        raise ValueError(f"Need calls, which are 0 or 1, got {odd[:5]}; put scores to a threshold.")
    right, too = a == y, b == y
    return Discordant(int((right & ~too).sum()), int((too & ~right).sum()), len(y))


def delong(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, confidence: float = 0.95
) -> PairedAreas:
    """Difference of two AUROCs of the same cases after DeLong et al. 1988, arrays (cases,).

    No interval and no p with fewer than two cases of a class, or where the areas differ and yet
    their difference has no spread (both separate the classes, one the wrong way). Two methods with
    the same placements differ by nothing, with p = 1.
    """
    y, a = checked(labels, first)
    _, b = checked(labels, second)
    area, other = auroc(y, a), auroc(y, b)
    gap, sick = area - other, y == 1
    if min(sick.sum(), (~sick).sum()) < 2:
        return PairedAreas(area, other, gap, None, None)
    of_positive = placements(a[sick], a[~sick]) - placements(b[sick], b[~sick])
    of_negative = placements(b[~sick], b[sick]) - placements(a[~sick], a[sick])
    spread = of_positive.var(ddof=1) / sick.sum() + of_negative.var(ddof=1) / (~sick).sum()
    error = sqrt(spread)
    if error < 1e-12:
        same = abs(gap) < 1e-12
        return PairedAreas(area, other, gap, (0.0, 0.0) if same else None, 1.0 if same else None)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    interval = (max(-1.0, gap - half), min(1.0, gap + half))
    return PairedAreas(area, other, gap, interval, erfc(abs(gap) / (error * sqrt(2))))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p value after Holm's correction for all of them, in their order.

    An undefined one stays undefined and still counts: the family was decided before the data.

    Raises:
        ValueError: a p value outside [0, 1], or NaN.

    >>> holm([0.01, 0.04, None, 0.03])
    [0.04, 0.09, None, 0.09]
    """
    odd = [p for p in p_values if p is not None and not 0 <= p <= 1]
    if odd:
        raise ValueError(f"Need p values in [0, 1], or None where undefined, got {odd[0]}.")
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        corrected[i] = largest
    return corrected


def smallest_gap(n: int, alpha: float = 0.05) -> Proportion | None:
    """The smallest difference of two accuracies on the same `n` cases that McNemar's exact test can
    call significant, reached where one method is never right alone; None where `n` is too small.

    >>> smallest_gap(43)
    Proportion(hits=6, total=43)
    """
    for cases in range(1, n + 1):
        if Discordant(cases, 0, n).p < alpha:
            return Proportion(cases, n)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One method's scores and calls of the cases of a comparison, both (cases,)."""

    scores: ArrayLike
    calls: ArrayLike


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Two methods on the same cases, each p beside its corrected one; `family` is how many tests
    the correction is for."""

    first: str
    second: str
    areas: PairedAreas
    decisions: Discordant
    areas_p_holm: float | None = None
    decisions_p_holm: float | None = None
    family: int = 0


def compare_all(
    labels: ArrayLike, methods: Mapping[str, Scored], *, against: str | None = None
) -> tuple[PairedTest, ...]:
    """DeLong's and McNemar's test of every pair of methods, or of `against` with every other.

    All tests are one family for Holm. With few cases and many methods no pair will stand out, which
    is the truth; `against` asks less and so can answer more.

    Raises:
        ValueError: there is no method `against`; arrays of other shapes or values than allowed.
    """
    if against is not None and against not in methods:
        known = ", ".join(methods)
        raise ValueError(f"Need a method to compare against out of {known}; got {against!r}.")
    tests = [_tested(labels, methods, *pair) for pair in _pairs(methods, against)]
    found = holm([p for test in tests for p in (test.areas.p, test.decisions.p)])
    return tuple(
        replace(
            test,
            areas_p_holm=found[2 * i],
            decisions_p_holm=found[2 * i + 1],
            family=2 * len(tests),
        )
        for i, test in enumerate(tests)
    )


def _pairs(methods: Mapping[str, Scored], against: str | None) -> Iterator[tuple[str, str]]:
    if against is None:
        return combinations(methods, 2)
    return ((against, other) for other in methods if other != against)


def _tested(
    labels: ArrayLike, methods: Mapping[str, Scored], first: str, second: str
) -> PairedTest:
    a, b = methods[first], methods[second]
    return PairedTest(
        first, second, delong(labels, a.scores, b.scores), mcnemar(labels, a.calls, b.calls)
    )
