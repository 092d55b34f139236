"""From slices, boxes and the sheet to one row per patient; exclusions are kept, with their reason.

Every (series, acquisition) is a stack of its own: some series hold two or three contrast phases of
the same body. One stack per patient is chosen by rule; the others are counted as alternatives.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmcaf.errors import DataError

__all__ = ["SCHEMA_VERSION", "TASK_LABELS", "Cohort", "build", "load", "slices_of"]

SCHEMA_VERSION = 1
TASK_LABELS = {"A": 0, "G": 1}  # adenocarcinoma against squamous; B and E take no part
MIN_SLICES = 12
_FIRST_SYNTHETIC = 9001


@dataclass(frozen=True, slots=True)
class Cohort:
    """An ingested cohort, as `load` gives it."""

    folder: Path
    patients: pl.DataFrame  # one row each, sorted by patient_id
    digest: str  # of content alone: not of folders, file names or the key
    synthetic: bool


def load(folder: Path) -> Cohort:
    """The cohort ingested into `folder`.

    Raises:
        DataError: none there, of another version, or without patients.
    """
    path = folder / "cohort.json"
    if not path.is_file():
        raise DataError(
            f"No cohort in {folder}; `mmstudy data ingest SOURCE --out {folder}` makes one."
        )
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        patients = pl.read_parquet(folder / "cohort.parquet")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"The cohort in {folder} cannot be read: {error}") from error
    if state.get("schema_version") != SCHEMA_VERSION:
        found = state.get("schema_version")
        raise DataError(
            f"The cohort in {folder} has version {found}, this program reads {SCHEMA_VERSION}; "
            "ingest it again."
        )
    if patients.is_empty():
        raise DataError(f"The cohort in {folder} has no patients.")
    return Cohort(folder, patients, state["digest"], state["synthetic"])


def build(
    instances: pl.DataFrame, boxes: pl.DataFrame, sheet: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Patients included (a row each) and excluded (patient_id, reason).

    Args:
        instances: columns `dicom.INSTANCES`.
        boxes: columns `annotations.BOXES`.
        sheet: columns `clinical.CLINICAL_SHEET`.
    """
    usable = instances.filter(pl.col("reason").is_null())
    boxes = boxes.group_by("sop_uid").agg(
        pl.min("x_min"), pl.min("y_min"), pl.max("x_max"), pl.max("y_max")
    )
    included: list[dict[str, Any]] = []
    excluded: list[dict[str, str]] = []
    for (name,), slices in usable.sort("patient_id", "sop_uid").group_by(
        "patient_id", maintain_order=True
    ):
        if str(name)[0] not in TASK_LABELS:
            excluded.append({"patient_id": str(name), "reason": "E_OTHER_CLASS"})
            continue
        row = _patient(str(name), slices, boxes)
        if isinstance(row, str):
            excluded.append({"patient_id": str(name), "reason": row})
        else:
            included.append(row)
    seen = set(instances["patient_id"].drop_nulls())
    excluded += [
        {"patient_id": name, "reason": "E_NO_IMAGES"}
        for name in sheet["patient_id"]
        if name not in seen
    ]
    excluded += [
        {"patient_id": name, "reason": "E_NO_USABLE_SLICE"}
        for name in sorted(seen - set(usable["patient_id"]))
    ]
    patients = pl.DataFrame(included, infer_schema_length=None)
    if included:
        patients = _with_sheet(patients, sheet).sort("patient_id")
    return patients, pl.DataFrame(excluded, schema={"patient_id": pl.String, "reason": pl.String})


def slices_of(instances: pl.DataFrame, patient: dict[str, Any]) -> pl.DataFrame:
    """The chosen stack of one row of the cohort, foot to head, one slice per position."""
    acquisition = pl.col("acquisition").eq_missing(pl.lit(patient["acquisition"], dtype=pl.Int32))
    chosen = instances.filter(
        pl.col("reason").is_null()
        & (pl.col("patient_id") == patient["patient_id"])
        & (pl.col("series_uid") == patient["series_uid"])
        & acquisition
    )
    return _stack(chosen)


