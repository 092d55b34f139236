"""The end of ingestion: from what was chosen and cached to the files of the cohort's folder.

A file that already says the same is not written again; `cohort.json` comes last, and with it the
cohort is complete. Patients are published under keyed hashes: the key is made once and stays here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.data import cohort
from mmcaf.data.ingest import report
from mmcaf.data.ingest.annotations import Annotations, match
from mmcaf.data.ingest.caching import StackTask, is_thorax
from mmcaf.data.ingest.choose import Built
from mmcaf.data.ingest.groups import group_ids
from mmcaf.data.ingest.index import write_table
from mmcaf.data.ingest.report_html import render
from mmcaf.data.volumes import VolumeSpec
from mmcaf.errors import DataError
from mmcaf.files.atomic import replacing, write_json
from mmcaf.files.untrusted import checked, read_bytes

__all__ = ["Ingested", "record"]

_MOST_KEY = 1_000  # bytes


@dataclass(frozen=True, slots=True)
class Ingested:
    """All that ingestion found out."""

    folders: list[Path]  # the sources
    files: pl.DataFrame  # columns `index.INSTANCES`
    annotations: Annotations
    sheet: pl.DataFrame  # columns `clinical.CLINICAL_SHEET`
    built: Built
    tasks: dict[str, StackTask]  # patient -> where its volume lies
    facts: dict[str, dict[str, Any]]  # patient -> facts of that volume


def record(found: Ingested, out: Path, spec: VolumeSpec) -> None:
    """Write the cohort and its reports into `out`.

    Raises:
        DataError: no patient is left; says where the files ended.
    """
    rejected = sorted(name for name, facts in found.facts.items() if not is_thorax(facts))
    files = _with_ends(found, rejected)
    _refuse_empty(files, found, rejected)
    patients = _complete(found, rejected, out)
    digests = {name: found.facts[name]["sha256"] for name in patients["patient_id"]}
    head = {
        "synthetic": bool(patients["synthetic"].any()),
        "digest": cohort.content_digest(patients, digests),
    }
    readable = (pl.col("kind") == "download_list") & pl.col("reason").is_null()
    lists = files.filter(readable).select("source", "path").iter_rows()
    of_hu = pl.DataFrame({"patient_id": rejected}, schema={"patient_id": pl.String})
    told = head | report.compose(
        files=files,
        boxes=found.annotations.boxes,
        sheet_rows=found.sheet.height,
        excluded=pl.concat([found.built.excluded, of_hu.with_columns(reason=pl.lit("E_HU"))]),
        patients=patients,
        incomplete=report.incomplete_series(files, [found.folders[s] / path for s, path in lists]),
    )
    page = render(told, patients, found.built.chosen, out, spec)
    _keep_table(out / "instances.parquet", files)
    _keep_table(out / "boxes.parquet", found.annotations.boxes)
    _keep_table(out / "cohort.parquet", patients)
    _keep_json(out / "ingest_report.json", told)
    _keep_text(out / "ingest_report.html", page)
    _keep_text(out / cohort.NOTICE, cohort.notice(patients))
    of_cohort = {
        "schema_version": cohort.SCHEMA_VERSION,
        "task": "adc-vs-scc",
        **head,
        "in_plane_px": spec.in_plane_px,
        "table_sha256": cohort.file_digest(out / "cohort.parquet"),
    }
    _keep_json(out / "cohort.json", of_cohort)


def _with_ends(found: Ingested, rejected: list[str]) -> pl.DataFrame:
    """Every file's end: `verdict` (a code) where it has one, `use` where it is a used slice."""
    built = found.built
    stacks = [
        *((of, "alternative") for others in built.alternatives.values() for of in others),
        *((of, "chosen") for of in built.chosen.values()),
    ]
    use = {row: word for of, word in stacks for row in of.stack.slices["row"]}
    verdicts = built.reasons | _annotation_codes(found)
    for name in rejected:
        verdicts |= dict.fromkeys(built.chosen[name].stack.slices["row"].to_list(), "E_HU")
    rows = range(found.files.height)
    return found.files.with_columns(
        verdict=pl.Series([verdicts.get(row) for row in rows], dtype=pl.String),
        use=pl.Series([use.get(row) for row in rows], dtype=pl.String),
    )


def _annotation_codes(found: Ingested) -> dict[int, str]:
    files = found.files.with_row_index("row")
    annotated = files.filter(pl.col("kind") == "annotation").select("row", "path")
    folders = {row: f"/{path}".rsplit("/", 2)[-2] for row, path in annotated.iter_rows()}
    named = files.drop_nulls("sop_uid").select("sop_uid", "patient_id", "reason", "row")
    slices: dict[str, tuple[str, bool]] = {}
    for sop_uid, patient, reason, row in named.iter_rows():
        usable = reason is None and row not in found.built.reasons
        if usable or sop_uid not in slices:  # a copy that was left out does not speak for it
            slices[sop_uid] = (patient or "", usable)
    return match(found.annotations, folders, slices)


def _refuse_empty(files: pl.DataFrame, found: Ingested, rejected: list[str]) -> None:
    if len(rejected) < len(found.facts):
        return
    ends = ", ".join(f"{count} {end}" for end, count in report.file_counts(files).items())
    raise DataError(
        "No patient with adenocarcinoma or squamous carcinoma and at least 12 usable CT slices was "
        f"found. Files: {ends}. `mmcaf/data/ingest/rules.py` says what each code means."
    )


def _complete(found: Ingested, rejected: list[str], out: Path) -> pl.DataFrame:
    """The rows with what the pixels say (lesion HU, groups) and the names they go by."""
    rows = found.built.patients
    patients = rows.filter(~pl.col("patient_id").is_in(rejected))
    names = patients["patient_id"].to_list()
    groups = group_ids({name: found.facts[name]["slice_digests"] for name in names})
    lesion_hu = [found.facts[name]["lesion_hu"] for name in names]
    key = _key(out)
    return patients.with_columns(
        lesion_hu=pl.Series(lesion_hu, dtype=pl.Float64),
        group_id=pl.Series([groups[name] for name in names]),
        case=pl.Series([_hashed(name, key) for name in names]),
        volume=pl.Series([found.tasks[name].volume.stem for name in names]),
    )


def _key(out: Path) -> bytes:
    path = out / "cohort.key"
    if not path.exists():
        with replacing(path) as beside:
            beside.touch(mode=0o600)
            beside.write_text(secrets.token_hex(32), encoding="ascii")
    try:
        return bytes.fromhex(read_bytes(path, most=_MOST_KEY).decode("ascii"))
    except ValueError as error:
        raise DataError(
            f"{path} is damaged: a key is hexadecimal digits. Copy it again from where the cohort "
            "was made, or delete it; cases then have other names."
        ) from error


def _hashed(name: str, key: bytes) -> str:
    return hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:12]


def _keep_table(path: Path, table: pl.DataFrame) -> None:
    """Write it unless the file says the same already."""
    if not _says_already(lambda: pl.read_parquet(checked(path, path.parent)).equals(table)):
        write_table(path, table)


def _keep_json(path: Path, value: dict[str, Any]) -> None:
    if not _says_already(lambda: json.loads(read_bytes(path)) == value):
        write_json(path, value)


def _keep_text(path: Path, text: str) -> None:
    if not _says_already(lambda: read_bytes(path).decode() == text):
        with replacing(path) as beside:
            beside.write_text(text, encoding="utf-8")


def _says_already(same: Callable[[], bool]) -> bool:
    try:
        return same()
    except (OSError, ValueError, RecursionError, DataError, pl.exceptions.PolarsError):
        return False  # missing, or damaged: to be written anew
