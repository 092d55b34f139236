"""Slices of one series and one shape -> passes: what was imaged in one go along the body.

Positions decide, labels serve: times, instance and acquisition numbers each propose how to part the
slices, and the proposal that makes whole bodies of most of them is believed. A number that counts
slices, or is missing on some, parts nothing: its slices keep their distance from each other. Slices
of two passes do not: two rows of one spacing are never further apart than half of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["MIN_SLICES", "SAME_MM", "Passes", "passes_of", "since_midnight"]

MIN_SLICES = 12  # of a body
SAME_MM = 0.05  # two slices nearer than that are at one position; headers are written with noise
_KEPT = 0.6  # of the spacing: the distance slices of a pass keep, and those of two passes do not
_FAR = 1.4  # of the spacing: a step this long ends a run
_AROUND = 5  # steps that say what is usual here
_UNEVEN, _UNEVEN_MM = 0.1, 0.1  # of the spacing; positions may be written with one decimal
_USUAL = 0.8  # quantile of the gaps: every fifth slice may be missing
_FEW_SHORT = 2  # gaps: a seam between two halves, a slice scanned again between two others
_DAY_S, _HALF_DAY_S = 86_400.0, 43_200.0

Indices = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """How the slices were imaged; every slice is in one of the tables."""

    bodies: list[pl.DataFrame]  # at least `MIN_SLICES` slices each, no position twice
    scraps: list[pl.DataFrame]  # passes that are too short for a body
    untold: pl.DataFrame  # slices of several passes that nothing tells apart
    contradicted: bool  # a label parts a body that another one holds together


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """What the passes are if one label is believed; indices of slices."""

    trust: int
    bodies: list[Indices]
    scraps: list[Indices]
    untold: Indices

    @property
    def merit(self) -> tuple[int, int, int]:
        """Slices in whole bodies, then the label's trust, then how finely it tells apart."""
        return sum(map(len, self.bodies)), self.trust, len(self.bodies)


def passes_of(slices: pl.DataFrame) -> Passes:
    """The passes of slices with one shape.

    Args:
        slices: columns of `INSTANCES`, and `z`, mm along the normal.
    """
    z = slices["z"].to_numpy()
    instance = _numbers(slices, "instance")
    readings = [_read(z, instance, label, trust) for label, trust in _labels(slices)]
    best = max(readings, key=lambda reading: reading.merit)  # the first of equals
    complete = [r for r in readings if r.trust and r.merit[0] == best.merit[0]]
    return Passes(
        bodies=[slices[found] for found in best.bodies],
        scraps=[slices[found] for found in best.scraps],
        untold=slices[best.untold],
        contradicted=any(len(r.bodies) > len(best.bodies) for r in complete),
    )


def since_midnight(seconds: pl.Series) -> pl.Series:
    """Seconds of the day as they followed each other, also over midnight; nulls stay.

    >>> since_midnight(pl.Series([86390.0, 20.0])).to_list()
    [86390.0, 86420.0]
    """
    known = seconds.drop_nulls().to_list()
    if not known or max(known) - min(known) <= _HALF_DAY_S:
        return seconds
    late = pl.when(pl.col("s") < _HALF_DAY_S).then(pl.col("s") + _DAY_S).otherwise(pl.col("s"))
    return pl.DataFrame({"s": seconds}).select(late)["s"]


