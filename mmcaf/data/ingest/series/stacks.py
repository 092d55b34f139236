"""Slices -> stacks: one body, once through the scanner, from foot to head.

Slices of one shape are parted into passes (`passes`), for a series may hold two or three contrast
phases of the same positions. Order and spacing come from positions alone: file names and instance
numbers restart with every phase, and patients lie feet first or head first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import atan, degrees
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.ingest.series.passes import MIN_SLICES, SAME_MM, Passes, passes_of, since_midnight

__all__ = ["MIN_SLICES", "Stack", "series_with_losses", "stacks_of"]

_UNEVEN = 0.1  # of the spacing, before slices count as missing
_APART = 3  # spacings; a wider gap parts a stack in two
_MAX_TILT_DEGREES = 1.0
_MAX_SHIFT_MM = 1.0  # of the origin in the plane, from where a uniform drift would have it
_SHAPE = ("rows", "columns", "spacing_y_mm", "spacing_x_mm")
_TOLD = (  # columns that decide
    *("row", "sop_uid", "series_uid", "acquisition", "acquired_s", "instance"),
    *_SHAPE,
)
_IN_SPACE = (pl.col("orientation").list.to_array(6), pl.col("position_mm").list.to_array(3))
_SAME_SPACING = 1e-3  # relative: half a pixel over 512
_SAME_COSINE = 5e-3  # 0.3 degrees
_UPRIGHT = 0.5  # cosine; what stands steeper is a scout, and no slice of the body
_NO_LOSS = ("E_DUP_SOP", "E_DUP_PIXELS", "E_LOCALIZER")
_WITHOUT_HEADER = ("E_UNREADABLE", "E_TS_UNSUPPORTED", "E_TOO_LARGE")


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices of one pass, foot to head, one per position, all of one shape."""

    series_uid: str
    acquisition: int | None  # AcquisitionNumber, where its slices have one in common
    phase: int  # which of the series' passes, by acquisition number and time, from 0
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


def stacks_of(
    slices: pl.DataFrame, losses: Collection[str] = ()
) -> tuple[list[Stack], dict[int, str]]:
    """All stacks of one patient's usable slices, and the rows left out, each with its code.

    Codes: E_MIXED_SHAPE, E_REPEATED_POSITIONS, E_MIXED_PASSES, E_DUP_POSITION, E_FEW_SLICES.

    Args:
        slices: columns of `INSTANCES` and `row`, the row's number in the whole table.
        losses: series of which slices were turned away before, see `series_with_losses`.
    """
    stacks: list[Stack] = []
    reasons: dict[int, str] = {}
    told = slices.select(*_TOLD, *_IN_SPACE).with_row_index("at").sort("sop_uid")
    for series in told.partition_by("series_uid", maintain_order=True):
        uid = series["series_uid"][0]
        verdicts = _Verdicts()
        found = [passes_of(placed) for placed in _of_one_shape(series, verdicts)]
        bodies = sorted((body for passes in found for body in passes.bodies), key=_begin)
        for passes in found:
            _leave_out(passes, verdicts)
        parted = [list(_parts(body, verdicts)) for body in bodies]
        of_series = {
            "W_MULTI_PHASE": any(p.are_several for p in found) or len(bodies) > 1,
            "W_SLICES_LEFT_OUT": bool(verdicts.of) or uid in losses,
        }
        of_series_stacks = [
            _stack(slices[part["at"]], phase, part, of_series)
            for phase, parts in enumerate(parted)
            for part in parts
        ]
        stacks += [_with_reach(stack, of_series_stacks) for stack in of_series_stacks]
        reasons |= verdicts.of
    return stacks, reasons


