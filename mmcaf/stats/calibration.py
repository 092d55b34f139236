"""Whether a probability means what it says: Brier score and skill, intercept, slope, reliability.

With few positive cases all of this is illustrative: at 15 a slope's interval spans a factor of
three. Every figure has its interval, and what cannot be estimated is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.bootstrap import bootstrap_interval, weighted_brier
from mmcaf.stats.logistic import fit_logistic
from mmcaf.stats.metrics import Proportion, brier, checked

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
    labels: ArrayLike, probabilities: ArrayLike, confidence: float = 0.95
) -> Calibration:
    """All of it, of arrays of shape (cases,).

    The slope is that of a logistic regression of the label on the probability's logit; there is
    none where the classes do not overlap or all probabilities are one.

    Raises:
        ValueError: a probability is NaN or outside [0, 1]; labels other than 0 and 1.
    """
    y, p = checked(labels, probabilities)
    score = brier(y, p)
    share = float(y.mean()) if len(y) else nan
    certain = isnan(share) or share in (0.0, 1.0)
    logits = np.log(np.clip(p, _EDGE, 1 - _EDGE) / np.clip(1 - p, _EDGE, 1 - _EDGE))
    return Calibration(
        n=len(y),
        positives=int(y.sum()),
        brier=None if isnan(score) else score,
        brier_interval=bootstrap_interval(weighted_brier, y, p, confidence=confidence),
        skill=None if certain else 1 - score / (share * (1 - share)),
        intercept=None if certain else _in_the_large(y, logits, confidence),
        slope=None if certain else _slope(y, logits, confidence),
        bins=reliability(y, p),
    )


def reliability(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = MOST_BINS
) -> tuple[ReliabilityBin, ...]:
    """Cases in at most `bins` groups of about one size by probability, lowest first.

    Cases of one probability stay together, so there may be fewer groups.

    Raises:
        ValueError: more than five bins, which these numbers of patients cannot fill.
    """
    if not 1 <= bins <= MOST_BINS:
        raise ValueError(f"Need 1 to {MOST_BINS} bins, got {bins}.")
    y, p = checked(labels, probabilities)
    levels, of = np.unique(p, return_inverse=True)
    size = np.bincount(of, minlength=len(levels))
    middle = (np.cumsum(size) - size / 2) / max(1, len(y))  # of each level's cases, as a share
    group = np.minimum((middle * bins).astype(int), bins - 1)[of]
    return tuple(
        ReliabilityBin(
            float(p[group == one].mean()),
            Proportion(int(y[group == one].sum()), int((group == one).sum())),
        )
        for one in np.unique(group)
    )


def _in_the_large(labels: NDArray[np.int64], logits: Floats, confidence: float) -> Coefficient:
    """The shift of all logits at which as many positives are expected as there are, by bisection:
    the expected number only grows with the shift."""
    low, high = -float(logits.max()) - 40, -float(logits.min()) + 40
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-logits - middle))).sum() < labels.sum():
            low = middle
        else:
            high = middle
    expected = 1 / (1 + np.exp(-logits - middle))
    return _wald(middle, 1 / float((expected * (1 - expected)).sum()), confidence)


def _slope(labels: NDArray[np.int64], logits: Floats, confidence: float) -> Coefficient | None:
    sick, well = logits[labels == 1], logits[labels == 0]
    if well.max() <= sick.min() or sick.max() <= well.min():
        return None  # separated: the likelihood grows for ever
    model = fit_logistic(logits[:, None], labels, ridge=0.0)
    p = model.probability(logits[:, None])
    design = np.column_stack([np.ones(len(logits)), logits])
    information = (design * (p * (1 - p))[:, None]).T @ design
    spread = float(np.linalg.inv(information)[1, 1])
    return _wald(float(model.coefficients[1] / model.scale[0]), spread, confidence)


def _wald(value: float, spread: float, confidence: float) -> Coefficient:
    half = NormalDist().inv_cdf((1 + confidence) / 2) * spread**0.5
    return Coefficient(value, value - half, value + half)
