"""The AUROC of scores that several networks gave, one per fold: within folds, never across them.

Networks of different folds have different scales, so a score of one says nothing beside a score of
another: pooled, a shift between folds alone can reverse an order of methods (Parker et al. 2007,
BMC Bioinformatics 8:326). Here a pair of cases counts only where one network scored both, and
folds weigh the same, as in a search. Without `folds` all scores are one network's. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PairedAreas",
    "auroc",
    "auroc_interval",
    "auroc_standard_error",
    "checked",
    "delong",
    "fold_shift",
    "placements",
]

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedAreas:
    """AUROCs of two methods on the same cases; NaN and None where undefined."""

    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    p: float | None
    error: float = nan  # standard error of the difference
    freedom: float = nan  # degrees of freedom of that error

    @property
    def higher(self) -> float | None:
        """Probability that the first method's true AUROC is the higher one, from these cases alone.

        The share above 0 of Student's distribution around the difference: what Bayes' theorem gives
        where nothing was known of the difference before (Box and Tiao 1973, section 2.4). None
        where there is no p.
        """
        from scipy.special import stdtr

        if self.p is None:
            return None
        if not self.error > 0:
            return 0.5
        return float(stdtr(self.freedom, self.difference / self.error))


@dataclass(frozen=True, slots=True)
class _Spread:
    """Variance that the cases of one class bring to an AUROC, and what is known of it."""

    variance: float
    freedom: int  # degrees of freedom of that estimate
    cases: int


def auroc(labels: ArrayLike, scores: ArrayLike, folds: ArrayLike | None = None) -> float:
    """Probability that a positive case scores above a negative one of its fold, ties counting half.

    The mean over folds; a fold without cases of both classes says nothing and is left out. NaN
    where none is left.

    Args:
        labels: (rows,) 1 positive, 0 negative.
        scores: (rows,)
        folds: (rows,) which network scored the row; None for one network.

    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> auroc([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9], folds=[0, 0, 1, 1])  # pooled it is 0.75
    1.0
    """
    y, s = checked(labels, scores)
    areas = [float(placements(s[p], s[n]).mean()) for p, n in _parts(y, folds)]
    return float(np.mean(areas)) if areas else nan


def auroc_standard_error(
    labels: ArrayLike,
    scores: ArrayLike,
    folds: ArrayLike | None = None,
    cases: ArrayLike | None = None,
) -> float:
    """Standard error of `auroc` after DeLong et al. 1988, stratified by fold.

    NaN where no fold has two cases of a class.

    Args:
        labels: (rows,)
        scores: (rows,)
        folds: (rows,) which network scored the row; None for one network.
        cases: (rows,) which case it is, where folds are repeated and so share cases.
    """
    y, s = checked(labels, scores)
    positive, negative = _spreads(y, _placed(y, s, folds), folds, cases)
    return sqrt(positive.variance + negative.variance)


def auroc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    confidence: float = 0.95,
    *,
    folds: ArrayLike | None = None,
    cases: ArrayLike | None = None,
) -> tuple[float, float]:
    """DeLong's interval on the logit scale, stratified by fold, with Student's quantiles.

    Where few cases are misplaced their spread is underestimated. So the interval also holds that of
    the same cases with one more of each class, level with all others of its fold (as in Agresti and
    Coull's interval of a proportion). Simulated coverage: `tests/mmcaf/stats/test_areas.py`.

    Where scores separate the classes wholly, k disjoint pairs, k the sum over folds of the smaller
    class, all came out one way; that excludes areas A with A^k below half the error allowed.
    (0, 1), which excludes nothing, where a class has fewer than two cases or scores no spread.
    """
    y, s = checked(labels, scores)
    area, tail = auroc(y, s, folds), (1 - confidence) / 2
    if isnan(area):
        return 0.0, 1.0
    if area in (0.0, 1.0):
        bound = tail ** (1 / sum(min(len(p), len(n)) for p, n in _parts(y, folds)))
        return (bound, 1.0) if area else (0.0, 1 - bound)
    plain = _spreads(y, _placed(y, s, folds), folds, cases)
    if not sum(one.variance for one in plain) > 0:
        return 0.0, 1.0
    level = [_with_one_level(one, area - 0.5) for one in plain]
    shrink = float(np.mean([(one.cases - 1) / one.cases for one in level]))
    bounds = [
        *_logit_bounds(area, plain, tail),
        *_logit_bounds(0.5 + (area - 0.5) * shrink, level, tail),
    ]
    return min(bounds), max(bounds)


def delong(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    confidence: float = 0.95,
    *,
    folds: ArrayLike | None = None,
    cases: ArrayLike | None = None,
) -> PairedAreas:
    """Difference of two AUROCs of the same rows after DeLong et al. 1988, stratified by fold.

    No interval and no p with fewer than two cases of a class, or where the areas differ and yet
    their difference has no spread (both separate the classes, one the wrong way). Two methods with
    the same placements differ by nothing, with p = 1; without any spread there is no interval, for
    two that both separate a few cases may differ on others.

    Args:
        labels: (rows,)
        first: (rows,) scores of one method.
        second: (rows,) scores of the other.
        confidence: of the interval.
        folds: (rows,) which network scored the row; None for one network.
        cases: (rows,) which case it is, where folds are repeated and so share cases.
    """
    from scipy.special import stdtr, stdtrit

    y, a = checked(labels, first)
    _, b = checked(labels, second)
    area, other = auroc(y, a, folds), auroc(y, b, folds)
    gap = area - other
    spreads = _spreads(y, _placed(y, a, folds) - _placed(y, b, folds), folds, cases)
    error = sqrt(sum(one.variance for one in spreads))
    if isnan(error):
        return PairedAreas(area, other, gap, None, None)
    if error < 1e-12:
        p = 1.0 if abs(gap) < 1e-12 else None
        return PairedAreas(area, other, gap, None, p, error=0.0)
    freedom = _freedom(spreads)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    bounds = (max(-1.0, gap - half), min(1.0, gap + half))
    of_student = 2 * float(stdtr(freedom, -abs(gap) / error))
    return PairedAreas(area, other, gap, bounds, of_student, error, freedom)


def fold_shift(labels: ArrayLike, scores: ArrayLike, folds: ArrayLike) -> float:
    """How far the networks' scales lie apart: the standard deviation between folds of the mean
    score, in standard deviations within a class and fold, less what chance alone gives.

    0 where all networks agree. From about 0.5 on, pooling the scores of folds misleads: at 1, a
    method of the same AUROC seems better in a third of comparisons. NaN with one fold, or without
    any spread within.

    Args:
        labels: (rows,)
        scores: (rows,) logits; probabilities are squeezed near 0 and 1.
        folds: (rows,) which network scored the row.
    """
    y, s = checked(labels, scores)
    of = np.asarray(folds)
    groups = [
        [s[(of == fold) & (y == label)] for label in (0, 1)]
        for fold in np.unique(of)
        if {*y[of == fold].tolist()} == {0, 1}
    ]
    freedom = sum(len(group) - 1 for pair in groups for group in pair)
    if len(groups) < 2 or not freedom:
        return nan
    within = sum(float(((g - g.mean()) ** 2).sum()) for pair in groups for g in pair) / freedom
    if not within > 0:
        return nan
    means = [np.mean([group.mean() for group in pair]) for pair in groups]  # classes weigh the same
    chance = float(np.mean([sum(within / len(g) for g in pair) / 4 for pair in groups]))
    return sqrt(max(0.0, float(np.var(means, ddof=1)) - chance) / within)


def placements(ours: Floats, others: Floats) -> Floats:
    """For each of `ours` the share of `others` below it, ties counting half; shape of `ours`."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, ours, side="left")
    not_above = np.searchsorted(ranked, ours, side="right")
    return (below + not_above) / (2 * len(others))


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], Floats]:
    """Both as arrays of shape (cases,).

    Raises:
        ValueError: other shapes, labels other than 0 and 1, a score that is NaN or infinite.
    """
    y, s = np.asarray(labels), np.asarray(scores, dtype=float)
    if y.ndim != 1 or y.shape != s.shape:
        raise ValueError(f"Need two arrays of one shape (cases,), got {y.shape} and {s.shape}.")
    if not np.isin(y, (0, 1)).all() or not np.isfinite(s).all():
        odd = int((~np.isfinite(s)).sum())
        raise ValueError(
            "Need labels in {0, 1} and finite scores, got labels "
            f"{np.unique(y)[:5].tolist()} and {odd} of {len(s)} scores that are NaN or infinite."
        )
    return y.astype(np.int64), s


