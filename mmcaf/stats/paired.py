"""Two or more methods judged on the same cases: exact McNemar, DeLong's test, Holm's correction.

Pure numpy. A test knows nothing of how a method was chosen: one that was the best of many on these
very cases is better here than it will be elsewhere, and its p value too small. Who calls says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import PairedAreas, checked, delong
from mmcaf.stats.choice import chance, with_chance
from mmcaf.stats.estimates import Outcomes
from mmcaf.stats.metrics import Proportion

__all__ = [
    "Discordant",
    "PairedTest",
    "Scored",
    "compare_all",
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

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Of the difference of the two accuracies, after Bonett and Price (2012, J Educ Behav Stat
        37:479): Wald's with one more case that either method alone got right. None without cases.
        """
        if not self.n:
            return None
        first, second = ((k + 1) / (self.n + 2) for k in (self.only_first, self.only_second))
        gap, z = first - second, NormalDist().inv_cdf((1 + confidence) / 2)
        half = z * sqrt((first + second - gap**2) / (self.n + 2))
        return max(-1.0, gap - half), min(1.0, gap + half)

    @property
    def higher(self) -> float | None:
        """Probability that the first method's true accuracy is the higher one, from these cases
        alone; None without cases.

        Of the cases that one method alone got right, the share of the first has Jeffreys'
        distribution, Beta(its cases + 1/2, the other's + 1/2): its part above one half.

        >>> Discordant(4, 4, 43).higher
        0.5
        """
        from scipy.special import betaincc

        if not self.n:
            return None
        return float(betaincc(self.only_first + 0.5, self.only_second + 0.5, 0.5))


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
    """One method's scores and calls of the cases of a comparison, both (rows,).

    A row is a case; where folds are repeated, a case in the fold that validated it: each row then
    has a score of its own, and all rows of a case have one call.
    """

    scores: ArrayLike
    calls: ArrayLike
    among: NDArray[np.float64] | None = None  # (configurations, rows) it was chosen from, by fold


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
    labels: ArrayLike,
    methods: Mapping[str, Scored],
    *,
    against: str | None = None,
    folds: ArrayLike | None = None,
    cases: ArrayLike | None = None,
) -> tuple[PairedTest, ...]:
    """Tests of areas and calls of every pair of methods, or of `against` with every other.

    Areas by DeLong's test, or, where a method was chosen fold by fold, with the choice made anew in
    every draw (`mmcaf.stats.choice`); calls by McNemar's exact test.
    All tests are one family for Holm. With few cases and many methods no pair will stand out, which
    is the truth; `against` asks less and so can answer more.

    Args:
        labels: (rows,)
        methods: name -> scores and calls of these rows.
        against: the one method to compare with all others; None for every pair.
        folds: (rows,) which network scored the row; None for one network.
        cases: (rows,) which case it is, where folds are repeated and so share cases.

    Raises:
        ValueError: there is no method `against`; arrays of other shapes or values than allowed.
    """
    if against is not None and against not in methods:
        known = ", ".join(methods)
        raise ValueError(f"Need a method to compare against out of {known}; got {against!r}.")
    y = np.asarray(labels)
    once = np.arange(len(y)) if cases is None else np.unique(cases, return_index=True)[1]
    by_chance = _by_chance(y, methods, folds, cases)
    tests = []
    for first, second in _pairs(methods, against):
        a, b = methods[first], methods[second]
        areas = delong(y, a.scores, b.scores, folds=folds, cases=cases)
        if a.among is not None or b.among is not None:
            areas = with_chance(areas, by_chance(first) - by_chance(second))
        calls = mcnemar(y[once], np.asarray(a.calls)[once], np.asarray(b.calls)[once])
        tests.append(PairedTest(first, second, areas, calls))
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


def _by_chance(
    labels: NDArray[np.int64],
    methods: Mapping[str, Scored],
    folds: ArrayLike | None,
    cases: ArrayLike | None,
) -> Callable[[str], NDArray[np.float64]]:
    """Name -> what chance does to the method's area, draw by draw; each computed once."""
    n = len(labels)
    case = np.arange(n) if cases is None else np.unique(cases, return_inverse=True)[1]
    fold = np.zeros(n, dtype=np.int64) if folds is None else np.asarray(folds)

    @cache
    def of(name: str) -> NDArray[np.float64]:
        one = methods[name]
        scores = np.asarray(one.scores, dtype=float)[None] if one.among is None else one.among
        return chance(Outcomes(case, fold, labels, scores))

    return of


def _pairs(methods: Mapping[str, Scored], against: str | None) -> Iterator[tuple[str, str]]:
    if against is None:
        return combinations(methods, 2)
    return ((against, other) for other in methods if other != against)
