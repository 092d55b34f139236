"""How much of a value is luck: intervals over repeated splits, and the optimism of a choice.

Pure numpy. Two facts about cross-validation decide here. Values of different folds and splits
share training patients, so their spread is too small for an interval: Nadeau and Bengio's (2003)
correction widens it. And the best of many configurations on the same patients is better than it
will be on others: BBC-CV (Tsamardinos et al. 2018) resamples the choice itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.areas import auroc_interval

__all__ = ["Estimate", "Outcomes", "bbc", "corrected_interval"]

_CHUNK = 25  # resamples at once; bounds the memory


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of `n` values, with an interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Out-of-sample scores of several configurations on the same validation rows.

    A row is a case in the fold that validated it: one per case in plain cross-validation, several
    where it is repeated.
    """

    case: NDArray[np.int64]  # (rows,) which case, from 0
    fold: NDArray[np.int64]  # (rows,)
    label: NDArray[np.int64]  # (rows,) 1 squamous, 0 adenocarcinoma
    score: NDArray[np.float64]  # (configurations, rows)

    def rows(self, kept: NDArray[np.bool_]) -> Outcomes:
        """Those of the (rows,) that are `kept`."""
        return Outcomes(self.case[kept], self.fold[kept], self.label[kept], self.score[:, kept])


def corrected_interval(
    values: Sequence[float], *, ratio: float, confidence: float = 0.95
) -> Estimate:
    """Mean of cross-validated values and its interval after Nadeau and Bengio.

    Args:
        values: one per fold and repetition.
        ratio: validation cases per training case.
        confidence: of the interval, cut to [0, 1]; NaN bounds with fewer than two values.

    >>> found = corrected_interval([0.7, 0.8, 0.75, 0.65, 0.85], ratio=0.25)
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
    (0.75, 0.603, 0.897)
    """
    from scipy.special import stdtrit

    n = len(values)
    mean = float(np.mean(values)) if n else nan
    if n < 2:
        return Estimate(mean, nan, nan, n)
    error = sqrt((1 / n + ratio) * float(np.var(values, ddof=1)))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * error
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), n)


def bbc(
    outcomes: Outcomes,
    *,
    judged: NDArray[np.bool_] | None = None,
    resamples: int = 500,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """The AUROC to expect of the configuration chosen for the best mean over folds.

    Cases are drawn with replacement; the configuration best on those drawn is judged on those left
    out. The value is the mean over the resamples, with a percentile interval. That is wide: a
    resample judges by the third of the cases that it did not draw. Where all resamples give one
    value (scores that separate the classes, or are all level), the interval is that of
    `auroc_interval` for what was chosen most often.

    Args:
        outcomes: what the choice was made of.
        judged: (rows,) those that judge, all unless given. Leave out what also decided which
            configurations there are.
        resamples: number of draws.
        seed: of the draws.
        confidence: of the interval.

    Returns:
        An estimate whose `n` is the number of cases that judge.
    """
    cases = int(outcomes.case.max()) + 1
    judges = outcomes if judged is None else outcomes.rows(judged)
    rng = np.random.Generator(np.random.Philox(seed))
    found: list[NDArray[np.float64]] = []
    times = np.zeros(len(outcomes.score), dtype=np.int64)  # each configuration was chosen
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = rng.multinomial(cases, np.full(cases, 1 / cases), size=size)
        chosen_for = _mean_over_folds(outcomes, drawn.astype(np.float32))
        judged_by = _mean_over_folds(judges, (drawn == 0).astype(np.float32))
        possible = ~np.isnan(chosen_for).all(axis=0)
        best = np.nanargmax(np.where(possible, chosen_for, 0.0), axis=0)
        times += np.bincount(best[possible], minlength=len(times))
        value = judged_by[best, np.arange(size)][possible]
        found.append(value[~np.isnan(value)])
    values, n = np.concatenate(found), len(np.unique(judges.case))
    if not len(values) or np.ptp(values) > 1e-6:
        return _percentiles(values, confidence, n)
    low, high = auroc_interval(
        judges.label,
        judges.score[times.argmax()],
        confidence,
        folds=judges.fold,
        cases=judges.case,
    )
    return Estimate(float(np.mean(values)), low, high, n)


def _percentiles(values: NDArray[np.float64], confidence: float, cases: int) -> Estimate:
    if not len(values):
        return Estimate(nan, nan, nan, cases)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Estimate(float(np.mean(values)), float(low), float(high), cases)


def _mean_over_folds(outcomes: Outcomes, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """AUROC of every configuration under case weights, the mean over the folds it exists in.

    `weights` has shape (resamples, cases); the result (configurations, resamples).
    """
    total = np.zeros((len(outcomes.score), len(weights)))
    count = np.zeros(len(weights))
    for fold in np.unique(outcomes.fold):
        positive = (outcomes.fold == fold) & (outcomes.label == 1)
        negative = (outcomes.fold == fold) & (outcomes.label == 0)
        of_positive = weights[:, outcomes.case[positive]]  # (resamples, positives)
        of_negative = weights[:, outcomes.case[negative]]
        pairs = of_positive.sum(axis=1) * of_negative.sum(axis=1)
        a, b = outcomes.score[:, positive, None], outcomes.score[:, None, negative]
        wins = ((a > b) + 0.5 * (a == b)).astype(np.float32)  # (configurations, pos, neg)
        weighted = np.einsum("cpr,rp->cr", wins @ of_negative.T, of_positive)
        exists = pairs > 0
        total[:, exists] += weighted[:, exists] / pairs[exists]
        count += exists
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, nan)
