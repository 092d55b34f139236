"""Judging each fold by what was best on the other folds, and what chance does to such a choice.

The choice knows nothing of the case it is judged on, so it is fair on average; and yet it is no
fixed method. A configuration that is lucky on one fold is chosen for all the others, so folds err
together, of which DeLong's error knows nothing: among 60 trials as good as each other and 236 cases
two equal methods differed in 0.08 to 0.11 of runs where 0.05 was asked. Here each draw chooses
anew. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.areas import PairedAreas, placements
from mmcaf.stats.estimates import Outcomes

__all__ = ["RESAMPLES", "chance", "picked", "with_chance"]

Floats = NDArray[np.float64]
RESAMPLES = 1999
_NUMBERS = 4_000_000  # in the largest array of a chunk of draws; bounds the memory


@dataclass(frozen=True, slots=True)
class _Fold:
    """One fold that has both classes."""

    number: int
    rows: NDArray[np.intp]
    areas: Floats  # (configurations,)
    pulls: Floats  # (rows, configurations): what the sign of each case does to the areas


def picked(outcomes: Outcomes) -> NDArray[np.int64] | None:
    """(rows,) the configuration that was best on the folds which share no case with the row's own.

    Best is the highest mean AUROC. None where a fold shares cases with every other.
    """
    areas = {fold.number: fold.areas for fold in _folds(outcomes, pulls=False)}
    found = np.empty(len(outcomes.fold), dtype=np.int64)
    for fold in np.unique(outcomes.fold):
        apart = _apart(outcomes, int(fold), list(areas))
        if not apart:
            return None
        mean = np.mean([areas[other] for other in apart], axis=0)
        found[outcomes.fold == fold] = int(np.argmax(mean))
    return found


def chance(outcomes: Outcomes, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """(resamples,) how far chance alone moves the mean AUROC over folds of what is picked.

    A draw gives each case a sign. The pull of the case on all areas of its fold, after DeLong et
    al. 1988, changes with it, as paired differences do in a permutation test (the wild bootstrap;
    Wu 1986, Ann Stat 14:1261). All configurations start as good as each other, which makes the
    choice as fickle as it can be; then it is made as in `picked`. Draws with one seed have the same
    signs, so that two methods on the same cases may be subtracted draw by draw. A fold that shares
    cases with every other chooses nothing: its first configuration is taken.
    """
    folds = _folds(outcomes, pulls=True)
    random = np.random.Generator(np.random.Philox(seed))
    signs = random.choice((-1.0, 1.0), size=(resamples, int(outcomes.case.max()) + 1))
    numbers = [fold.number for fold in folds]
    apart = [
        [numbers.index(other) for other in _apart(outcomes, number, numbers)] for number in numbers
    ]
    size = max(1, _NUMBERS // (len(folds) * len(outcomes.score)))
    found = [
        _picked_by_chance([part[:, outcomes.case[fold.rows]] @ fold.pulls for fold in folds], apart)
        for part in np.array_split(signs, -(-resamples // size))
    ]
    return np.concatenate(found)


def with_chance(
    found: PairedAreas, moved: Floats, confidence: float = 0.95, *, seed: int = 0
) -> PairedAreas:
    """A difference of areas with error, p and interval by `moved`, that of chance in each draw.

    Draws are stretched as Student's quantiles are, with the degrees of freedom of DeLong's error,
    since that of the pulls is estimated too. The p value is at least 1 / (1 + draws). Where
    DeLong's test has no p this has none.

    Args:
        found: of `areas.delong`.
        moved: (draws,) `chance` of the first method less that of the second.
        confidence: of the interval.
        seed: of the stretching.
    """
    if found.p is None or not found.error > 0:
        return found
    random = np.random.Generator(np.random.Philox(seed + 1))
    stretch = np.sqrt(found.freedom / random.chisquare(found.freedom, size=len(moved)))
    drawn = np.sort(np.abs(moved * stretch))
    p = (1 + int((drawn >= abs(found.difference) - 1e-12).sum())) / (1 + len(drawn))
    half = float(np.quantile(drawn, confidence, method="higher"))
    low, high = found.difference - half, found.difference + half
    error = sqrt(float(np.mean(moved**2)))
    return replace(found, p=p, interval=(max(-1.0, low), min(1.0, high)), error=error)


def _apart(outcomes: Outcomes, fold: int, among: Sequence[int]) -> list[int]:
    """The folds out of `among` that share no case with `fold`."""
    own = outcomes.case[outcomes.fold == fold]
    return [
        other for other in among if not np.isin(outcomes.case[outcomes.fold == other], own).any()
    ]


def _folds(outcomes: Outcomes, *, pulls: bool) -> list[_Fold]:
    found: list[_Fold] = []
    lonely: list[tuple[int, int, int]] = []  # fold, class, row of the pulls
    spread: list[list[Floats]] = [[], []]  # by class: variances of one case, of folds with several
    for number in np.unique(outcomes.fold):
        inside = outcomes.fold == number
        parts = [np.flatnonzero(inside & (outcomes.label == label)) for label in (1, 0)]
        if not all(map(len, parts)):
            continue
        placed = _placed(outcomes.score, *parts)
        areas = placed[0].mean(axis=0)
        columns = []
        for k, values in enumerate(placed):
            n, apart = len(values), values - areas
            columns.append(apart / sqrt(n * max(1, n - 1)))
            if n > 1:
                spread[k].append((apart**2).sum(axis=0) / (n - 1))
            else:
                lonely.append((len(found), k, 0 if k == 0 else len(placed[0])))
        joined = np.concatenate(columns) if pulls else np.empty((0, 0))
        found.append(_Fold(int(number), np.concatenate(parts), areas, joined))
    for fold, k, row in lonely if pulls else ():  # a single case shows no spread: that of others
        if spread[k]:
            found[fold].pulls[row] = np.sqrt(np.mean(spread[k], axis=0))
    return found


def _placed(
    scores: Floats, positive: NDArray[np.intp], negative: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Of each case of a fold the share of the other class on its right side; (cases, configs)."""
    each = [
        (placements(of[positive], of[negative]), 1 - placements(of[negative], of[positive]))
        for of in scores
    ]
    return np.stack([a for a, _ in each], axis=1), np.stack([b for _, b in each], axis=1)


def _picked_by_chance(moved: Sequence[Floats], apart: Sequence[Sequence[int]]) -> Floats:
    """(draws,) mean over folds of what the choice on the other folds gets.

    `moved` has (draws, configurations) of each fold.
    """
    draws = np.arange(len(moved[0]))
    value = np.zeros(len(draws))
    for own, others in zip(moved, apart, strict=True):
        best = np.sum([moved[other] for other in others], axis=0).argmax(axis=1) if others else 0
        value += own[draws, best]
    return value / len(moved)