def series_with_losses(images: pl.DataFrame) -> set[str]:
    """Series of which a slice was turned away that nothing stands in for.

    A copy of a used slice is no loss, and neither is a scout. A file whose header cannot be read
    counts for the series it lies beside, if that is the only one in its folder.

    Args:
        images: columns of `INSTANCES`, files of the kind `image`.
    """
    folders = images.with_columns(folder=pl.col("path").str.replace(r"[^/]*$", ""))
    used = folders.filter(pl.col("reason").is_null())
    alone = used.group_by("source", "folder").agg(pl.col("series_uid").unique())
    alone = alone.filter(pl.col("series_uid").list.len() == 1).explode("series_uid")
    nameless = folders.filter(
        pl.col("reason").is_in(_WITHOUT_HEADER) & pl.col("series_uid").is_null()
    )
    beside = nameless.drop("series_uid").join(alone, on=["source", "folder"])
    axes = [pl.col("orientation").list.get(at, null_on_oob=True) for at in (0, 1, 3, 4)]
    upright = (axes[0] * axes[3] - axes[1] * axes[2]).abs() >= _UPRIGHT
    turned_away = folders.filter(
        pl.col("reason").is_not_null()
        & ~pl.col("reason").is_in(_NO_LOSS)
        & upright.fill_null(value=True)
        & pl.col("series_uid").is_in(used["series_uid"].unique().implode())
        & ~pl.col("sop_uid").is_in(used["sop_uid"].unique().implode()).fill_null(value=False)
    )
    # Which of the patient's series a slice without UIDs is of, only its folder can say.
    of_none = folders.filter(pl.col("reason") == "E_NO_UID").select(
        "source", "folder", "patient_id"
    )
    near = used.join(of_none, on=["source", "folder", "patient_id"], how="semi")
    return {*turned_away["series_uid"], *beside["series_uid"], *near["series_uid"]}


def _of_one_shape(series: pl.DataFrame, verdicts: _Verdicts) -> Iterator[pl.DataFrame]:
    """Slices of one shape, with `z` and times that do not jump at midnight; most common first.

    Another shape is a body of its own if it has the slices for one.
    """
    left = series.with_columns(acquired_s=since_midnight(series["acquired_s"]))
    first = True
    while left.height:
        fits = _most_common(left)
        alike, left = left[np.flatnonzero(fits)], left[np.flatnonzero(~fits)]
        if first or alike.height >= MIN_SLICES:
            yield _placed(alike)
        else:
            verdicts.give(alike, "E_MIXED_SHAPE")
        first = False


def _most_common(slices: pl.DataFrame) -> NDArray[np.bool_]:
    """Which slices have the shape that most others agree with, give or take what rounding does."""
    shapes = np.hstack([slices.select(_SHAPE).to_numpy(), slices["orientation"].to_numpy()])
    if (shapes == shapes[0]).all():
        return np.ones(len(shapes), dtype=bool)
    kinds, kind, times = np.unique(shapes, axis=0, return_inverse=True, return_counts=True)
    sizes, spacings, axes = np.split(kinds, [2, 4], axis=1)
    near = np.ones((len(kinds), len(kinds)), dtype=bool)
    for column in sizes.T:
        near &= column[:, None] == column
    for column in spacings.T:
        near &= np.abs(column[:, None] / column - 1) <= _SAME_SPACING
    for column in axes.T:
        near &= np.abs(column[:, None] - column) <= _SAME_COSINE
    near &= near.T
    most: NDArray[np.bool_] = near[np.argmax(near @ times)]
    return most[kind.ravel()]


def _placed(slices: pl.DataFrame) -> pl.DataFrame:
    axes = np.median(slices["orientation"].to_numpy(), axis=0).reshape(2, 3)
    normal = np.cross(*axes)
    positions = slices["position_mm"].to_numpy()
    return slices.hstack([pl.Series("z", positions @ (normal / np.linalg.norm(normal)))])


def _begin(body: pl.DataFrame) -> tuple[float, ...]:
    """Sorts passes by acquisition number, time, instance number, place."""
    firsts = (body[name].min() for name in ("acquisition", "acquired_s", "instance", "z"))
    return tuple(-1.0 if first is None else float(first) for first in firsts)  # type: ignore[arg-type]