def _parts(labels: NDArray[np.int64], folds: ArrayLike | None) -> Iterator[tuple[Index, Index]]:
    """Rows of the positive and of the negative cases of each fold that has both."""
    of = np.zeros(len(labels)) if folds is None else np.asarray(folds)
    if of.shape != labels.shape:
        raise ValueError(f"Need a fold for each of {len(labels)} rows, got shape {of.shape}.")
    for fold in np.unique(of):
        positive = np.flatnonzero((of == fold) & (labels == 1))
        negative = np.flatnonzero((of == fold) & (labels == 0))
        if len(positive) and len(negative):
            yield positive, negative


def _placed(labels: NDArray[np.int64], scores: Floats, folds: ArrayLike | None) -> Floats:
    """(rows,) the share of the other class, in the row's fold, on the right side of the row."""
    placed = np.full(len(labels), nan)
    for positive, negative in _parts(labels, folds):
        placed[positive] = placements(scores[positive], scores[negative])
        placed[negative] = 1 - placements(scores[negative], scores[positive])
    return placed


def _spreads(
    labels: NDArray[np.int64], placed: Floats, folds: ArrayLike | None, cases: ArrayLike | None
) -> tuple[_Spread, _Spread]:
    """What the positive cases bring to the variance of the mean of `placed`, and the negative."""
    case = np.arange(len(labels)) if cases is None else np.unique(cases, return_inverse=True)[1]
    parts = list(_parts(labels, folds))
    positive, negative = ([pair[k] for pair in parts] for k in (0, 1))
    return _spread(placed, positive, case), _spread(placed, negative, case)