def content_digest(patients: pl.DataFrame, volumes: dict[str, str]) -> str:
    """Digest of the rows and of the volumes' own digests, whatever the folders are called."""
    rows = patients.drop("case", "volume").to_dicts()
    text = json.dumps([rows, sorted(volumes.items())], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stack(slices: pl.DataFrame) -> pl.DataFrame:
    """Sorted by position; of several slices at one position the lowest instance is kept."""
    place = pl.col("z_mm").round(3)
    return slices.sort(place, "instance", "sop_uid").unique(place, keep="first").sort("z_mm")


def _patient(name: str, slices: pl.DataFrame, boxes: pl.DataFrame) -> dict[str, Any] | str:
    stacks = []
    groups = slices.group_by("series_uid", "acquisition", maintain_order=True)
    for (series, acquisition), part in groups:
        stack = _stack(part)
        doubled = 1 - stack.height / part.height
        if doubled > 0.2 or stack.select("rows", "columns").n_unique() > 1:
            continue  # bolus tracking at one position, or mixed shapes
        marked = stack.with_row_index("z").join(boxes, on="sop_uid")
        stacks.append((series, acquisition, stack, marked))
    fitting = [found for found in stacks if found[2].height >= MIN_SLICES]
    if not fitting:
        return "E_FEW_SLICES"
    series, acquisition, stack, marked = min(fitting, key=_preference)
    return {
        "patient_id": name,
        "label": TASK_LABELS[name[0]],
        "group_id": name,
        "series_uid": series,
        "acquisition": acquisition,
        "n_phases": sum(found[0] == series for found in stacks),
        "n_alternatives": len(stacks) - 1,
        "synthetic": int(name[1:]) >= _FIRST_SYNTHETIC,
        **_describe(stack, marked),
    }


def _preference(found: tuple[Any, Any, pl.DataFrame, pl.DataFrame]) -> tuple[Any, ...]:
    """Most annotated slices, soft kernel, fine spacing up to 5 mm, latest phase, UID."""
    series, acquisition, stack, marked = found
    kernel = stack["kernel"][0] or ""
    sharp = kernel.upper() in ("LUNG", "BONE", "L") or kernel[:2] in ("B6", "B7", "B8")
    return (
        -marked["sop_uid"].n_unique(),
        sharp,
        _spacing(stack),
        -stack.height,
        -(acquisition or 0),
        series,
    )


def _spacing(stack: pl.DataFrame) -> float:
    gaps = np.diff(stack["z_mm"].to_numpy())
    return float(np.median(gaps)) if len(gaps) else 0.0


def _describe(stack: pl.DataFrame, marked: pl.DataFrame) -> dict[str, Any]:
    spacing = _spacing(stack)
    gaps = np.diff(stack["z_mm"].to_numpy())
    first = stack.row(0, named=True)
    flags = []
    if (np.abs(gaps - spacing) > 0.1 * spacing).any():
        flags.append("W_Z_IRREGULAR")
    if marked.is_empty():
        flags.append("W_NO_BOX")
    row: dict[str, Any] = {
        "vendor": first["vendor"],
        "kernel": first["kernel"],
        "n_slices": stack.height,
        "spacing_x_mm": first["spacing_x_mm"],
        "spacing_y_mm": first["spacing_y_mm"],
        "spacing_z_mm": round(spacing, 4),
        "qc_flags": flags,
        "z_first_lesion": -1,
        "z_last_lesion": -1,
        "lesion_n_slices": 0,
        "box_cx": None,
        "box_cy": None,
        "max_diam_mm": None,
    }
    if marked.is_empty():
        return row
    width = (marked["x_max"] - marked["x_min"]) * first["spacing_x_mm"]
    height = (marked["y_max"] - marked["y_min"]) * first["spacing_y_mm"]
    return row | {
        "z_first_lesion": marked["z"].min(),
        "z_last_lesion": marked["z"].max(),
        "lesion_n_slices": marked["sop_uid"].n_unique(),
        "box_cx": _centre(marked["x_min"], marked["x_max"]) / first["columns"],
        "box_cy": _centre(marked["y_min"], marked["y_max"]) / first["rows"],
        "max_diam_mm": float(np.sqrt((width * height).max())),
    }


def _centre(low: pl.Series, high: pl.Series) -> float:
    return float((low.to_numpy().min() + high.to_numpy().max()) / 2)


def _with_sheet(patients: pl.DataFrame, sheet: pl.DataFrame) -> pl.DataFrame:
    joined = patients.join(sheet, on="patient_id", how="left", maintain_order="left")
    missing = ~pl.col("patient_id").is_in(sheet["patient_id"].to_list())
    return joined.with_columns(
        pl.col("sex", "smoker").fill_null(-1),
        pl.when(missing)
        .then(pl.concat_list("qc_flags", pl.lit("W_NO_CLINICAL_ROW")))
        .otherwise("qc_flags")
        .alias("qc_flags"),
    )
