"""Bootstrap intervals, stratified by class and fold: for metrics no formula has an interval for.

Cases are drawn anew within each class (and fold, where several networks scored them), so that every
resample has as many positives as the data. A
resample is a row of weights, how often each case was drawn, and a metric is a function of weights:
all resamples are computed at once, and the jackknife behind BCa (Efron 1987) is one weight of 0.
Pure numpy. The same seed gives the same interval.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import checked

__all__ = [
    "Weighted",
    "bootstrap_interval",
    "by_fold",
    "draw_weights",
    "weighted_auprc",
    "weighted_brier",
    "weighted_f1",
]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Weighted = Callable[[Labels, Floats, Floats], Floats]
"""Labels (cases,), scores (cases,), weights (resamples, cases) -> values (resamples,)."""

Kind = Literal["bca", "percentile"]
_NORMAL = NormalDist()


def weighted_auprc(labels: Labels, scores: Floats, weights: Floats) -> Floats:
    """Average precision under case weights; NaN where the positives have no weight."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    drawn = weights[:, order]
    called = np.cumsum(drawn, axis=1)[:, last_of_tie]
    hits = np.cumsum(drawn * labels[order], axis=1)[:, last_of_tie]
    gained = np.diff(hits, axis=1, prepend=0.0)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    return _divided((gained * precision).sum(axis=1), weights @ (labels == 1))


def weighted_brier(labels: Labels, scores: Floats, weights: Floats) -> Floats:
    """Mean squared difference of probability and label under case weights."""
    return _divided(weights @ (scores - labels) ** 2, weights.sum(axis=1))


def weighted_f1(labels: Labels, calls: Floats, weights: Floats) -> Floats:
    """F1 under case weights; the scores are calls here, 1 where called positive and else 0."""
    hits = weights @ (labels * calls)
    return _divided(2 * hits, weights @ labels + weights @ calls)


def draw_weights(
    labels: Labels,
    resamples: int,
    seed: int,
    *,
    folds: ArrayLike | None = None,
    cases: ArrayLike | None = None,
) -> Floats:
    """How often each row is drawn, (resamples, rows); as many of each class as there are.

    Args:
        labels: (rows,)
        resamples: number of draws.
        seed: of the draws.
        folds: (rows,) which network scored the row; as many of each fold are drawn, then.
        cases: (rows,) which case it is, where folds are repeated: rows of a case are drawn
            together, and as many of each class, whichever folds they are of.
    """
    random = np.random.Generator(np.random.Philox(seed))
    _, first, of_row = np.unique(
        np.arange(len(labels)) if cases is None else np.asarray(cases),
        return_index=True,
        return_inverse=True,
    )
    repeated = len(first) < len(labels)
    part = np.zeros(len(labels)) if folds is None or repeated else np.asarray(folds)
    weights = np.zeros((resamples, len(first)))
    for fold in np.unique(part):
        for label in (0, 1):
            drawn = np.flatnonzero((labels[first] == label) & (part[first] == fold))
            if len(drawn):
                shares = np.full(len(drawn), 1 / len(drawn))
                weights[:, drawn] = random.multinomial(len(drawn), shares, size=resamples)
    return weights[:, of_row]


def by_fold(metric: Weighted, folds: ArrayLike | None) -> Weighted:
    """The mean of a metric over folds (rows,); over those where it is defined."""
    if folds is None:
        return metric
    of = np.asarray(folds)

    def mean(labels: Labels, scores: Floats, weights: Floats) -> Floats:
        values = np.stack(
            [metric(labels[of == f], scores[of == f], weights[:, of == f]) for f in np.unique(of)]
        )
        return _divided(np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0))

    return mean


def bootstrap_interval(
    metric: Weighted,
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    kind: Kind = "bca",
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    folds: ArrayLike | None = None,
    cases: ArrayLike | None = None,
) -> tuple[float, float] | None:
    """Interval of a metric of arrays of shape (rows,); with `folds`, of its mean over folds.

    `folds` and `cases`, both (rows,), are those of `draw_weights`.

    None where there is none to be had: fewer than two cases of a class, or resamples that all give
    one value (scores that separate the classes wholly, say), whose spread would be 0.

    Raises:
        ValueError: labels other than 0 and 1, scores that are NaN or infinite.
    """
    y, s = checked(labels, scores)
    if min((y == 1).sum(), (y == 0).sum()) < 2:
        return None
    of_folds = by_fold(metric, folds)

    def statistic(weights: Floats) -> Floats:
        return of_folds(y, s, weights)

    found = statistic(draw_weights(y, resamples, seed, folds=folds, cases=cases))
    found = found[np.isfinite(found)]
    if not len(found) or np.ptp(found) < 1e-12:
        return None
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if kind == "bca":
        tails = _accelerated(tails, found, statistic, y, cases)
    low, high = np.quantile(found, tails)
    return float(low), float(high)


def _accelerated(
    tails: Floats,
    found: Floats,
    statistic: Callable[[Floats], Floats],
    labels: Labels,
    cases: ArrayLike | None,
) -> Floats:
    """The quantiles to take instead of `tails`: corrected for bias, and for a spread that grows."""
    case = np.arange(len(labels)) if cases is None else np.unique(cases, return_inverse=True)[1]
    _, first = np.unique(case, return_index=True)
    ones = np.ones((1, len(labels)))
    value = float(statistic(ones)[0])
    below = float(((found < value) + 0.5 * np.isclose(found, value)).mean())
    if not 0 < below < 1:  # the value lies outside its own resamples: no correction is defined
        return tails
    left_out = statistic(ones - (case[None] == np.arange(len(first))[:, None]))
    cubes = squares = 0.0
    for label in (0, 1):
        of_class = left_out[labels[first] == label]
        of_class = of_class[np.isfinite(of_class)]
        size = len(of_class)
        pull = (size - 1) * (of_class.mean() - of_class) / size
        cubes, squares = cubes + (pull**3).sum(), squares + (pull**2).sum()
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    bias = _NORMAL.inv_cdf(below)
    shifted = np.array([bias + _NORMAL.inv_cdf(tail) for tail in tails])
    corrected = bias + shifted / (1 - acceleration * shifted)
    return np.array([_NORMAL.cdf(z) for z in corrected])


def _divided(above: Floats, below: Floats) -> Floats:
    found = np.full(len(above), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found
