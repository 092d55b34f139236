"""What ingestion found, as one JSON document: counts that add up, exclusions, doubts, fingerprint.

It holds pseudonyms of the collection and the last five digits of series UIDs (as its folders do),
but no date, no path and no free text from a header.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from mmcaf.data.ingest.annotations import WITHOUT_BOX
from mmcaf.data.ingest.clinical import Clinical
from mmcaf.data.ingest.patients.whereabouts import Whereabouts
from mmcaf.data.ingest.rules import CODES
from mmcaf.data.splits import Protocol, assign
from mmcaf.errors import DataError
from mmcaf.files.untrusted import checked, decode, read_bytes
from mmcaf.stats.areas import auroc
from mmcaf.stats.regression.logistic import out_of_fold

__all__ = ["compose", "confound_probe", "file_counts", "incomplete_series", "read_report"]

_FULL_COLLECTION = 300  # patients with images, from which on published counts should be met
_PUBLISHED = {  # of the whole collection, by others who downloaded it
    "annotation files": 31_562,
    "not valid XML": 1,
    "on CT slices": 20_484,
    "on other images": 10_400,
    "on nothing": 677,
}
_TOLERANCE = 0.02
_ACQUISITION = ("spacing_z_mm", "spacing_x_mm", "n_slices", "kvp")
_CODES = ("vendor", "model", "kernel")
_COUNTED = ("files", "annotations", "flags")  # parts of the report whose keys may be codes
_RANGES = ("spacing_z_mm", "spacing_x_mm", "n_slices", "long_side_mm", "diagonal_mm", "age_years")


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a program asks of `ingest_report.json`; the rest is for humans."""

    synthetic: bool
    patients: int


def read_report(cohort: Path) -> dict[str, Any]:
    """The report of the ingestion that made the folder `cohort`.

    Raises:
        DataError: missing or damaged; names the field.
    """
    path = checked(cohort / "ingest_report.json", cohort)
    remedy = "Copy it again from where it was made, or ingest again."
    try:
        text = read_bytes(path)
    except FileNotFoundError as error:
        raise DataError(f"There is no {path}. {remedy}") from error
    decode(text, _Report, source=str(path), remedy=remedy)
    return decode(text, dict[str, Any], source=str(path), remedy=remedy)


def compose(
    *,
    files: pl.DataFrame,
    boxes: pl.DataFrame,
    sheet: Clinical,
    where: Whereabouts,
    patients: pl.DataFrame,
    incomplete: dict[str, Any],
) -> dict[str, Any]:
    """The report.

    Args:
        files: one row per file, columns `INSTANCES`, `verdict` and `use`.
        boxes: distinct boxes of all annotations.
        sheet: what the clinical sheets say.
        where: where every patient is.
        patients: the cohort.
        incomplete: as `incomplete_series` gives it.
    """
    annotations = _annotation_counts(files, boxes)
    told: dict[str, Any] = {
        "patients": patients.height,
        "squamous": int(patients["label"].sum()) if patients.height else 0,
        "files": file_counts(files),
        "n_files": files.height,
        "annotations": annotations,
        "clinical_rows": sheet.patients.height,
        "clinical": sheet.told,
        "download": incomplete,
        "against_published_counts": _differences(files, annotations),
        "excluded": where.excluded.to_dicts(),
        "unknown_ids": {"files": where.unknown_files, "studies": where.unknown_studies},
        "flags": _flags(patients),
        "fingerprint": _fingerprint(patients),
        "confound_probe": confound_probe(patients),
    }
    given = {who["reason"] for who in told["excluded"]}.union(*(told[of] for of in _COUNTED))
    return told | {"codes": {code: CODES[code] for code in sorted(given & CODES.keys())}}


def file_counts(files: pl.DataFrame) -> dict[str, int]:
    """How many files ended where; the sum is the number of files."""
    ends = files.select(end=pl.coalesce("verdict", "reason", "use", "kind"))["end"]
    return dict(sorted(Counter(ends.to_list()).items()))


def incomplete_series(files: pl.DataFrame, lists: Sequence[Path]) -> dict[str, Any]:
    """Series of the download's own list (`metadata.csv`) of which images are missing here."""
    listed: dict[str, tuple[str, int]] = {}
    for path in lists:
        with (
            suppress(csv.Error, OSError),
            path.open(encoding="utf-8", errors="replace", newline="") as file,
        ):
            listed |= dict(_listed(csv.DictReader(file)))
    here = dict(
        files.drop_nulls("sop_uid").group_by("series_uid").agg(pl.n_unique("sop_uid")).iter_rows()
    )
    found = [
        {
            "patient_id": patient,
            "series": f"…-{uid[-5:]}",
            "images": here[uid],
            "listed": count,
            "reason": "W_SERIES_INCOMPLETE",
        }
        for uid, (patient, count) in sorted(listed.items())
        if 0 < here.get(uid, 0) < count
    ]
    absent = sum(uid not in here for uid in listed)
    return {"listed_series": len(listed), "absent_series": absent, "incomplete": found}


