"""An ingested cohort, read and checked: one row per patient, and the digest of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmcaf.errors import DataError

__all__ = ["SCHEMA_VERSION", "Cohort", "content_digest", "file_digest", "load"]

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Cohort:
    """An ingested cohort, as `load` gives it."""

    folder: Path
    patients: pl.DataFrame  # one row each, sorted by patient_id
    digest: str  # of content alone: not of folders, file names or the key
    synthetic: bool
    in_plane_px: int  # side of the slices ingestion cached


def load(folder: Path) -> Cohort:
    """The cohort ingested into `folder`.

    Raises:
        DataError: none there, of another version, half-written, or without patients.
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
    if state["table_sha256"] != file_digest(folder / "cohort.parquet"):
        raise DataError(
            f"The table of the cohort in {folder} is not the one it was ingested with: ingestion "
            "was interrupted at its very end, or the file was changed. Run it again."
        )
    if patients.is_empty():
        raise DataError(f"The cohort in {folder} has no patients.")
    return Cohort(folder, patients, state["digest"], state["synthetic"], state["in_plane_px"])


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(patients: pl.DataFrame, volumes: Mapping[str, str]) -> str:
    """Digest of the rows and of the volumes' own digests, whatever the folders are called."""
    rows = patients.drop("case", "volume").to_dicts()
    text = json.dumps([rows, sorted(volumes.items())], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