def _labels(slices: pl.DataFrame) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Labels [slices, parts] and how far each is trusted; the last is none at all.

    Times and instance numbers follow the scan, so they are trusted before acquisition numbers,
    which some scanners count up with every slice. A label that some slices lack is trusted least.
    """
    time, instance = _numbers(slices, "acquired_s"), _numbers(slices, "instance")
    acquisition = _numbers(slices, "acquisition")
    for parts, trust in (
        ((time,), 3),
        ((_again(instance, slices["z"].to_numpy()), instance), 3),
        ((acquisition,), 2),
        ((acquisition, time), 2),
        ((acquisition, instance), 2),
        ((time, instance), 2),
    ):
        label = np.column_stack(parts)
        filled = np.nan_to_num(label, nan=-1.0)  # missing is a value too
        if (filled != filled[0]).any():
            yield filled, 0 if np.isnan(label).any() else trust
    yield np.zeros((slices.height, 1)), 1


def _numbers(slices: pl.DataFrame, column: str) -> Numbers:
    return slices[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _again(instance: Numbers, z: Numbers) -> Numbers:
    """How often each number came before, further down: numbers restart with every pass.

    At one position nothing tells which of two slices with one number comes first: both get 0.
    """
    order = np.lexsort((z, instance))
    again = np.zeros(len(z))
    for before, here in pairwise(order):
        if instance[before] == instance[here]:
            again[here] = again[before] + (z[here] - z[before] >= SAME_MM)
    return again


def _read(z: Numbers, instance: Numbers, label: Numbers, trust: int) -> _Reading:
    """Part the slices as `label` says."""
    _, rank = np.unique(label, axis=0, return_inverse=True)
    order = np.lexsort((z, rank.ravel()))
    rank = rank.ravel()
    same = (np.diff(rank[order]) == 0) & (np.diff(z[order]) < SAME_MM)
    twice = np.append(False, same) | np.append(same, False)  # one label, one position
    passes = _joined(z, _runs(z, rank, order[~twice]))
    bodies = [part for part in passes if len(part) >= MIN_SLICES]
    even = [_is_even(z[part], instance[part]) for part in bodies]
    return _Reading(
        trust=trust,
        bodies=[part for part, whole in zip(bodies, even, strict=True) if whole],
        scraps=[part for part in passes if len(part) < MIN_SLICES],
        untold=np.concatenate(
            [order[twice], *(part for part, whole in zip(bodies, even, strict=True) if not whole)]
        ),
    )


def _runs(z: Numbers, rank: Indices, order: Indices) -> list[Indices]:
    """Slices in the order of a label, parted where a step is not the usual one.

    Slices with one label are no sequence: they stay together.
    """
    if not len(order):
        return []
    steps = np.abs(np.diff(z[order]))
    padded = np.pad(steps, _AROUND // 2, mode="edge") if len(steps) else np.ones(_AROUND)
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, _AROUND), axis=1)
    begins = np.flatnonzero(np.diff(rank[order])) + 1
    runs: list[list[Indices]] = []
    for begin, group in zip([0, *begins], np.split(order, begins), strict=True):
        if runs:
            step = usual[begin - 1]
            near = _distance(z[np.concatenate(runs[-1])], z[group])
            if _KEPT * step <= near <= _FAR * step:
                runs[-1].append(group)
                continue
        runs.append([group])
    return [np.concatenate(run) for run in runs]


def _joined(z: Numbers, runs: list[Indices]) -> list[Indices]:
    """Runs that make one body together, the longest first; what fits nowhere stands alone.

    A run that fits two passes goes to the one it was imaged beside, and to none if that says
    nothing.
    """
    passes: list[list[int]] = []  # numbers of runs
    for number in sorted(range(len(runs)), key=lambda n: -len(runs[n])):
        fitting = [one for one in passes if _fits(z, runs, one, number)]
        if len(fitting) > 1:
            fitting = [one for one in fitting if {number - 1, number + 1} & set(one)]
        if len(fitting) == 1:
            fitting[0].append(number)
        else:
            passes.append([number])
    return [np.concatenate([runs[number] for number in one]) for one in passes]


def _fits(z: Numbers, runs: list[Indices], members: list[int], number: int) -> bool:
    here, new = z[np.concatenate([runs[n] for n in members])], z[runs[number]]
    if new.min() - here.max() >= SAME_MM or here.min() - new.max() >= SAME_MM:
        return True
    return _distance(here, new) >= _KEPT * min(_spacing(here), _spacing(new))


def _spacing(z: Numbers) -> float:
    """Median gap; unlimited where there are too few slices to say."""
    return float(np.median(np.diff(np.sort(z)))) if len(z) > 2 else np.inf


def _distance(some: Numbers, others: Numbers) -> float:
    """Of the two slices that are nearest to each other."""
    return float(np.abs(some[:, None] - others).min())


def _is_even(z: Numbers, instance: Numbers) -> bool:
    """Whether slices follow each other like those of one pass: by place, or place and number.

    Gaps where slices are missing are even enough; slices of two passes make short ones throughout.
    """
    order = np.argsort(z)
    gaps = np.diff(z[order])
    counted = np.abs(np.diff(instance[order]))
    with np.errstate(divide="ignore", invalid="ignore"):
        each = gaps / counted
    return _few_short(gaps) or bool(np.isfinite(each).all() and _few_short(each))


def _few_short(gaps: Numbers) -> bool:
    usual = np.quantile(gaps, _USUAL, method="higher")
    slack = max(_UNEVEN * usual, _UNEVEN_MM)
    like = np.append(np.append(False, np.abs(np.diff(gaps)) <= slack), False)
    lone = ~(like[:-1] & like[1:])  # a stretch scanned more finely is one, not every gap of it
    return bool(gaps.min() >= SAME_MM and ((gaps < usual - slack) & lone).sum() <= _FEW_SHORT)
