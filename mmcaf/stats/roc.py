"""Curves of a binary diagnosis as plain points with bands: ROC, and net benefit by threshold.

Pure numpy, nothing is drawn here. A band is pointwise, from a bootstrap stratified by class: it
says how sure each point is, not that the whole curve lies inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.bootstrap import draw_weights
from mmcaf.stats.metrics import brier, checked

__all__ = ["DecisionCurve", "RocBand", "RocCurve", "decision_curve", "roc", "roc_band"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """Corners of the curve from (0, 0) to (1, 1); a case is called positive from `threshold` on."""

    threshold: Floats  # (corners,) falling, the first infinite
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


def roc(labels: ArrayLike, scores: ArrayLike) -> RocCurve | None:
    """The curve of arrays (cases,); tied scores are one corner. None where a class is missing."""
    y, s = checked(labels, scores)
    if not 0 < y.sum() < len(y):
        return None
    levels, called = _levels(s)
    rates = [called[:, y == label].mean(axis=1) for label in (0, 1)]
    return RocCurve(np.append(np.inf, levels), *(np.append(0.0, rate) for rate in rates))


def roc_band(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    points: int = 101,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> RocBand | None:
    """The band of `roc`, vertical; None with fewer than two cases of a class."""
    y, s = checked(labels, scores)
    if min(y.sum(), (1 - y).sum()) < 2:
        return None
    weights, grid = draw_weights(y, resamples, seed), np.linspace(0, 1, points)
    _, called = _levels(s)
    # (resamples, corners) each
    wrong, right = (weights[:, y == k] @ called[:, y == k].T / (y == k).sum() for k in (0, 1))
    curves = np.stack(
        [
            np.interp(grid, np.append(0.0, fpr), np.append(0.0, tpr))
            for fpr, tpr in zip(wrong, right, strict=True)
        ]
    )
    low, high = np.quantile(curves, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return RocBand(grid, low, high)


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


def _levels(scores: Floats) -> tuple[Floats, Floats]:
    """Distinct scores, the highest first, and who is called positive from each on: (levels, cases)
    of 0 and 1."""
    levels = np.unique(scores)[::-1]
    return levels, (scores[None] >= levels[:, None]).astype(float)
