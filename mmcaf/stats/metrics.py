"""Metrics of a binary diagnosis, each with what a reader needs to judge it: counts or an interval.

Pure numpy: no torch, no files, no plots, so the dashboard may import it. A proportion keeps its
numerator and denominator; what is undefined is None or NaN, never 0. Label 1 is squamous-cell
carcinoma, 0 adenocarcinoma. One code serves trials, reports and tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import auroc, checked

__all__ = ["ConfusionMatrix", "Proportion", "auprc", "brier", "rates"]


@dataclass(frozen=True, slots=True)
class Proportion:
    """`hits` successes among `total` cases."""

    hits: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.total:
            raise ValueError(f"Need 0 <= hits <= total, got hits={self.hits}, total={self.total}.")

    def __float__(self) -> float:
        return self.hits / self.total if self.total else nan

    def wilson(self, confidence: float = 0.95) -> tuple[float, float]:
        """Score interval: stays within [0, 1] and has a width even at 0 of n.

        At 95 % it covers a true rate between 0.05 and 0.95 with a chance of 0.91 to 0.985 at n = 15
        and 43, by enumeration; nearer to 0 or 1 that can fall to 0.84. (0, 1) without cases.

        >>> [round(bound, 3) for bound in Proportion(34, 43).wilson()]
        [0.648, 0.886]
        """
        if self.total == 0:  # no case seen, no rate excluded
            return 0.0, 1.0
        n, p = self.total, float(self)
        z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
        return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Counts of decision against truth."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def from_scores(
        cls, labels: ArrayLike, scores: ArrayLike, *, threshold: float
    ) -> ConfusionMatrix:
        """Call a case positive when `score >= threshold`; both arrays have shape (cases,).

        >>> ConfusionMatrix.from_scores([1, 1, 0, 0], [0.9, 0.2, 0.7, 0.1], threshold=0.5)
        ConfusionMatrix(tp=1, fp=1, fn=1, tn=1)
        """
        y, s = checked(labels, scores)
        return cls.from_calls(y, s >= threshold)

    @classmethod
    def from_calls(cls, labels: ArrayLike, calls: ArrayLike) -> ConfusionMatrix:
        """Of decisions made elsewhere: `calls` of shape (cases,), true or 1 where called positive.

        >>> ConfusionMatrix.from_calls([1, 1, 0, 0], [True, False, True, False])
        ConfusionMatrix(tp=1, fp=1, fn=1, tn=1)
        """
        y, decided = checked(labels, calls)
        sick, called = y == 1, decided != 0
        pairs = ((sick, called), (~sick, called), (sick, ~called), (~sick, ~called))
        return cls(*(int((truth & call).sum()) for truth, call in pairs))

    def rates(self) -> dict[str, Proportion]:
        """The five proportions reported for every trial, in the order they are shown."""
        return {
            "sensitivity": Proportion(self.tp, self.tp + self.fn),
            "specificity": Proportion(self.tn, self.tn + self.fp),
            "ppv": Proportion(self.tp, self.tp + self.fp),
            "npv": Proportion(self.tn, self.tn + self.fn),
            "accuracy": Proportion(self.tp + self.tn, self.n),
        }

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def majority(self) -> Proportion:
        """Accuracy of always answering the more frequent class, the line accuracy has to beat.

        >>> ConfusionMatrix(tp=10, fp=4, fn=5, tn=24).majority
        Proportion(hits=28, total=43)
        """
        return Proportion(max(self.tp + self.fn, self.fp + self.tn), self.n)

    def expanded(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Labels and calls of cases, both (cases,), that have these counts; their order is ours."""
        counts = (self.tp, self.fn, self.fp, self.tn)
        return np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and PPV; NaN when no case is positive or called so.

        >>> ConfusionMatrix(tp=10, fp=4, fn=5, tn=24).f1
        0.6896551724137931
        """
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else nan


def auprc(labels: ArrayLike, scores: ArrayLike, folds: ArrayLike | None = None) -> float:
    """Average precision: precision at each distinct score, weighted by the recall gained there.

    Of scores of several networks, `folds` (cases,) says whose: the mean over folds that have a
    positive case. NaN where no case is positive. Its chance level is the prevalence, not 0.5.
    """
    y, s = checked(labels, scores)
    if folds is not None:
        of = np.asarray(folds)
        values = [auprc(y[of == fold], s[of == fold]) for fold in np.unique(of)]
        known = [value for value in values if not np.isnan(value)]
        return float(np.mean(known)) if known else nan
    if not y.any():
        return nan
    order = np.argsort(-s, kind="stable")
    last_of_tie = np.append(np.diff(s[order]) != 0, True)
    hits = np.cumsum(y[order])[last_of_tie]
    called = np.flatnonzero(last_of_tie) + 1
    gained = np.diff(hits, prepend=0) / y.sum()
    return float((gained * hits / called).sum())


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference between probability and label; NaN without cases.

    Raises:
        ValueError: a probability outside [0, 1], such as a logit.
    """
    y, p = checked(labels, probabilities)
    if len(p) and not 0 <= p.min() <= p.max() <= 1:
        raise ValueError(
            f"Need probabilities in [0, 1], got values from {p.min():g} to {p.max():g}."
        )
    return float(((p - y) ** 2).mean()) if len(y) else nan


def rates(
    labels: ArrayLike, probabilities: ArrayLike, *, threshold: float = 0.5
) -> dict[str, float | None]:
    """The paper's seven metrics, then AUPRC and Brier, of arrays of shape (cases,).

    What these cases do not define (a rate of an absent class, say) is None. The threshold is fixed
    beforehand: one chosen on the same cases flatters.

    Raises:
        ValueError: a probability is NaN, infinite or outside [0, 1]; labels other than 0 and 1.
    """
    matrix = ConfusionMatrix.from_scores(labels, probabilities, threshold=threshold)
    shares = {name: float(rate) for name, rate in matrix.rates().items()}
    found = {
        "auroc": auroc(labels, probabilities),
        "accuracy": shares["accuracy"],
        "f1": matrix.f1,
        "specificity": shares["specificity"],
        "sensitivity": shares["sensitivity"],
        "ppv": shares["ppv"],
        "npv": shares["npv"],
        "auprc": auprc(labels, probabilities),
        "brier": brier(labels, probabilities),
    }
    return {name: None if np.isnan(value) else value for name, value in found.items()}
