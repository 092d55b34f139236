"""The order of ingestion: scan, match, choose, cache, report. The cohort appears when all is done.

Running it again on the same sources gives the same digest and rewrites no volume. Patients are
published under keyed hashes; the key is made once and stays in the cohort's folder.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmcaf.data import clinical, cohort, dicom, volumes
from mmcaf.data.annotations import read_boxes
from mmcaf.data.cohort import Cohort
from mmcaf.data.volumes import VolumeSpec
from mmcaf.errors import DataError
from mmcaf.files import replacing, write_json

__all__ = ["ingest"]

Progress = Callable[[str, int, int], None]


def ingest(
    sources: Sequence[Path],
    out: Path,
    *,
    annotation_folder: Path | None = None,
    sheet: Path | None = None,
    in_plane_px: int = 208,
    progress: Progress | None = None,
) -> Cohort:
    """Read `sources` (folders of the collection's layout, or any other) into the folder `out`.

    Args:
        sources: where DICOM, annotations and clinical sheets lie.
        out: the cohort's folder.
        annotation_folder: where annotations lie, if not under the sources.
        sheet: the clinical sheet, if it is not beside the images.
        in_plane_px: side of the cached slices.
        progress: called with what is being done, how many are done, and of how many.

    Raises:
        DataError: nothing usable was found; nothing is written then.
        OSError: the disk is full; what was there before is unchanged.
    """
    spec = VolumeSpec(in_plane_px)
    instances = dicom.scan(sources, progress)
    boxes, xml_faults = _boxes([annotation_folder] if annotation_folder else sources)
    rows = _sheets([sheet] if sheet else _find_sheets(sources))
    patients, excluded = cohort.build(instances, boxes, rows)
    report = _report(instances, boxes, xml_faults, rows, excluded)
    if patients.is_empty():
        reasons = ", ".join(f"{n} {reason}" for reason, n in report["files"].items())
        raise DataError(
            f"No patient with adenocarcinoma or squamous carcinoma and at least "
            f"{cohort.MIN_SLICES} CT slices was found; files: {reasons or 'none'}."
        )
    key = _key(out)
    patients = patients.with_columns(
        case=_hashed(patients["patient_id"], key),
        volume=pl.Series([_stem(row) for row in patients.iter_rows(named=True)]),
        base_px=pl.lit(in_plane_px),
    )
    digests = _cache(patients, instances, sources, out, spec, progress)
    digest = cohort.content_digest(patients, digests)
    synthetic = bool(patients["synthetic"].any())
    _write_table(out / "instances.parquet", instances)
    _write_table(out / "boxes.parquet", boxes)
    _write_table(out / "cohort.parquet", patients)
    summary = {"synthetic": synthetic, "digest": digest, **_fingerprint(patients)}
    write_json(out / "ingest_report.json", {**summary, **report})
    write_json(
        out / "cohort.json",
        {
            "schema_version": cohort.SCHEMA_VERSION,
            "task": "adc-vs-scc",
            "synthetic": synthetic,
            "digest": digest,
        },
    )
    return cohort.load(out)


def _boxes(folders: Sequence[Path]) -> tuple[pl.DataFrame, dict[str, int]]:
    parts: list[pl.DataFrame] = []
    faults: dict[str, int] = {}
    for folder in folders:
        found, failed = read_boxes(folder)
        parts.append(found)
        faults |= {reason: faults.get(reason, 0) + n for reason, n in failed.items()}
    return pl.concat(parts).unique(maintain_order=True), faults


def _find_sheets(sources: Sequence[Path]) -> list[Path]:
    return [path for source in sources for path in sorted(source.rglob("*clinical*.xlsx"))]


def _sheets(paths: Sequence[Path]) -> pl.DataFrame:
    parts = [clinical.read_sheet(path) for path in paths]
    empty = pl.DataFrame(schema=clinical.CLINICAL_SHEET)
    return pl.concat([empty, *parts]).unique("patient_id", keep="first", maintain_order=True)


def _cache(
    patients: pl.DataFrame,
    instances: pl.DataFrame,
    sources: Sequence[Path],
    out: Path,
    spec: VolumeSpec,
    progress: Progress | None,
) -> dict[str, str]:
    """Write every patient's base volume that is not there; patient -> digest of its voxels."""
    digests = {}
    for done, row in enumerate(patients.iter_rows(named=True), 1):
        path = out / "volumes" / spec.digest / f"{row['volume']}.npy"
        if path.exists():
            volume = np.load(path, allow_pickle=False)
        else:
            stack = cohort.slices_of(instances, row)
            files = [sources[s] / p for s, p in stack.select("source", "path").iter_rows()]
            volume = volumes.resized(np.stack(list(dicom.read_hu(files))), spec.in_plane_px)
            volumes.write_volume(path, volume)
        digests[row["patient_id"]] = volumes.volume_digest(volume)
        if progress is not None:
            progress("volumes", done, patients.height)
    return digests


def _report(
    instances: pl.DataFrame,
    boxes: pl.DataFrame,
    xml_faults: dict[str, int],
    sheet: pl.DataFrame,
    excluded: pl.DataFrame,
) -> dict[str, Any]:
    codes = instances["reason"].fill_null("used or alternative")
    matched = boxes.join(instances.drop_nulls("sop_uid"), on="sop_uid", how="semi")
    return {
        "files": dict(sorted(codes.value_counts().iter_rows())),
        "annotations": {
            "boxes": boxes.height,
            "matched": matched.height,
            **xml_faults,
        },
        "clinical_rows": sheet.height,
        "excluded": excluded.sort("patient_id").to_dicts(),
    }


def _fingerprint(patients: pl.DataFrame) -> dict[str, Any]:
    spacing = patients["spacing_z_mm"]
    return {
        "patients": patients.height,
        "squamous": int(patients["label"].sum()),
        "alternative_series": int(patients["n_alternatives"].sum()),
        "slices": int(patients["n_slices"].sum()),
        "spacing_z_mm": {"min": spacing.min(), "median": spacing.median(), "max": spacing.max()},
        "flags": dict(
            sorted(patients["qc_flags"].explode().drop_nulls().value_counts().iter_rows())
        ),
    }


def _key(out: Path) -> bytes:
    path = out / "cohort.key"
    if not path.exists():
        with replacing(path) as beside:
            beside.touch(mode=0o600)
            beside.write_text(secrets.token_hex(32), encoding="ascii")
    return bytes.fromhex(path.read_text(encoding="ascii"))


def _hashed(names: pl.Series, key: bytes) -> pl.Series:
    digests = [hmac.new(key, n.encode(), hashlib.sha256).hexdigest()[:12] for n in names]
    return pl.Series(digests)


def _stem(row: dict[str, Any]) -> str:
    text = f"{row['series_uid']}/{row['acquisition']}/{row['n_slices']}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _write_table(path: Path, table: pl.DataFrame) -> None:
    with replacing(path) as beside:
        table.write_parquet(beside)
