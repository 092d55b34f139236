"""From stacks, boxes and the sheet to one row per patient; exclusions are kept with their reason.

One stack per patient is chosen by rule, the same whatever files and folders are called; the others
are kept as alternatives. What depends on the cache (sizes, digests) lies beside the cache instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from mmcaf.data.ingest.rules import PET_IMAGE
from mmcaf.data.ingest.stacks import Stack, stacks_of

__all__ = ["TASK_LABELS", "Built", "Chosen", "build"]

TASK_LABELS = {"A": 0, "G": 1}  # adenocarcinoma against squamous; B and E take no part


_FIRST_SYNTHETIC = 9001


_MAX_AGE_DIFFERENCE = 2  # years, between sheet and images


_SHARP = ("LUNG", "BONE", "L", "EDGE")


_EXCLUDED: dict[str, Any] = {"patient_id": pl.String, "reason": pl.String}


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A patient's stack, with the boxes on it."""

    stack: Stack
    boxes: pl.DataFrame  # z (index in the stack), x_min, y_min, x_max, y_max, clipped to the slice

    @property
    def n_marked(self) -> int:
        """Annotated slices."""
        return self.boxes["z"].n_unique()


@dataclass(slots=True)
class Built:
    """What `build` gives."""

    patients: pl.DataFrame
    excluded: pl.DataFrame  # patient_id, reason
    chosen: dict[str, Chosen] = field(default_factory=dict)
    alternatives: dict[str, list[Chosen]] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)  # row of `instances` -> code


def build(instances: pl.DataFrame, boxes: pl.DataFrame, sheet: pl.DataFrame) -> Built:
    """Choose a stack for every patient of the task, and describe patient, stack and lesion.

    Args:
        instances: columns `index.INSTANCES`.
        boxes: columns `annotations.BOXES`.
        sheet: columns `clinical.CLINICAL_SHEET`.
    """
    numbered = instances.with_row_index("row").filter(pl.col("kind") == "image")
    usable = numbered.filter(pl.col("reason").is_null())
    rows: list[dict[str, Any]] = []
    excluded: dict[str, str] = {}
    built = Built(pl.DataFrame(), pl.DataFrame())
    for (who,), slices in usable.sort("patient_id").group_by("patient_id", maintain_order=True):
        name = str(who)
        if name[0] not in TASK_LABELS:
            excluded[name] = "E_OTHER_CLASS"
            built.reasons |= dict.fromkeys(slices["row"].to_list(), "E_OTHER_CLASS")
            continue
        stacks, reasons = stacks_of(slices)
        built.reasons |= reasons
        if not stacks:
            excluded[name] = "E_NO_USABLE_SLICE"
            continue
        first, *others = sorted((_marked(stack, boxes) for stack in stacks), key=_preference)
        built.chosen[name], built.alternatives[name] = first, others
        rows.append(_row(name, first, others))
    present = set(instances["patient_id"].drop_nulls())
    excluded |= dict.fromkeys(set(sheet["patient_id"]) - present, "E_NO_IMAGES")
    excluded |= dict.fromkeys(present - set(usable["patient_id"]), "E_NO_USABLE_SLICE")
    built.excluded = pl.DataFrame(sorted(excluded.items()), schema=_EXCLUDED, orient="row")
    if rows:
        patients = pl.DataFrame(rows, infer_schema_length=None)
        built.patients = _with_sheet(_with_pet(patients, numbered), sheet).sort("patient_id")
    return built


def _marked(stack: Stack, boxes: pl.DataFrame) -> Chosen:
    marked = stack.slices.with_row_index("z").join(boxes, on="sop_uid")
    clipped = marked.select(
        pl.col("z").cast(pl.Int64),
        pl.col("x_min", "x_max").clip(0, pl.col("columns")),
        pl.col("y_min", "y_max").clip(0, pl.col("rows")),
    )
    inside = (pl.col("x_max") > pl.col("x_min")) & (pl.col("y_max") > pl.col("y_min"))
    return Chosen(stack, clipped.filter(inside).sort("z", "x_min", "y_min", "x_max", "y_max"))


def _preference(of: Chosen) -> tuple[Any, ...]:
    """Most annotated slices, soft kernel, fine spacing, many slices, latest phase, UID."""
    kernel = (of.stack.slices["kernel"][0] or "").upper()
    sharp = kernel in _SHARP or kernel[:2] in ("B6", "B7", "B8")
    return (
        -of.n_marked,
        sharp,
        round(of.stack.spacing_z_mm, 3),
        -of.stack.slices.height,
        -of.stack.phase,  # a later one is the venous phase
        of.stack.series_uid,
        of.stack.z_mm[0],
    )


