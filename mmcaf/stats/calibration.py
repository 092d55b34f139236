"""Whether a probability means what it says: Brier score and skill, intercept, slope, reliability.

With few positive cases all of this is illustrative: at 15 a slope's interval spans a factor of
three. Every figure has its interval, and what cannot be estimated is None. Networks of different
folds are calibrated each in its own way, so with `folds` every figure is made within folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import checked
from mmcaf.stats.bootstrap import bootstrap_interval, weighted_brier
from mmcaf.stats.metrics import Proportion, brier
from mmcaf.stats.regression.logistic import fit_logistic

__all__ = ["Calibration", "Coefficient", "ReliabilityBin", "calibration", "reliability"]

Floats = NDArray[np.float64]
_EDGE = 1e-6  # probabilities are kept this far from 0 and 1, where a logit is infinite
_STEPS = 100
MOST_BINS = 5


@dataclass(frozen=True, slots=True)
class Coefficient:
    """An estimate with its interval (Wald's, from the information)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases of neighbouring probability: what was predicted, and how many were positive."""

    predicted: float  # mean probability
    observed: Proportion

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of the share observed."""
        return self.observed.wilson()


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of `n` cases; ideal are skill near 1, intercept 0 and slope 1."""

    n: int
    positives: int
    brier: float | None
    brier_interval: tuple[float, float] | None
    skill: float | None  # 1 - Brier / that of always saying the prevalence
    intercept: Coefficient | None  # calibration in the large: slope held at 1
    slope: Coefficient | None
    bins: tuple[ReliabilityBin, ...]


def calibration(
    labels: ArrayLike,
    probabilities: ArrayLike,
    confidence: float = 0.95,
    *,
    folds: ArrayLike | None = None,
    cases: ArrayLike | None = None,
) -> Calibration:
    """All of it, of arrays of shape (rows,).

    The intercept is the mean of the folds', weighted by their cases. The slope is that of a
    logistic regression of the label on the probability's logit, with an intercept of its own for
    each fold; there is none where the classes do not overlap or all probabilities are one.

    Args:
        labels: (rows,)
        probabilities: (rows,)
        confidence: of the intervals.
        folds: (rows,) which network scored the row; None for one network.
        cases: (rows,) which case it is, where folds are repeated and so share cases.

    Raises:
        ValueError: a probability is NaN or outside [0, 1]; labels other than 0 and 1.
    """
    y, p = checked(labels, probabilities)
    score = brier(y, p)
    of = np.zeros(len(y)) if folds is None else np.asarray(folds)
    whole = [of == fold for fold in np.unique(of) if 0 < y[of == fold].sum() < (of == fold).sum()]
    logits = np.log(np.clip(p, _EDGE, 1 - _EDGE) / np.clip(1 - p, _EDGE, 1 - _EDGE))
    case = np.arange(len(y)) if cases is None else np.asarray(cases)
    _, once = np.unique(case, return_index=True)
    return Calibration(
        n=len(once),
        positives=int(y[once].sum()),
        brier=None if isnan(score) else score,
        brier_interval=bootstrap_interval(
            weighted_brier, y, p, confidence=confidence, folds=folds, cases=cases
        ),
        skill=_skill(y, p, whole),
        intercept=_in_the_large(y, logits, whole, confidence),
        slope=_slope(y, logits, whole, confidence),
        bins=reliability(y, p, folds=folds),
    )


def reliability(
    labels: ArrayLike,
    probabilities: ArrayLike,
    bins: int = MOST_BINS,
    *,
    folds: ArrayLike | None = None,
) -> tuple[ReliabilityBin, ...]:
    """Cases in at most `bins` groups of about one size by probability, lowest first.

    With `folds` the lowest group holds the lowest of every fold, and so on. Cases of one
    probability stay together, so there may be fewer groups.

    Raises:
        ValueError: more than five bins, which these numbers of patients cannot fill.
    """
    if not 1 <= bins <= MOST_BINS:
        raise ValueError(f"Need 1 to {MOST_BINS} bins, got {bins}.")
    y, p = checked(labels, probabilities)
    of = np.zeros(len(y)) if folds is None else np.asarray(folds)
    group = np.zeros(len(y), dtype=int)
    for fold in np.unique(of):
        group[of == fold] = _groups(p[of == fold], bins)
    return tuple(
        ReliabilityBin(
            float(p[group == one].mean()),
            Proportion(int(y[group == one].sum()), int((group == one).sum())),
        )
        for one in np.unique(group)
    )


def _groups(probabilities: Floats, bins: int) -> NDArray[np.int64]:
    levels, of = np.unique(probabilities, return_inverse=True)
    size = np.bincount(of, minlength=len(levels))
    middle = (np.cumsum(size) - size / 2) / max(1, len(of))  # of each level's cases, as a share
    return np.asarray(np.minimum((middle * bins).astype(int), bins - 1)[of])


def _skill(
    labels: NDArray[np.int64], probabilities: Floats, whole: list[NDArray[np.bool_]]
) -> float | None:
    """Against always saying the prevalence of the fold."""
    if not whole:
        return None
    rows = np.logical_or.reduce(whole)
    plain = sum(
        float(labels[fold].mean() * (1 - labels[fold].mean()) * fold.sum()) for fold in whole
    )
    return 1 - brier(labels[rows], probabilities[rows]) * int(rows.sum()) / plain


def _in_the_large(
    labels: NDArray[np.int64], logits: Floats, whole: list[NDArray[np.bool_]], confidence: float
) -> Coefficient | None:
    if not whole:
        return None
    found = [_shift(labels[fold], logits[fold]) for fold in whole]
    share = np.array([fold.sum() for fold in whole]) / sum(fold.sum() for fold in whole)
    value = sum(w * shift for w, (shift, _) in zip(share, found, strict=True))
    spread = sum(w**2 * variance for w, (_, variance) in zip(share, found, strict=True))
    return _wald(float(value), float(spread), confidence)


def _shift(labels: NDArray[np.int64], logits: Floats) -> tuple[float, float]:
    """The shift of all logits at which as many positives are expected as there are, by bisection:
    the expected number only grows with the shift. And its variance."""
    low, high = -float(logits.max()) - 40, -float(logits.min()) + 40
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-logits - middle))).sum() < labels.sum():
            low = middle
        else:
            high = middle
    expected = 1 / (1 + np.exp(-logits - middle))
    return middle, 1 / float((expected * (1 - expected)).sum())


def _slope(
    labels: NDArray[np.int64], logits: Floats, whole: list[NDArray[np.bool_]], confidence: float
) -> Coefficient | None:
    ends = [(logits[f & (labels == 1)], logits[f & (labels == 0)]) for f in whole]
    if all(well.max() <= sick.min() for sick, well in ends) or all(
        sick.max() <= well.min() for sick, well in ends
    ):
        return None  # separated: the likelihood grows for ever
    rows = np.logical_or.reduce(whole)
    columns = np.column_stack([logits, *whole[1:]])[rows].astype(float)
    model = fit_logistic(columns, labels[rows], ridge=0.0)
    p = model.probability(columns)
    design = np.column_stack([np.ones(len(columns)), columns])
    information = (design * (p * (1 - p))[:, None]).T @ design
    spread = float(np.linalg.inv(information)[1, 1])
    return _wald(float(model.coefficients[1] / model.scale[0]), spread, confidence)


def _wald(value: float, spread: float, confidence: float) -> Coefficient:
    half = NormalDist().inv_cdf((1 + confidence) / 2) * spread**0.5
    return Coefficient(value, value - half, value + half)
