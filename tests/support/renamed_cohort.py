"""A whole, valid cohort of the same patients under other names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl

from mmcaf.data.cohort import Cohort, content_digest, file_digest, load
from mmcaf.data.volumes import VolumeSpec

__all__ = ["renamed"]


def renamed(cohort: Cohort, folder: Path, *, series: bool = False, facts: bool = True) -> Cohort:
    """A copy in `folder` whose patients have new ids, groups and cases, and new series UIDs if
    `series`; without `facts`, also without what ingestion wrote beside the volumes."""
    shutil.copytree(cohort.folder, folder)
    new = pl.format("X{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(4))
    patients = cohort.patients.with_columns(
        patient_id=new, group_id=new, case=pl.format("x{}", pl.col("case"))
    )
    if series:
        patients = patients.with_columns(series_uid=pl.format("9.{}", pl.col("series_uid")))
    beside = folder / "volumes" / VolumeSpec(cohort.in_plane_px).digest
    digests = {
        patient: json.loads((beside / f"{name}.json").read_text())["sha256"]
        for patient, name in patients.select("patient_id", "volume").iter_rows()
    }
    if not facts:
        for path in beside.glob("*.json"):
            path.unlink()
    patients.write_parquet(folder / "cohort.parquet")
    state = json.loads((folder / "cohort.json").read_text())
    state["digest"] = content_digest(patients, digests)
    state["table_sha256"] = file_digest(folder / "cohort.parquet")
    (folder / "cohort.json").write_text(json.dumps(state))
    return load(folder)