def _listed(rows: Iterable[Mapping[str, str | None]]) -> Iterator[tuple[str, tuple[str, int]]]:
    """Series UID -> patient and number of images; rows that do not say so are passed over."""
    for row in rows:
        count = row.get("Number of Images") or ""
        if re.fullmatch(r"[0-9]{1,7}", count):
            patient = (row.get("Subject ID") or "").removeprefix("Lung_Dx-")[:5]
            yield row.get("Series UID") or "", (patient, int(count))


def confound_probe(patients: pl.DataFrame) -> dict[str, Any] | None:
    """How well scanner and protocol alone tell the classes apart, cross-validated.

    They should not: an AUROC more than two standard errors of the null above 0.5 is `suspect`,
    for a network could then learn the scanner. None where there are too few patients to say.
    """
    if patients.height < 20 or not 5 <= patients["label"].sum() <= patients.height - 5:
        return None
    names, labels = patients["patient_id"].to_list(), patients["label"].to_numpy().astype(np.int64)
    split = assign(
        names, labels.tolist(), patients["group_id"].to_list(), protocol=Protocol(folds=5)
    )
    where = {name: index for index, name in enumerate(names)}
    parts = [np.array([where[name] for name in fold.val]) for fold in split.folds]
    area = auroc(labels, out_of_fold(_acquisition(patients), labels, parts))
    positive = int(labels.sum())
    negative = len(labels) - positive
    error = float(np.sqrt((len(labels) + 1) / (12 * positive * negative)))
    return {
        "auroc": round(area, 4),
        "null_standard_error": round(error, 4),
        "suspect": bool(area > 0.5 + 2 * error),
    }


def _acquisition(patients: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = patients.select(pl.col(name).cast(pl.Float64) for name in _ACQUISITION)
    numbers = numbers.with_columns(pl.all().fill_null(strategy="mean").fill_null(0.0))
    codes = patients.select(pl.col(name).fill_null("") for name in _CODES).to_dummies()
    return np.hstack([numbers.to_numpy(), codes.to_numpy().astype(np.float64)])


def _annotation_counts(files: pl.DataFrame, boxes: pl.DataFrame) -> dict[str, int]:
    read = files.filter(pl.col("kind") == "annotation")
    codes = Counter(read.select(pl.coalesce("verdict", "reason"))["verdict"].to_list())
    bad = sum(n for code, n in codes.items() if code and code.startswith("E_"))
    return {
        "files": read.height,
        "matched": read.height - bad - sum(codes[code] for code in WITHOUT_BOX),
        "boxes": boxes.height,
        **{str(code): n for code, n in sorted(codes.items(), key=str) if code},
    }


def _differences(files: pl.DataFrame, annotations: dict[str, int]) -> list[dict[str, Any]]:
    """Where a full download differs from what others counted by more than a fiftieth."""
    if files["patient_id"].drop_nulls().n_unique() < _FULL_COLLECTION:
        return []
    found = {
        "annotation files": annotations["files"],
        "not valid XML": annotations.get("E_XML_PARSE", 0),
        "on CT slices": annotations["matched"],
        "on other images": annotations.get("W_ON_UNUSABLE", 0),
        "on nothing": annotations.get("W_NO_SLICE", 0),
    }
    return [
        {"what": what, "found": found[what], "published": published}
        for what, published in _PUBLISHED.items()
        if abs(found[what] - published) > _TOLERANCE * published
    ]


def _flags(patients: pl.DataFrame) -> dict[str, int]:
    flags = patients["qc_flags"].explode().drop_nulls().to_list() if patients.height else []
    return dict(sorted(Counter(map(str, flags)).items()))


def _fingerprint(patients: pl.DataFrame) -> dict[str, Any]:
    if patients.is_empty():
        return {}
    ranges = {
        name: {"min": part.min(), "median": part.median(), "max": part.max()}
        for name in _RANGES
        if (part := patients[name].drop_nulls().cast(pl.Float64)).len()
    }
    return {
        **ranges,
        "slices": int(patients["n_slices"].sum()),
        "alternatives": int(patients["n_alternatives"].sum()),
        "vendors": dict(sorted(Counter(patients["vendor"].fill_null("").to_list()).items())),
        "with_pet": int(patients["has_pet"].sum()),
        "groups": patients["group_id"].n_unique(),
    }
