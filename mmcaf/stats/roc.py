"""Curves of a binary diagnosis as plain points with bands: ROC, and net benefit by threshold.

Pure numpy, nothing is drawn here. Where several networks scored the cases, one per fold, a ROC
curve is the mean of theirs, for scores of different networks cannot be put in one order; its area
is the AUROC within folds. Net benefit is a sum over cases, each decided by its own network. A band
is pointwise, from a bootstrap stratified by class and fold: it says how sure each point is, not
that the whole curve lies inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import checked
from mmcaf.stats.bootstrap import draw_weights
from mmcaf.stats.metrics import brier

__all__ = ["DecisionCurve", "RocBand", "RocCurve", "decision_curve", "roc", "roc_band"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Corners of the curve from (0, 0) to (1, 1), both (corners,) and rising."""

    false_positive_rate: Floats
    sensitivity: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RocBand:
    """Between which sensitivities the curve lies at each false positive rate, pointwise."""

    false_positive_rate: Floats  # (points,)
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, eq=False)
class DecisionCurve:
    """Net benefit per patient of treating those above a threshold (Vickers and Elkin 2006).

    Treating nobody has the net benefit 0. The band is of the model.
    """

    threshold: Floats  # (thresholds,) probability from which on a patient is treated
    model: Floats
    treat_all: Floats
    low: Floats | None
    high: Floats | None


def roc(labels: ArrayLike, scores: ArrayLike, folds: ArrayLike | None = None) -> RocCurve | None:
    """The curve of arrays (rows,), the mean over folds at each false positive rate.

    Tied scores are one corner. A fold that lacks a class is left out; None where all do.
    """
    y, s = checked(labels, scores)
    of = np.zeros(len(y)) if folds is None else np.asarray(folds)
    whole = [of == fold for fold in np.unique(of) if 0 < y[of == fold].sum() < (of == fold).sum()]
    if not whole:
        return None
    curves = [_corners(y[rows], s[rows]) for rows in whole]
    rates = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # A curve may rise without going on: at each rate it has a lower and an upper end.
    ends = np.mean([_ends(fpr, tpr, rates) for fpr, tpr in curves], axis=0)  # (2, rates)
    x, y_ = np.repeat(rates, 2), ends.T.ravel()
    kept = np.append(True, (np.diff(x) > 0) | (np.diff(y_) > 1e-12))
    return RocCurve(x[kept], y_[kept])


def roc_band(
    labels: ArrayLike,
    scores: ArrayLike,
    folds: ArrayLike | None = None,
    *,
    cases: ArrayLike | None = None,
    points: int = 101,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> RocBand | None:
    """The band of `roc`, vertical; None with fewer than two cases of a class, or where no fold has
    both.

    `folds` and `cases`, both (rows,), are those of `bootstrap.draw_weights`.
    """
    y, s = checked(labels, scores)
    if min(y.sum(), (1 - y).sum()) < 2:
        return None
    weights, grid = (
        draw_weights(y, resamples, seed, folds=folds, cases=cases),
        np.linspace(0, 1, points),
    )
    of = np.zeros(len(y)) if folds is None else np.asarray(folds)
    total, count = np.zeros((resamples, points)), np.zeros((resamples, 1))
    for fold in np.unique(of):
        rows = of == fold
        both = [weights[:, rows & (y == k)].sum(axis=1, keepdims=True) > 0 for k in (0, 1)]
        exists = both[0] & both[1]
        if not exists.any():
            continue
        curves = _drawn_curves(y[rows], s[rows], weights[:, rows], grid)
        total += np.where(exists, curves, 0.0)
        count += exists
    if not count.any():
        return None
    means = total[count[:, 0] > 0] / count[count[:, 0] > 0]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return RocBand(grid, low, high)


def _drawn_curves(
    labels: NDArray[np.int64], scores: Floats, weights: Floats, grid: Floats
) -> Floats:
    """Sensitivity at each rate of `grid`, (resamples, points); NaN where a class was not drawn."""
    _, called = _levels(scores)
    drawn = [weights[:, labels == k].sum(axis=1, keepdims=True) for k in (0, 1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        wrong, right = (
            weights[:, labels == k] @ called[:, labels == k].T / drawn[k] for k in (0, 1)
        )
    return np.stack(
        [
            np.interp(grid, np.append(0.0, fpr), np.append(0.0, tpr))
            for fpr, tpr in zip(wrong, right, strict=True)
        ]
    )


def decision_curve(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    thresholds: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> DecisionCurve | None:
    """Net benefit of arrays (cases,) at thresholds from 0.01 to 0.99, or those given.

    None without cases; no band with fewer than two of a class.

    Raises:
        ValueError: a threshold not strictly between 0 and 1, a probability outside [0, 1].
    """
    y, p = checked(labels, probabilities)
    t = np.linspace(0.01, 0.99, 99) if thresholds is None else np.asarray(thresholds, dtype=float)
    if not ((t > 0) & (t < 1)).all():
        raise ValueError(f"Need thresholds between 0 and 1, got {t.min():g} to {t.max():g}.")
    brier(y, p)  # refuses logits
    if not len(y):
        return None
    called, odds = p[None] >= t[:, None], t / (1 - t)
    gain = called * (y - (1 - y) * odds[:, None])  # (thresholds, cases)
    everyone = y.mean() - (1 - y.mean()) * odds
    low = high = None
    if min(y.sum(), (1 - y).sum()) >= 2:
        drawn = draw_weights(y, resamples, seed) @ gain.T / len(y)
        low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return DecisionCurve(t, gain.mean(axis=1), everyone, low, high)


def _corners(labels: NDArray[np.int64], scores: Floats) -> tuple[Floats, Floats]:
    """False positive rate and sensitivity from (0, 0) to (1, 1) of one network's scores."""
    _, called = _levels(scores)
    fpr, tpr = (np.append(0.0, called[:, labels == k].mean(axis=1)) for k in (0, 1))
    return fpr, tpr


def _ends(fpr: Floats, tpr: Floats, rates: Floats) -> Floats:
    """Lowest and highest sensitivity of a curve at each rate, (2, rates)."""
    first = np.searchsorted(fpr, rates, side="left")
    last = np.searchsorted(fpr, rates, side="right") - 1
    between = np.interp(rates, fpr, tpr)
    corner = first <= last
    ends = [np.where(corner, tpr[np.minimum(i, len(tpr) - 1)], between) for i in (first, last)]
    return np.stack(ends)


def _levels(scores: Floats) -> tuple[Floats, Floats]:
    """Distinct scores, the highest first, and who is called positive from each on: (levels, cases)
    of 0 and 1."""
    levels = np.unique(scores)[::-1]
    return levels, (scores[None] >= levels[:, None]).astype(float)
