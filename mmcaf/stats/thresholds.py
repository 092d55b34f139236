"""Where to draw the line between positive and negative, never on the cases it is reported on.

Two thresholds have a name: `FIXED`, 0.5, decided before any data; and Youden's, the one with the
highest sensitivity + specificity - 1 on validation cases. Of out-of-fold scores the second is
cross-fitted: a fold's threshold is chosen on the cases of all other folds. That of the mean of all
folds' networks is an ensemble as well: the mean of the thresholds of each network.

All of them are thresholds of the raw scores, as the networks gave them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import checked

__all__ = ["FIXED", "CrossFitted", "cross_fitted", "ensemble_threshold", "youden"]

FIXED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitted:
    """Calls (cases,), and the threshold each part's were made with, in the parts' order."""

    calls: NDArray[np.bool_]
    thresholds: tuple[float, ...]


def youden(labels: ArrayLike, scores: ArrayLike) -> float | None:
    """The score from which on to call a case positive, for the highest Youden index.

    Midway to the next lower score, so that it does not hang on one case; of several equally good
    ones the middle. None where a class is missing or all scores are one.

    >>> youden([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])
    0.4
    """
    y, s = checked(labels, scores)
    levels, of = np.unique(s, return_inverse=True)
    if not 0 < y.sum() < len(y) or len(levels) < 2:
        return None
    sick = np.bincount(of, weights=y) / y.sum()
    well = np.bincount(of, weights=1 - y) / (1 - y).sum()
    # Called positive from level i on, for i = 1, 2, ...: the cumulated shares below are lost.
    index = np.cumsum(well)[:-1] - np.cumsum(sick)[:-1]
    good = np.flatnonzero(index >= index.max() - 1e-12)
    chosen = int(good[len(good) // 2])
    return float((levels[chosen] + levels[chosen + 1]) / 2)


def cross_fitted(labels: ArrayLike, scores: ArrayLike, parts: ArrayLike) -> CrossFitted | None:
    """Calls of out-of-fold scores, each part's by Youden's threshold of all other parts.

    None where there is but one part, or the others of one give no threshold: it is then undefined,
    and choosing it on the cases themselves would flatter.

    Args:
        labels: (cases,)
        scores: (cases,)
        parts: (cases,) the fold that validated the case.
    """
    y, s = checked(labels, scores)
    part = np.asarray(parts)
    calls = np.zeros(len(y), dtype=bool)
    thresholds = []
    for one in np.unique(part):
        inside = part == one
        chosen = youden(y[~inside], s[~inside])
        if chosen is None:
            return None
        calls[inside] = s[inside] >= chosen
        thresholds.append(chosen)
    return CrossFitted(calls, tuple(thresholds)) if thresholds else None


def ensemble_threshold(labels: ArrayLike, scores: ArrayLike, folds: ArrayLike) -> float | None:
    """From where on to call the mean of all folds' networks positive: the mean over folds of
    Youden's threshold of each network, chosen on the cases that it did not train on.

    No case of a k-fold design can be scored by the ensemble: all networks but one have trained on
    it. But the mean score lies above the mean threshold exactly where the networks lie above their
    own thresholds on average, and each of these is chosen out of fold, on its own scale. In
    simulations it loses 0.04 to 0.09 of the best possible Youden index, with scales up to 2
    standard deviations apart; one threshold of all folds' scores in one pool loses 0.06 to 0.48
    (`tests/benchmarks/bench_probabilities.py`).

    None where a fold gives no threshold, or there is none.

    Args:
        labels: (rows,)
        scores: (rows,) out of fold.
        folds: (rows,) which network scored the row.
    """
    y, s = checked(labels, scores)
    of = np.asarray(folds)
    found = [youden(y[of == fold], s[of == fold]) for fold in np.unique(of)]
    known = [one for one in found if one is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None