def _row(name: str, chosen: Chosen, others: list[Chosen]) -> dict[str, Any]:
    stack = chosen.stack
    first = stack.slices.row(0, named=True)
    phases = {o.stack.phase for o in (chosen, *others) if o.stack.series_uid == stack.series_uid}
    flags = [*stack.flags, *(["W_NO_BOX"] if chosen.boxes.is_empty() else [])]
    return {
        "patient_id": name,
        "label": TASK_LABELS[name[0]],
        "class": name[0],
        "group_id": name,
        "study_uid": first["study_uid"],
        "series_uid": stack.series_uid,
        "acquisition": stack.acquisition,
        "phase": stack.phase,
        "n_phases": len(phases),
        "n_alternatives": len(others),
        "synthetic": int(name[1:]) >= _FIRST_SYNTHETIC,
        **{key: first[key] for key in ("vendor", "model", "kernel", "kvp", "contrast")},
        "n_slices": stack.slices.height,
        "rows_px": first["rows"],
        "spacing_x_mm": first["spacing_x_mm"],
        "spacing_y_mm": first["spacing_y_mm"],
        "spacing_z_mm": round(stack.spacing_z_mm, 4),
        "z_irregular": "W_Z_GAP" in flags,
        "tilt_deg": stack.tilt_deg,
        "qc_flags": flags,
        **_lesion(chosen, first),
        "dicom_sex": first["dicom_sex"],
        "dicom_age_years": first["dicom_age_years"],
        "frame_uid": first["frame_uid"],
    }


def _lesion(chosen: Chosen, first: Mapping[str, Any]) -> dict[str, Any]:
    """Where the boxes are, and how large: `max_diam_mm` is the largest root of width x height."""
    boxes = chosen.boxes
    if boxes.is_empty():
        return {
            "z_first_lesion": -1,
            "z_last_lesion": -1,
            "lesion_n_slices": 0,
            "lesion_n_components": 0,
            **dict.fromkeys(("box_cx", "box_cy", "box_w", "box_h", "max_diam_mm", "lateral_mm")),
        }
    slices = np.unique(boxes["z"].to_numpy())
    x0, x1 = (float(value) for value in (min(boxes["x_min"]), max(boxes["x_max"])))
    y0, y1 = (float(value) for value in (min(boxes["y_min"]), max(boxes["y_max"])))
    width = (boxes["x_max"] - boxes["x_min"]).to_numpy() * first["spacing_x_mm"]
    height = (boxes["y_max"] - boxes["y_min"]).to_numpy() * first["spacing_y_mm"]
    columns, rows = first["columns"], first["rows"]
    return {
        "z_first_lesion": int(slices[0]),
        "z_last_lesion": int(slices[-1]),
        "lesion_n_slices": len(slices),
        "lesion_n_components": 1 + int((np.diff(slices) > 1).sum()),
        "box_cx": (x0 + x1) / 2 / columns,  # as shares of the slice
        "box_cy": (y0 + y1) / 2 / rows,
        "box_w": (x1 - x0) / columns,
        "box_h": (y1 - y0) / rows,
        "max_diam_mm": float(np.sqrt((width * height).max())),
        "lateral_mm": abs((x0 + x1) / 2 - columns / 2) * first["spacing_x_mm"],
    }


def _with_pet(patients: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Whether the patient has a PET series, and whether it shares the CT's frame of reference."""
    pet = images.filter(pl.col("sop_class") == PET_IMAGE).drop_nulls("patient_id")
    frames = pet.group_by("patient_id").agg(pet_frames=pl.col("frame_uid").unique())
    joined = patients.join(frames, on="patient_id", how="left", maintain_order="left")
    same = pl.col("pet_frames").list.contains(pl.col("frame_uid")).fill_null(value=False)
    return joined.with_columns(
        has_pet=pl.col("pet_frames").is_not_null(), pet_same_frame=same
    ).drop("pet_frames", "frame_uid")


def _with_sheet(patients: pl.DataFrame, sheet: pl.DataFrame) -> pl.DataFrame:
    """Clinical values beside each patient; where the images contradict them, the sheet stays."""
    known = sheet.with_columns(miss_row=pl.lit(value=False))
    joined = patients.join(known, on="patient_id", how="left", maintain_order="left")
    joined = joined.with_columns(
        pl.col("sex", "smoker").fill_null(-1),
        pl.col("miss_row").fill_null(value=True),
        miss_age=pl.col("age_years").is_null(),
        miss_weight=pl.col("weight_kg").is_null(),
    )
    both_sexes = (pl.col("sex") >= 0) & (pl.col("dicom_sex") >= 0)
    apart = (pl.col("age_years") - pl.col("dicom_age_years")).abs() > _MAX_AGE_DIFFERENCE
    doubts = {
        "W_NO_CLINICAL_ROW": pl.col("miss_row"),
        "W_STAGE": pl.col("stage_invalid").fill_null(value=False),
        "W_SEX": both_sexes & (pl.col("sex") != pl.col("dicom_sex")),
        "W_AGE": apart.fill_null(value=False),
    }
    found = [pl.when(holds).then(pl.lit(code)) for code, holds in doubts.items()]
    flags = pl.concat_list(pl.col("qc_flags"), *found).list.drop_nulls()
    return joined.with_columns(qc_flags=flags).drop("stage_invalid", "dicom_sex", "dicom_age_years")
