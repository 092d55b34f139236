"""From stacks, boxes and the sheet to one row per patient; exclusions are kept with their reason.

One stack per patient is chosen by rule, the same whatever files and folders are called; the others
are kept as alternatives. What depends on the cache (sizes, digests) lies beside the cache instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from mmcaf.data.ingest.rules import PET_IMAGE
from mmcaf.data.ingest.series.preference import Candidate, Place, ranked, rests_on_kernel
from mmcaf.data.ingest.series.stacks import Stack, series_with_losses, stacks_of
from mmcaf.data.ingest.values.meaning import meaning_flags

__all__ = ["TASK_LABELS", "Built", "Chosen", "build"]

TASK_LABELS = {"A": 0, "G": 1}  # adenocarcinoma against squamous; B and E take no part


_FIRST_SYNTHETIC = 9001


_MAX_AGE_DIFFERENCE = 2  # years, between sheet and images


_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_BOXES: dict[str, Any] = {"z": pl.Int64, **dict.fromkeys(_CORNERS, pl.Float64)}


_EXCLUDED: dict[str, Any] = {"patient_id": pl.String, "reason": pl.String}


_Corners = tuple[float, float, float, float]  # values of `_CORNERS`


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
    excluded: pl.DataFrame  # patient_id, reason: of another class, whatever the images are
    chosen: dict[str, Chosen] = field(default_factory=dict)
    alternatives: dict[str, list[Chosen]] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)  # why: the chosen one comes first
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
    losses = series_with_losses(numbered)
    drawn = _of_slices(boxes)
    rows: list[dict[str, Any]] = []
    excluded: dict[str, str] = {}
    built = Built(pl.DataFrame(), pl.DataFrame())
    for (who,), slices in usable.sort("patient_id").group_by("patient_id", maintain_order=True):
        name = str(who)
        if name[0] not in TASK_LABELS:
            excluded[name] = "E_OTHER_CLASS"
            built.reasons |= dict.fromkeys(slices["row"].to_list(), "E_OTHER_CLASS")
            continue
        stacks, reasons = stacks_of(slices, losses)
        built.reasons |= reasons
        if not stacks:
            continue
        marked = [_marked(stack, drawn) for stack in stacks]
        places = ranked([_candidate(of) for of in marked])
        first, *others = (marked[place.index] for place in places)
        built.chosen[name], built.alternatives[name] = first, others
        built.places[name] = places
        rows.append(_row(name, first, others, doubtful=rests_on_kernel(places)))
    built.excluded = pl.DataFrame(sorted(excluded.items()), schema=_EXCLUDED, orient="row")
    if rows:
        patients = pl.DataFrame(rows, infer_schema_length=None)
        built.patients = _with_sheet(_with_pet(patients, numbered), sheet).sort("patient_id")
    return built


def _of_slices(boxes: pl.DataFrame) -> dict[str, list[_Corners]]:
    """SOPInstanceUID -> its boxes."""
    drawn: dict[str, list[_Corners]] = {}
    for uid, x_min, y_min, x_max, y_max in boxes.select("sop_uid", *_CORNERS).iter_rows():
        drawn.setdefault(uid, []).append((x_min, y_min, x_max, y_max))
    return drawn


def _marked(stack: Stack, drawn: Mapping[str, Sequence[_Corners]]) -> Chosen:
    slices = stack.slices.select("sop_uid", "columns", "rows").iter_rows()
    boxes = sorted(
        (z, max(x_min, 0.0), max(y_min, 0.0), min(x_max, float(columns)), min(y_max, float(rows)))
        for z, (uid, columns, rows) in enumerate(slices)
        for x_min, y_min, x_max, y_max in drawn.get(uid, ())
    )
    inside = [box for box in boxes if box[3] > box[1] and box[4] > box[2]]
    return Chosen(stack, pl.DataFrame(inside, schema=_BOXES, orient="row"))


def _candidate(of: Chosen) -> Candidate:
    stack = of.stack
    kernels = sorted({*stack.slices["kernel"]} - {None})
    return Candidate(
        series_uid=stack.series_uid,
        begin_mm=float(stack.z_mm[0]),
        annotated_slices=of.n_marked,
        coverage_mm=float(stack.z_mm[-1] - stack.z_mm[0]) + stack.spacing_z_mm,
        kernel="\\".join(kernels) or None,  # slices that differ contradict each other
        spacing_mm=stack.spacing_z_mm,
        slices=stack.slices.height,
        phase=stack.phase,
    )


def _row(name: str, chosen: Chosen, others: list[Chosen], *, doubtful: bool) -> dict[str, Any]:
    stack = chosen.stack
    first = stack.slices.row(0, named=True)
    phases = {o.stack.phase for o in (chosen, *others) if o.stack.series_uid == stack.series_uid}
    doubts = {"W_KERNEL": doubtful, "W_NO_BOX": chosen.boxes.is_empty()}
    doubted = (code for code, holds in doubts.items() if holds)
    flags = [*stack.flags, *meaning_flags(stack.slices), *doubted]
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
    """Where the boxes are, and how large the largest is.

    `long_side_mm` and `diagonal_mm` are the longest side and diagonal of any box. `max_diam_mm` is
    the largest root of width x height: no diameter, but the size that published baselines rest on.
    """
    boxes = chosen.boxes
    if boxes.is_empty():
        return {
            "z_first_lesion": -1,
            "z_last_lesion": -1,
            "lesion_n_slices": 0,
            "lesion_n_components": 0,
            **dict.fromkeys(("box_cx", "box_cy", "box_w", "box_h", "max_diam_mm", "lateral_mm")),
            **dict.fromkeys(("long_side_mm", "diagonal_mm")),
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
        "long_side_mm": float(np.maximum(width, height).max()),
        "diagonal_mm": float(np.hypot(width, height).max()),
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
        "W_SEX": both_sexes & (pl.col("sex") != pl.col("dicom_sex")),
        "W_AGE": apart.fill_null(value=False),
    }
    found = [pl.when(holds).then(pl.lit(code)) for code, holds in doubts.items()]
    of_cells = pl.col("sheet_flags").fill_null([])
    flags = pl.concat_list(pl.col("qc_flags"), of_cells, *found).list.drop_nulls()
    return joined.with_columns(qc_flags=flags).drop("sheet_flags", "dicom_sex", "dicom_age_years")