def _spread(placed: Floats, parts: list[Index], case: Index) -> _Spread:
    """Of one class: squares of each case's pull on the mean over folds.

    A fold with a single case of the class shows no spread; it is given the mean of the others'.
    """
    pull = np.zeros(int(case.max(initial=-1)) + 1)
    seen: list[float] = []
    lonely = 0
    for rows in parts:
        if len(rows) < 2:
            lonely += 1
            continue
        apart = placed[rows] - placed[rows].mean()
        np.add.at(pull, case[rows], apart / sqrt(len(rows) * (len(rows) - 1)))
        seen.append(float(apart @ apart) / (len(rows) - 1))
    cases = len({int(one) for rows in parts for one in case[rows]})
    if not seen:
        return _Spread(nan, 0, cases)
    variance = (float(pull @ pull) + lonely * float(np.mean(seen))) / len(parts) ** 2
    repeats = sum(len(rows) for rows in parts) / cases
    return _Spread(variance, max(1, cases - round(len(parts) / repeats)), cases)


def _with_one_level(spread: _Spread, above: float) -> _Spread:
    """With one more case of the class, level with the other class: `above` from the mean."""
    n = spread.cases
    of_case = spread.variance * n
    wider = ((n - 1) * of_case + n / (n + 1) * above**2) / n
    return _Spread(wider / (n + 1), spread.freedom, n + 1)


def _logit_bounds(area: float, spreads: Sequence[_Spread], tail: float) -> tuple[float, float]:
    from scipy.special import expit, logit, stdtrit

    error = sqrt(sum(one.variance for one in spreads))
    half = float(stdtrit(_freedom(spreads), 1 - tail)) * error / (area * (1 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))


def _freedom(spreads: Sequence[_Spread]) -> float:
    """Degrees of freedom of the sum, after Satterthwaite."""
    below = sum(one.variance**2 / one.freedom for one in spreads)
    total = sum(one.variance for one in spreads)
    return total**2 / below if below > 0 else float(min(one.freedom for one in spreads))
