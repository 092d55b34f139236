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
from math import ceil

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["MIN_SLICES", "SAME_MM", "Passes", "passes_of", "since_midnight"]

MIN_SLICES = 12  # of a body
SAME_MM = 0.05  # two slices nearer than that are at one position; headers are written with noise
_KEPT = 0.6  # of the spacing: the distance slices of a pass keep, and those of two passes do not
_MISSING = 2  # slices that may be missing within a run
_TOLD = 3  # slices in a row that make a pass, be it too short for a body
_AROUND = 5  # steps that say what is usual here
_UNEVEN, _UNEVEN_MM = 0.1, 0.11  # of the spacing; positions may be written with one decimal
_USUAL = 0.8  # quantile of the gaps: every fifth slice may be missing
_FEW_SHORT = 2  # gaps: a seam between two halves, a slice scanned again between two others
_MOST_PASSES = 64  # bolus tracking makes dozens, of one slice each
_RESTARTED, _NO_LABEL = 2, 1  # how far a label is trusted
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

    @property
    def are_several(self) -> bool:
        """Whether there was anything to tell apart, beside a body or within it."""
        others = len(self.bodies) + len(self.scraps) > 1 or not self.untold.is_empty()
        return bool(self.bodies) and (others or self.contradicted)


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """What the passes are if one label is believed; indices of slices."""

    trust: int
    bodies: list[Indices]
    scraps: list[Indices]
    untold: Indices

    @property
    def merit(self) -> tuple[int, int, int]:
        """Slices it puts into passes, then the label's trust, then how finely it tells apart."""
        if not self.bodies:
            return 0, int(self.trust == _NO_LABEL), 0
        told = [len(part) for part in (*self.bodies, *self.scraps) if len(part) >= _TOLD]
        return sum(told), self.trust, len(self.bodies)


def passes_of(slices: pl.DataFrame) -> Passes:
    """The passes of slices with one shape.

    Args:
        slices: columns of `INSTANCES`, and `z`, mm along the normal.
    """
    z = slices["z"].to_numpy()
    instance = _numbers(slices, "instance")
    labels = [*_labels(slices)]
    readings = [_read(z, instance, label, trust) for label, trust in labels if trust]
    best = max(readings, key=lambda reading: reading.merit)  # the first of equals
    if best.merit[0] < len(z):  # else those that some slices lack say nothing better
        lacking = [_read(z, instance, label, trust) for label, trust in labels if not trust]
        best = max([best, *lacking], key=lambda reading: reading.merit)
    complete = [reading for reading in readings if reading.merit[0] == best.merit[0]]
    doubled = best.trust == _NO_LABEL and 1 < len(np.unique(instance)) <= len(z) / 2
    return Passes(
        bodies=[slices[found] for found in best.bodies],
        scraps=[slices[found] for found in best.scraps],
        untold=slices[best.untold],
        contradicted=doubled or any(len(r.bodies) > len(best.bodies) for r in complete),
    )


def since_midnight(seconds: pl.Series) -> pl.Series:
    """Seconds of the day as they followed each other, also over midnight; nulls stay.

    >>> since_midnight(pl.Series([86390.0, 20.0])).to_list()
    [86390.0, 86420.0]
    """
    known = seconds.drop_nulls().to_numpy()
    if not len(known) or np.ptp(known) <= _HALF_DAY_S:
        return seconds
    late = pl.when(pl.col("s") < _HALF_DAY_S).then(pl.col("s") + _DAY_S).otherwise(pl.col("s"))
    return pl.DataFrame({"s": seconds}).select(late)["s"]


