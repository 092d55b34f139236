"""Logistic regression with a ridge penalty: what every network has to beat, in plain numpy.

Features are standardised by the training rows alone. Newton's method; a penalty of 1 on
standardised features is what statistics packages call C = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LogisticRegression", "fit_logistic", "out_of_fold"]

Floats = NDArray[np.float64]
_STEPS = 50
_CLOSE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class LogisticRegression:
    """Fitted coefficients of standardised features, the intercept first."""

    mean: Floats  # (features,)
    scale: Floats
    coefficients: Floats  # (1 + features,)

    def probability(self, features: Floats) -> Floats:
        """Probability of class 1, shape (rows,), of features (rows, features)."""
        z = _design(features, self.mean, self.scale) @ self.coefficients
        return np.asarray(1 / (1 + np.exp(-np.clip(z, -500, 500))))


def fit_logistic(
    features: Floats, labels: NDArray[np.int64], *, ridge: float = 1.0
) -> LogisticRegression:
    """Fit to features (rows, features) and labels in {0, 1}; the intercept is not penalised.

    Raises:
        ValueError: a class is missing, or a feature is not finite.
    """
    if not 0 < labels.sum() < len(labels):
        raise ValueError(f"Need both classes, got {int(labels.sum())} positive of {len(labels)}.")
    if not np.isfinite(features).all():
        raise ValueError("Need finite features; set missing values to the training median first.")
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    design = _design(features, mean, scale)
    penalty = np.diag([0.0, *[ridge] * features.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        gradient = design.T @ (probability - labels) + penalty @ weights
        curvature = probability * (1 - probability)
        hessian = (design * curvature[:, None]).T @ design + penalty
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        weights -= step
        if np.abs(step).max() < _CLOSE:
            break
    return LogisticRegression(mean, scale, weights)


def out_of_fold(
    features: Floats, labels: NDArray[np.int64], parts: Sequence[NDArray[np.int64]]
) -> Floats:
    """Each row's probability from a model fitted to the rows of all other parts."""
    found = np.full(len(labels), np.nan)
    for part in parts:
        others = np.setdiff1d(np.arange(len(labels)), part)
        model = fit_logistic(features[others], labels[others])
        found[part] = model.probability(features[part])
    return found


def _design(features: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.column_stack([np.ones(len(features)), (features - mean) / scale])
