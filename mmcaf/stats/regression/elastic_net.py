"""Elastic-net logistic regression by proximal gradient, and the choice of its penalties.

Minimises  l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2 + strength * sum_i weight_i logloss_i  with the
intercept free of penalty: what statistics packages call C and l1_ratio. Accelerated steps with
restarts (Beck and Teboulle 2009; O'Donoghue and Candes 2015). Many settings are fitted at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.areas import auroc

__all__ = ["ElasticNet", "Penalty", "choose_penalty", "fit_elastic_net", "penalties"]

Floats = NDArray[np.float64]
ClassWeight = Literal["none", "balanced"]
_STEPS = 2000
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Penalty:
    """How strongly the coefficients are held back, and towards what."""

    strength: float  # C: weight of the data against the penalty
    l1_ratio: float  # 0 ridge, 1 lasso
    class_weight: ClassWeight = "none"  # balanced: both classes count the same in total


def penalties(
    strength: float | None = None,
    l1_ratio: float | None = None,
    class_weight: ClassWeight | None = None,
) -> tuple[Penalty, ...]:
    """The published grid (Huang et al. 2020), or of it what is left open."""
    return tuple(
        Penalty(*combination)
        for combination in product(
            (1e-3, 0.1, 1.0, 10.0, 1000.0) if strength is None else (strength,),
            (0.01, 0.1, 0.3, 0.5, 0.9, 0.99) if l1_ratio is None else (l1_ratio,),
            get_args(ClassWeight) if class_weight is None else (class_weight,),
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class ElasticNet:
    """A fitted model of the features as they were given."""

    intercept: float
    coefficients: Floats  # (features,)

    @property
    def constant(self) -> bool:
        """Whether every coefficient is 0, so that all cases get one score."""
        return not self.coefficients.any()

    def logit(self, features: Floats) -> Floats:
        """Log odds of class 1, shape (rows,), of features (rows, features)."""
        return np.asarray(features @ self.coefficients + self.intercept)


def fit_elastic_net(
    features: Floats, labels: NDArray[np.int64], candidates: Sequence[Penalty]
) -> list[ElasticNet]:
    """One model for each candidate, all fitted to features (rows, features) and labels in {0, 1}.

    Features are taken as they are: standardise them beforehand, for the penalty compares them.

    Raises:
        ValueError: a class is missing, or a feature is not finite.
    """
    if not 0 < labels.sum() < len(labels):
        raise ValueError(f"Need both classes, got {int(labels.sum())} positive of {len(labels)}.")
    if not np.isfinite(features).all():
        raise ValueError("Need finite features; set missing values to the training median first.")
    design = np.column_stack([np.ones(len(features)), features])
    weights = np.stack([_case_weights(labels, p.class_weight) * p.strength for p in candidates])
    l1 = np.array([[p.l1_ratio] for p in candidates])
    found = _descend(design, labels, weights, l1)
    return [ElasticNet(float(row[0]), row[1:]) for row in found]


def choose_penalty(
    features: Floats,
    labels: NDArray[np.int64],
    candidates: Sequence[Penalty],
    *,
    folds: int = 5,
    seed: int = 0,
) -> Penalty:
    """The penalty with the largest AUROC, mean over stratified folds; of equals, the strongest.

    A penalty that leaves no coefficient, on all rows or in any fold, is no candidate: its constant
    score has an AUROC of 0.5, which on a hard fold may look best.

    Raises:
        ValueError: a class has fewer cases than folds, or every penalty leaves no coefficient.
    """
    least = int(min(labels.sum(), len(labels) - labels.sum()))
    if least < folds:
        raise ValueError(
            f"Need at least {folds} cases of each class for {folds} folds, got {least}."
        )
    part = _stratified(labels, folds, seed)
    possible = np.array([not m.constant for m in fit_elastic_net(features, labels, candidates)])
    area = [0.0] * len(candidates)
    for fold in range(folds):
        held = part == fold
        models = fit_elastic_net(features[~held], labels[~held], candidates)
        possible &= [not model.constant for model in models]
        for i, model in enumerate(models):
            area[i] += auroc(labels[held], model.logit(features[held])) / folds
    if not possible.any():
        raise ValueError("Every penalty leaves all coefficients at 0; allow a larger strength.")
    ranked = sorted(
        (i for i in range(len(candidates)) if possible[i]),
        key=lambda i: (-round(area[i], 12), candidates[i].strength, -candidates[i].l1_ratio),
    )
    return candidates[ranked[0]]


def _descend(design: Floats, labels: NDArray[np.int64], weights: Floats, l1: Floats) -> Floats:
    """Coefficients (settings, 1 + features); weights (settings, rows), l1 (settings, 1)."""
    curvature = [np.linalg.eigvalsh((design.T * row) @ design)[-1] / 4 for row in weights]
    rate = 1 / (np.array(curvature)[:, None] + 1 - l1)
    penalised = np.arange(design.shape[1]) > 0  # not the intercept
    ridge, threshold = (1 - l1) * penalised, rate * l1 * penalised
    now = np.zeros((len(weights), design.shape[1]))
    ahead, momentum = now.copy(), np.ones((len(weights), 1))
    for _ in range(_STEPS):
        probability = _sigmoid(ahead @ design.T)
        gradient = ((probability - labels) * weights) @ design + ridge * ahead
        moved = ahead - rate * gradient
        moved = np.sign(moved) * np.maximum(np.abs(moved) - threshold, 0)
        step = moved - now
        uphill = ((ahead - moved) * step).sum(1, keepdims=True) > 0
        momentum = np.where(uphill, 1.0, momentum)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + np.where(uphill, 0.0, (momentum - 1) / following) * step
        now, momentum = moved, following
        if np.abs(step).max() < _CLOSE:
            break
    return now


def _case_weights(labels: NDArray[np.int64], kind: ClassWeight) -> Floats:
    if kind == "none":
        return np.ones(len(labels))
    share = np.where(labels == 1, labels.mean(), 1 - labels.mean())
    return np.asarray(0.5 / share)


def _stratified(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """For each row the fold it is held out in; classes are dealt out one after the other."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    part = np.empty(len(labels), dtype=np.int64)
    part[order] = np.arange(len(labels)) % folds
    return part


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -500, 500))))
