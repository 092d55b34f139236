"""Every patient's choice of a series in plain values: candidates in order, slices left out and why.

Part of the ingestion report, so it has no path, no date and no whole UID: a series goes by the last
five digits of its own, as its folder does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import polars as pl

from mmcaf.data.ingest.rules import CT_IMAGE
from mmcaf.data.ingest.series.kernels import plain_name
from mmcaf.data.ingest.series.preference import Place

__all__ = ["Choice", "LeftOut", "Told", "explained"]


class Told(TypedDict):
    """A candidate."""

    series: str  # the last five digits of its UID
    decided_by: str | None  # the criterion that spoke against it; null for the one that is taken
    annotated_slices: int  # slices with a box
    coverage_mm: float  # along the body
    kernel: str | None  # name of the reconstruction kernel; null where nothing looks like a name
    kernel_class: str  # soft, medium, unknown or sharp
    spacing_mm: float  # median distance of slices
    slices: int  # of the stack
    phase: int  # which acquisition of its series, by time, from 0


class LeftOut(TypedDict):
    """CT slices of one series that are in no stack."""

    series: str  # the last five digits of its UID
    codes: dict[str, int]  # why, and how many


class Choice(TypedDict):
    """A patient's choice."""

    patient_id: str  # as the collection has it
    candidates: list[Told]  # in the order of preference: the first is taken
    left_out: list[LeftOut]  # the taken series first


def explained(places: Mapping[str, Sequence[Place]], files: pl.DataFrame) -> list[Choice]:
    """A record per patient.

    Args:
        places: patient -> its candidates, the one that is taken first.
        files: one row per file, columns `INSTANCES`, `verdict` and `use`.
    """
    left_out = _left_out(files)
    return [
        Choice(
            patient_id=name,
            candidates=[_told(place) for place in of],
            left_out=sorted(
                left_out.get(name, []), key=lambda one: one["series"] != _short(_taken(of))
            ),
        )
        for name, of in places.items()
    ]


def _taken(places: Sequence[Place]) -> str:
    return places[0].candidate.series_uid


def _short(series_uid: str) -> str:
    return f"…-{series_uid[-5:]}"


def _told(place: Place) -> Told:
    of = place.candidate
    return Told(
        series=_short(of.series_uid),
        decided_by=place.decided_by,
        annotated_slices=of.annotated_slices,
        coverage_mm=round(of.coverage_mm, 1),
        kernel=plain_name(of.kernel),
        kernel_class=of.sharpness,
        spacing_mm=round(of.spacing_mm, 4),
        slices=of.slices,
        phase=of.phase,
    )


def _left_out(files: pl.DataFrame) -> dict[str, list[LeftOut]]:
    """Patient -> series with CT slices that are in no stack, and how many for which code."""
    unused = files.filter(
        (pl.col("kind") == "image")
        & (pl.col("sop_class") == CT_IMAGE)
        & pl.col("use").is_null()
        & pl.col("patient_id").is_not_null()
        & pl.col("series_uid").is_not_null()
    ).with_columns(code=pl.coalesce("verdict", "reason"))
    counts = unused.group_by("patient_id", "series_uid", "code").len()
    found: dict[str, dict[str, dict[str, int]]] = {}
    for name, series, code, count in counts.sort("patient_id", "series_uid", "code").iter_rows():
        found.setdefault(name, {}).setdefault(series, {})[code] = count
    return {
        name: [LeftOut(series=_short(uid), codes=codes) for uid, codes in of.items()]
        for name, of in found.items()
    }
