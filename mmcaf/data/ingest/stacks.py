"""Slices -> stacks: one body, once through the scanner, from foot to head.

A series may hold two or three contrast phases of the same positions, so acquisitions are split
apart before anything is called a duplicate. Order and spacing come from positions alone: file
names and instance numbers restart with every phase, and patients lie feet first or head first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import atan, degrees, hypot
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["MIN_SLICES", "Stack", "stacks_of"]

MIN_SLICES = 12
_SAME_MM = 1e-3  # two slices nearer than that are at one position
_MAX_REPEATED = 0.2  # share of positions that may repeat
_UNEVEN = 0.1  # of the spacing, before slices count as missing
_APART = 3  # spacings; a wider gap parts a stack in two
_MAX_TILT_DEGREES = 1.0
_SHAPE = ("rows", "columns", "spacing_y_mm", "spacing_x_mm")


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices of one acquisition, foot to head, one per position, all of one shape."""

    series_uid: str
    acquisition: int | None  # AcquisitionNumber
    phase: int  # which of the series' acquisitions, by time, from 0
    slices: pl.DataFrame  # columns of `INSTANCES`, and `row`
    z_mm: NDArray[np.float64]  # position along the normal, towards the head, ascending
    flags: tuple[str, ...] = ()
    tilt_deg: float = 0.0

    @property
    def spacing_z_mm(self) -> float:
        """Median distance of neighbours."""
        return float(np.median(np.diff(self.z_mm)))


@dataclass(slots=True)
class _Verdicts:
    """Rows that found no place in a stack, each with its code."""

    of: dict[int, str] = field(default_factory=dict)

    def give(self, slices: pl.DataFrame, code: str) -> None:
        self.of |= dict.fromkeys(slices["row"].to_list(), code)


def stacks_of(slices: pl.DataFrame) -> tuple[list[Stack], dict[int, str]]:
    """All stacks of one patient's usable slices, and the rows left out, each with its code.

    Codes: E_MIXED_SHAPE, E_REPEATED_POSITIONS, E_DUP_POSITION, E_FEW_SLICES.

    Args:
        slices: columns of `INSTANCES` and `row`, the row's number in the whole table.
    """
    verdicts = _Verdicts()
    stacks: list[Stack] = []
    for (series,), whole in slices.sort("sop_uid").group_by("series_uid", maintain_order=True):
        phases = sorted(
            (phase for part in _acquisitions(whole, verdicts) for phase in _phases(part)),
            key=_begin,
        )
        for number, phase in enumerate(phases):
            for part in _parts(phase, verdicts):
                stacks.append(_stack(str(series), number, len(phases), part))
    return stacks, verdicts.of


def _acquisitions(series: pl.DataFrame, verdicts: _Verdicts) -> Iterator[pl.DataFrame]:
    """Slices of one AcquisitionNumber (none is a number too) and one shape, with their `z`."""
    for _, slices in series.group_by("acquisition", maintain_order=True):
        rounded = [pl.col(name).round(4) for name in _SHAPE]
        axes = pl.col("orientation").list.eval(pl.element().round(3) + 0.0)
        shaped = slices.with_columns(shape=pl.struct(*rounded, axes))
        kinds = shaped["shape"].value_counts(sort=True, name="times")
        most = kinds.sort("times", descending=True)["shape"][0]
        fits = pl.Series([shape == most for shape in shaped["shape"].to_list()])
        verdicts.give(shaped.filter(~fits), "E_MIXED_SHAPE")
        kept = shaped.filter(fits).drop("shape")
        positions = np.array(kept["position_mm"].to_list())
        axes_of = np.array(kept["orientation"][0]).reshape(2, 3)
        yield kept.with_columns(z=positions @ np.cross(*axes_of))


def _phases(slices: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Acquisitions that share a number: a new one begins where a position comes again."""
    if _repeated(slices) <= _MAX_REPEATED:
        yield slices
        return
    ordered = slices.sort("acquired_s", "instance", "sop_uid", nulls_last=True)
    seen: set[float] = set()
    phase, phases = 0, []
    for z in ordered["z"].round(3):
        if z in seen:
            phase, seen = phase + 1, set()
        seen.add(z)
        phases.append(phase)
    numbered = ordered.with_columns(phase=pl.Series(phases))
    parts = [part.drop("phase") for part in numbered.partition_by("phase", maintain_order=True)]
    # Bolus tracking images one position over and over: its "phases" are no bodies.
    yield from parts if min(part.height for part in parts) >= MIN_SLICES else [slices]


def _begin(phase: pl.DataFrame) -> tuple[int, float]:
    """Sorts phases by number, then by time."""
    number = phase["acquisition"][0]
    times = phase["acquired_s"].drop_nulls().to_list()
    return (-1 if number is None else int(number), min(times, default=0.0))


def _repeated(slices: pl.DataFrame) -> float:
    return 1 - slices["z"].round(3).n_unique() / slices.height


def _parts(slices: pl.DataFrame, verdicts: _Verdicts) -> Iterator[pl.DataFrame]:
    """Sorted by position, one slice per position, parted at wide gaps; long enough ones only."""
    if _repeated(slices) > _MAX_REPEATED:
        verdicts.give(slices, "E_REPEATED_POSITIONS")
        return
    ordered = slices.sort("z", "instance", "sop_uid")
    first = np.diff(ordered["z"].to_numpy(), prepend=-np.inf) >= _SAME_MM
    verdicts.give(ordered.filter(~pl.Series(first)), "E_DUP_POSITION")
    stack = ordered.filter(pl.Series(first))
    gaps = np.diff(stack["z"].to_numpy())
    wide = np.flatnonzero(gaps > _APART * np.median(gaps)) + 1 if len(gaps) else np.array([])
    borders = [0, *(int(at) for at in wide), stack.height]
    for begin, end in pairwise(borders):
        part = stack[begin:end]
        if part.height >= MIN_SLICES:
            yield part
        else:
            verdicts.give(part, "E_FEW_SLICES")


def _stack(series: str, phase: int, phases: int, part: pl.DataFrame) -> Stack:
    z = part["z"].to_numpy()
    gaps = np.diff(z)
    tilt = _tilt_degrees(part)
    flags = {
        "W_Z_GAP": bool((np.abs(gaps - np.median(gaps)) > _UNEVEN * np.median(gaps)).any()),
        "W_TILT": tilt > _MAX_TILT_DEGREES,
        "W_MULTI_PHASE": phases > 1,
        "W_INSTANCE_ORDER": not _follows(part["instance"].to_list()),
    }
    return Stack(
        series_uid=series,
        acquisition=part["acquisition"][0],
        phase=phase,
        slices=part.drop("z"),
        z_mm=z,
        flags=tuple(code for code, holds in flags.items() if holds),
        tilt_deg=round(tilt, 3),
    )


def _tilt_degrees(part: pl.DataFrame) -> float:
    """How far slices are sheared: drift across the normal over the way along it.

    Measured from positions, because the gantry tilt in the header is only nominal.
    """
    positions = np.array(part["position_mm"].to_list())
    normal = np.cross(*np.array(part["orientation"][0]).reshape(2, 3))
    way = positions[-1] - positions[0]
    along = float(way @ normal)
    across = float(np.linalg.norm(way - along * normal))
    return degrees(atan(across / abs(along))) if hypot(along, across) else 0.0


def _follows(instances: list[Any]) -> bool:
    """Whether instance numbers rise or fall throughout; unknown ones say nothing."""
    numbers = np.array([number for number in instances if number is not None])
    steps = np.diff(numbers)
    return bool((steps >= 0).all() or (steps <= 0).all())
