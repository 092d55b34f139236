"""Patients rather than averages: who is always misjudged, and what their CT looks like.

Cases have the study's pseudonyms only. Pictures come from the cohort's cached volumes, where the
cohort lies beside the study and is the one the study was begun on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.volumes import VolumeSpec, open_volumes
from mmcaf.errors import DataError
from mmcaf.stats.thresholds import FIXED
from mmstudy.errors import MMStudyError
from mmstudy.study import Study, per_case

__all__ = ["CLASSES", "HU_WINDOWS", "Slices", "case_slices", "hard_cases"]

CLASSES = {0: "adenocarcinoma", 1: "squamous"}
HU_WINDOWS = {"lung": (-1350.0, 150.0), "mediastinum": (-160.0, 240.0), "wide": (-1000.0, 400.0)}
"""Fixed, so that two cases can be compared by eye."""


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Some axial slices of a case."""

    images: NDArray[np.uint8]  # [slices, side, side], 0 to 255 over the window
    z: tuple[int, ...]  # index of each, from the foot
    of: int  # slices the volume has
    box: tuple[float, float, float, float] | None  # x0, y0, x1, y1 in pixels, round all boxes
    marked: tuple[bool, ...]  # whether the slice lies between the first and last annotated one


def hard_cases(study: Study, numbers: Sequence[int]) -> pl.DataFrame:
    """Every validation case under the given trials, the most often misjudged first.

    Each trial counts at its best epoch, out of fold, at 0.5. Columns: case, truth, wrong, trials,
    mean, lowest and highest probability of squamous.

    Raises:
        MMStudyError: a trial is not complete, or lacks predictions.
    """
    parts = [per_case(study.out_of_fold(number)) for number in numbers]
    if not parts:
        raise MMStudyError(f"{study.name} has no complete trial yet; no case was judged.")
    wrong = (pl.col("probability") >= FIXED).cast(pl.Int8) != pl.col("label")
    return (
        pl.concat(parts)
        .group_by("case", "label")
        .agg(
            wrong=wrong.sum(),
            trials=pl.len(),
            mean=pl.mean("probability"),
            lowest=pl.min("probability"),
            highest=pl.max("probability"),
        )
        .with_columns(truth=pl.col("label").replace_strict(CLASSES, return_dtype=pl.String))
        .sort(pl.col("wrong") / pl.col("trials"), "case", descending=[True, False])
        .select("case", "truth", "wrong", "trials", "mean", "lowest", "highest")
    )


def case_slices(study: Study, case: str, *, window: str = "lung", count: int = 4) -> Slices:
    """`count` slices spread over the annotated ones, or over all where none is annotated.

    Raises:
        MMStudyError: the cohort or the case cannot be read.
    """
    cohort = study.cohort()
    rows = cohort.patients.filter(pl.col("case") == case).to_dicts()
    if not rows:
        raise MMStudyError(f"The cohort of {study.name} has no case {case}.")
    try:
        volume = open_volumes(cohort, VolumeSpec(cohort.in_plane_px))[case]
    except DataError as error:
        raise MMStudyError(str(error)) from error
    first, last = int(rows[0]["z_first_lesion"]), int(rows[0]["z_last_lesion"])
    known = first >= 0
    ends = (first, last) if known else (0, len(volume) - 1)
    chosen = sorted({round(float(z)) for z in np.linspace(*ends, count)})
    low, high = HU_WINDOWS[window]
    grey = np.clip((volume[chosen].astype(np.float32) - low) / (high - low), 0, 1)
    return Slices(
        images=np.rint(grey * 255).astype(np.uint8),
        z=tuple(chosen),
        of=len(volume),
        box=_box(rows[0], volume.shape[1]) if known else None,
        marked=tuple(known for _ in chosen),
    )


def _box(row: dict[str, float], side: int) -> tuple[float, float, float, float]:
    half = row["box_w"] / 2, row["box_h"] / 2
    x, y = row["box_cx"], row["box_cy"]
    return (
        (x - half[0]) * side,
        (y - half[1]) * side,
        (x + half[0]) * side,
        (y + half[1]) * side,
    )