def _leave_out(passes: Passes, verdicts: _Verdicts) -> None:
    """Codes of the slices that are in no body."""
    taken = np.concatenate([np.empty(0), *(body["z"].to_numpy() for body in passes.bodies)])
    for scrap in passes.scraps:
        far = [bool((np.abs(taken - z) >= SAME_MM).all()) for z in scrap["z"]]
        verdicts.give(scrap.filter(pl.Series(far)), "E_FEW_SLICES")
        verdicts.give(scrap.filter(~pl.Series(far)), "E_DUP_POSITION")
    places = np.sort(passes.untold["z"].to_numpy())
    places_apart = int((np.diff(places) >= SAME_MM).sum()) + 1
    verdicts.give(
        passes.untold, "E_MIXED_PASSES" if places_apart >= MIN_SLICES else "E_REPEATED_POSITIONS"
    )


def _parts(body: pl.DataFrame, verdicts: _Verdicts) -> Iterator[pl.DataFrame]:
    """The body from foot to head, parted at wide gaps; long enough parts only."""
    stack = body[body["z"].arg_sort()]
    gaps = np.diff(stack["z"].to_numpy())
    wide = np.flatnonzero(gaps > _APART * np.median(gaps)) + 1
    for begin, end in pairwise([0, *wide.tolist(), stack.height]):
        part = stack[begin:end]
        if part.height >= MIN_SLICES:
            yield part
        else:
            verdicts.give(part, "E_FEW_SLICES")


def _stack(
    slices: pl.DataFrame, phase: int, part: pl.DataFrame, of_series: dict[str, bool]
) -> Stack:
    z = part["z"].to_numpy()
    gaps = np.diff(z)
    tilt, shift = _tilt_degrees_and_shift_mm(part)
    numbers = [*{*part["acquisition"]} - {None}]
    flags = {
        "W_Z_GAP": bool((np.abs(gaps - np.median(gaps)) > _UNEVEN * np.median(gaps)).any()),
        "W_TILT": tilt > _MAX_TILT_DEGREES,
        "W_ORIGIN_SHIFT": shift > _MAX_SHIFT_MM,
        **of_series,
        "W_INSTANCE_ORDER": not _follows(part["instance"].to_list()),
    }
    return Stack(
        series_uid=part["series_uid"][0],
        acquisition=numbers[0] if len(numbers) == 1 else None,
        phase=phase,
        slices=slices,
        z_mm=z,
        flags=tuple(code for code, holds in flags.items() if holds),
        tilt_deg=round(tilt, 3),
    )


def _with_reach(stack: Stack, others: list[Stack]) -> Stack:
    """The stack, flagged if others of its series go on where it ends."""
    far = _APART * stack.spacing_z_mm
    low, high = stack.z_mm[0] - far, stack.z_mm[-1] + far
    code = "W_SLICES_LEFT_OUT"
    if code in stack.flags or all(low <= o.z_mm[0] and o.z_mm[-1] <= high for o in others):
        return stack
    return replace(stack, flags=(*stack.flags, code))


def _tilt_degrees_and_shift_mm(part: pl.DataFrame) -> tuple[float, float]:
    """How far slices are sheared, and how far an origin lies from where that shear would have it.

    Measured from positions, because the gantry tilt in the header is only nominal.
    """
    axes = np.median(part["orientation"].to_numpy(), axis=0).reshape(2, 3)
    origin = part["position_mm"].to_numpy() @ axes.T  # in the plane: along rows, columns
    z = part["z"].to_numpy()[:, None]
    drift = np.median(np.diff(origin, axis=0) / np.diff(z, axis=0), axis=0)
    shift = np.ptp(origin - drift * z, axis=0).max()
    return degrees(atan(float(np.linalg.norm(drift)))), float(shift)


def _follows(instances: list[Any]) -> bool:
    """Whether instance numbers rise or fall throughout; unknown ones say nothing."""
    numbers = np.array([number for number in instances if number is not None])
    steps = np.diff(numbers)
    return bool((steps >= 0).all() or (steps <= 0).all())
