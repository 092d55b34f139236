"""What a mean over repeated cross-validation still owes to luck: of training, or of the patients.

Every run deals the same cases into new folds and trains with new seeds. The spread of the runs'
values is luck of training and dealing, and their mean has less of it the more runs there are. Which
cases there are is the same in every run, so no number of runs takes that out. Its variance is that
of an AUROC over cases (DeLong et al. 1988), made of each case's mean placement over the runs, less
what the spread of a case's own placements between runs brings to it: components of a one-way
layout. In simulations with 12 + 36 and 46 + 223 cases, its root lies within 0.01 of the truth:
`tests/benchmarks/bench_probabilities.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import auroc, checked, placements

__all__ = ["Luck", "luck"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Luck:
    """Standard errors of the mean AUROC of `runs` runs on `cases` cases."""

    runs: int
    cases: int
    training: float  # falls with the number of runs
    patients: float  # does not

    @property
    def share(self) -> float:
        """Of the variance, what the patients bring; 0 where there is none at all."""
        whole = self.training**2 + self.patients**2
        return self.patients**2 / whole if whole else 0.0


def luck(
    labels: ArrayLike, scores: ArrayLike, *, runs: ArrayLike, folds: ArrayLike, cases: ArrayLike
) -> Luck | None:
    """Of the mean over runs of the AUROC within folds.

    None with fewer than two runs or two cases of a class, where a fold lacks a class, and where a
    run does not score every case, as with a hold-out.

    Args:
        labels: (rows,)
        scores: (rows,) out of fold.
        runs: (rows,) which run.
        folds: (rows,) which fold of the run.
        cases: (rows,) which case it is.
    """
    y, s = checked(labels, scores)
    run, fold = np.asarray(runs), np.asarray(folds)
    names, case = np.unique(np.asarray(cases), return_inverse=True)
    each = np.unique(run)
    if len(each) < 2:
        return None
    placed = np.stack([_placed(y, s, fold, case, run == one) for one in each])  # (runs, cases)
    if np.isnan(placed).any():
        return None
    label = np.zeros(len(names), dtype=np.int64)
    label[case] = y
    if min(label.sum(), (1 - label).sum()) < 2:
        return None
    values = [auroc(y[run == one], s[run == one], fold[run == one]) for one in each]
    patients = sum(_of_cases(placed[:, label == k]) for k in (0, 1))
    training = float(np.std(values, ddof=1)) / sqrt(len(each))
    return Luck(len(each), len(names), training, sqrt(max(0.0, patients)))


def _placed(
    labels: NDArray[np.int64],
    scores: Floats,
    folds: NDArray[np.generic],
    case: NDArray[np.int64],
    inside: NDArray[np.bool_],
) -> Floats:
    """Each case's mean share, over the folds of one run, of the other class on its right side."""
    cases = int(case.max()) + 1
    total, count = np.zeros(cases), np.zeros(cases)
    for fold in np.unique(folds[inside]):
        at = inside & (folds == fold)
        sick, well = np.flatnonzero(at & (labels == 1)), np.flatnonzero(at & (labels == 0))
        if not (len(sick) and len(well)):
            return np.full(cases, np.nan)
        np.add.at(total, case[sick], placements(scores[sick], scores[well]))
        np.add.at(total, case[well], 1 - placements(scores[well], scores[sick]))
        np.add.at(count, case[at], 1)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def _of_cases(placed: Floats) -> float:
    """The variance that the cases of one class bring to a mean over them; may be below 0."""
    runs, cases = len(placed), placed[0].size
    within = float(placed.var(axis=0, ddof=1).mean())
    between = float(placed.mean(axis=0).var(ddof=1))
    return float((between - within / runs) / cases)