def _labels(slices: pl.DataFrame) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Labels [slices, parts] and how far each is trusted; the last is none at all.

    Times and instance numbers follow the scan, so they are trusted before acquisition numbers,
    which some scanners count up with every slice. Numbers that restart say less, and a label that
    some slices lack says least.
    """
    time, acquisition, instance = (
        _numbers(slices, name) for name in ("acquired_s", "acquisition", "instance")
    )
    for parts, trust in (
        ((time,), 4),
        ((instance,), 4),
        ((acquisition,), 3),
        ((acquisition, time), 3),
        ((acquisition, instance), 3),
        ((time, instance), 3),
    ):
        if len(parts) > 1 and any((part == part[0]).all() for part in parts):
            continue  # says no more than the other part alone, which is trusted more
        label = np.column_stack(parts)
        complete = not np.isnan(label).any()
        label = np.nan_to_num(label, nan=-1.0)  # missing is a value too
        if not (label != label[0]).any():
            continue
        if not complete or parts[-1] is not instance:
            yield label, trust if complete else 0
            continue
        again = _again(label, slices["z"].to_numpy())
        if np.isfinite(again).all():
            yield np.column_stack([again, label]), _RESTARTED if again.any() else trust
    yield np.zeros((slices.height, 1)), _NO_LABEL


def _numbers(slices: pl.DataFrame, column: str) -> Numbers:
    return slices[column].to_numpy().astype(np.float64)  # nulls are NaN


def _again(label: Numbers, z: Numbers) -> Numbers:
    """How often each number came before, further down: numbers restart with every pass.

    Not finite unless the second slices of a number lie equally far above the first ones throughout:
    else nothing tells which of two slices with one number is of which pass.
    """
    number = np.unique(label, axis=0, return_inverse=True)[1].ravel()
    order = np.lexsort((z, number))
    again = np.zeros(len(z))
    above: dict[float, list[float]] = {}
    for before, here in pairwise(order):
        if number[before] == number[here] and z[here] - z[before] >= SAME_MM:
            again[here] = again[before] + 1
            above.setdefault(again[here], []).append(z[here] - z[before])
    constant = all(np.ptp(distances) <= _UNEVEN_MM for distances in above.values())
    return again if constant else np.full(len(z), np.inf)


def _read(z: Numbers, instance: Numbers, label: Numbers, trust: int) -> _Reading:
    """Part the slices as `label` says."""
    rank = np.unique(label, axis=0, return_inverse=True)[1].ravel()
    order = np.lexsort((z, rank))
    same = (np.diff(rank[order]) == 0) & (np.diff(z[order]) < SAME_MM)
    twice = np.append(False, same) | np.append(same, False)  # one label, one position
    passes = _joined(z, label, _runs(z, rank, order[~twice]))
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
    """Slices in the order of a label, parted where a step is not the usual one, or turns back.

    Slices with one label are no sequence: they stay together. What lies at a turn is a run of its
    own, for it can be the last of one pass or the first of the next.
    """
    if not len(order):
        return []
    places = z[order]
    steps = np.abs(np.diff(places))
    middle = _AROUND // 2
    around = np.arange(len(steps))[:, None] + np.arange(-middle, middle + 1)
    around = np.clip(around, 0, max(len(steps) - 1, 0))
    usual = np.sort(steps[around], axis=1)[:, middle].tolist()  # the median
    borders = np.flatnonzero(np.diff(rank[order], prepend=-1, append=-1)).tolist()  # of labels
    groups = [slice(*ends) for ends in pairwise(borders)]
    middles = (np.add.reduceat(places, borders[:-1]) / np.diff(borders)).tolist()
    runs: list[list[slice]] = [groups[:1]]
    begin, way = 0, 0.0  # where the last run begins, and whether it goes up or down
    for number, (before, group) in enumerate(pairwise(groups)):
        turn = middles[number + 1] - middles[number]
        step = usual[group.start - 1]
        if turn * way < 0 and _is_next(_distance(places[before], places[group]), step):
            runs[-1:] = [runs[-1][:-1], [before], [group]]
            begin, way = group.start, 0.0
        elif _is_next(_distance(places[begin : group.start], places[group]), step):
            runs[-1].append(group)
            way = turn
        else:
            runs.append([group])
            begin, way = group.start, 0.0
    return [np.concatenate([order[group] for group in run]) for run in runs if run]


def _is_next(step: float, usual: float) -> bool:
    """Whether a step is the usual one, or one over a slice or two that are missing."""
    most = _MISSING + 1
    times = max(round(min(step / usual, most)), 1) if usual > 0 else 1
    return abs(step - times * usual) <= max(_UNEVEN * usual, _UNEVEN_MM)


def _joined(z: Numbers, label: Numbers, runs: list[Indices]) -> list[Indices]:
    """Runs that make one body together, the longest first; what fits nowhere stands alone.

    A run that fits two passes goes to the one that its label is nearer to, and to none if that
    says nothing.
    """
    passes: list[list[int]] = []  # numbers of runs
    for number in sorted(range(len(runs)), key=lambda n: -len(runs[n])):
        seam = len(passes) == 1  # of several passes, none goes on nearer than its spacing
        fitting = [one for one in passes if _fits(z, runs, one, number, seam=seam)]
        if len(fitting) > 1:
            away = [_away(label, runs, one, number) for one in fitting]
            fitting = [one for one, far in zip(fitting, away, strict=True) if far == min(away)]
        if len(fitting) == 1:
            fitting[0].append(number)
        else:
            passes.append([number])
        if len(passes) > _MOST_PASSES:  # such a label says nothing
            return runs
    return [np.concatenate([runs[number] for number in one]) for one in passes]


def _away(label: Numbers, runs: list[Indices], members: list[int], number: int) -> list[float]:
    """How far the label of a run is from that of a pass; beyond the runs beside it, endlessly."""
    ends = [(runs[n][-1], runs[number][0]) for n in members if n == number - 1]
    ends += [(runs[number][-1], runs[n][0]) for n in members if n == number + 1]
    return min(
        (np.abs(label[one] - other).tolist() for one, at in ends for other in [label[at]]),
        default=[np.inf],
    )


def _fits(z: Numbers, runs: list[Indices], members: list[int], number: int, *, seam: bool) -> bool:
    """Whether a run keeps its distance from a pass; at a seam between two halves it need not."""
    here, new = z[np.concatenate([runs[n] for n in members])], z[runs[number]]
    between = max(new.min() - here.max(), here.min() - new.max())
    if between >= SAME_MM and (seam or len(here) < _TOLD):
        return True
    spacing = min(_spacing(here), _spacing(new))
    return between >= spacing or _distance(here, new) >= _KEPT * spacing


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
    usual = np.sort(gaps)[ceil(_USUAL * (len(gaps) - 1))]
    slack = max(_UNEVEN * usual, _UNEVEN_MM)
    like = np.append(np.append(False, np.abs(np.diff(gaps)) <= slack), False)
    lone = ~(like[:-1] & like[1:])  # a stretch scanned more finely is one, not every gap of it
    return bool(gaps.min() >= SAME_MM and ((gaps < usual - slack) & lone).sum() <= _FEW_SHORT)
