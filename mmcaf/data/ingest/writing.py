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
from mmcaf.data.ingest.annotations import Annotations, box_flags, match
from mmcaf.data.ingest.caching import StackTask
from mmcaf.data.ingest.choose import Built
from mmcaf.data.ingest.clinical import Clinical
from mmcaf.data.ingest.discovery import located
from mmcaf.data.ingest.groups import group_ids
from mmcaf.data.ingest.index import read_table, write_table
from mmcaf.data.ingest.patients.whereabouts import Whereabouts, whereabouts
from mmcaf.data.ingest.report_html import render
from mmcaf.data.ingest.series.explanation import explained
from mmcaf.data.ingest.voxels.plausibility import is_thorax
from mmcaf.data.volumes import VolumeSpec
from mmcaf.errors import DataError
from mmcaf.files.atomic import replacing, write_json
from mmcaf.files.untrusted import read_bytes

__all__ = ["Ingested", "Told", "record", "tell"]

_MOST_KEY = 1_000  # bytes
_UNEXPECTED = [
    *("E_NO_ACCESS", "E_EMPTY", "E_SYMLINK", "E_NOT_REGULAR", "E_TOO_LARGE", "E_UNREADABLE"),
    *("E_XML_NAME", "E_XML_SIZE", "E_XML_PARSE", "E_XML_NUMBER"),
    *("E_PIXEL_LEN", "E_DECODE", "E_SHEET"),
]


@dataclass(frozen=True, slots=True)
class Ingested:
    """All that ingestion found out."""

    folders: list[Path]  # the sources
    files: pl.DataFrame  # columns `index.INSTANCES`
    annotations: Annotations
    sheet: Clinical
    built: Built
    tasks: dict[str, StackTask]  # patient -> where its volume lies
    facts: dict[str, dict[str, Any]]  # patient -> facts of that volume


@dataclass(frozen=True, slots=True)
class Told:
    """What ingestion says of its sources."""

    patients: pl.DataFrame  # the cohort's rows
    files: pl.DataFrame  # columns `index.INSTANCES`, `verdict`, `use`
    boxes: pl.DataFrame  # columns `annotations.BOXES`
    report: dict[str, Any]  # as `report.compose` gives it, with `synthetic` and `digest`
    page: str  # the report as HTML
    in_plane_px: int

    @property
    def set_aside(self) -> list[tuple[str, str]]:
        """Files and folders of which one would expect more: path in its source, code."""
        code = pl.coalesce("verdict", "reason")
        found = self.files.select("path", code=code).filter(pl.col("code").is_in(_UNEXPECTED))
        return [(path, code) for path, code in found.sort("code", "path").iter_rows()]


def tell(found: Ingested, out: Path, spec: VolumeSpec) -> Told:
    """Everything that is said of what was found; nothing is written but the cohort's key.

    Args:
        found: by `run`.
        out: the folder that holds the volumes.
        spec: which volumes.
    """
    rejected = sorted(name for name, facts in found.facts.items() if not is_thorax(facts))
    files = _with_ends(found, rejected)
    of_class = dict(found.built.excluded.select("patient_id", "reason").iter_rows())
    where = whereabouts(
        files,
        cohort=[name for name in found.built.chosen if name not in rejected],
        sheet=found.sheet.patients["patient_id"],
        decided=of_class | dict.fromkeys(rejected, "E_HU"),
    )
    patients = _complete(found, files, where, rejected, out)
    digests = {name: found.facts[name]["sha256"] for name in patients["patient_id"]}
    head = {
        "synthetic": not patients.is_empty() and bool(patients["synthetic"].any()),
        "digest": cohort.content_digest(patients, digests) if digests else "",
    }
    readable = (pl.col("kind") == "download_list") & pl.col("reason").is_null()
    lists = files.filter(readable).select("source", "path").iter_rows()
    told = head | report.compose(
        files=files,
        boxes=found.annotations.boxes,
        sheet=found.sheet,
        where=where,
        patients=patients,
        incomplete=report.incomplete_series(
            files, [located(found.folders[s], path) for s, path in lists]
        ),
    )
    names = [] if patients.is_empty() else patients["patient_id"].to_list()
    told["doubtful_slices"] = [
        {"patient_id": name, **one} for name in names for one in found.facts[name]["findings"]
    ]
    told["choices"] = explained({name: found.built.places[name] for name in names}, files)
    page = render(told, patients, found.built.chosen, out, spec)
    return Told(patients, files, found.annotations.boxes, told, page, spec.in_plane_px)


def record(told: Told, out: Path) -> None:
    """Write the cohort and its reports into `out`.

    Raises:
        DataError: no patient is left; says where the files ended.
    """
    _refuse_empty(told)
    _keep_table(out / "instances.parquet", told.files)
    _keep_table(out / "boxes.parquet", told.boxes)
    _keep_table(out / "cohort.parquet", told.patients)
    _keep_json(out / "ingest_report.json", told.report)
    _keep_text(out / "ingest_report.html", told.page)
    _keep_text(out / cohort.NOTICE, cohort.notice(told.patients))
    of_cohort = {
        "schema_version": cohort.SCHEMA_VERSION,
        "task": "adc-vs-scc",
        "synthetic": told.report["synthetic"],
        "digest": told.report["digest"],
        "in_plane_px": told.in_plane_px,
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


def _refuse_empty(told: Told) -> None:
    if not told.patients.is_empty():
        return
    ends = ", ".join(f"{count} {end}" for end, count in told.report["files"].items())
    raise DataError(
        "No patient with adenocarcinoma or squamous carcinoma and at least 12 usable CT slices was "
        f"found. Files: {ends}. `mmstudy data check` says what each code means, and who is left "
        "out for what."
    )


def _complete(
    found: Ingested, files: pl.DataFrame, where: Whereabouts, rejected: list[str], out: Path
) -> pl.DataFrame:
    """The rows with what the pixels say (lesion HU, groups, doubts) and the names they go by."""
    rows = found.built.patients
    if len(rejected) == rows.height:
        return pl.DataFrame(schema={"patient_id": pl.String})
    patients = rows.filter(~pl.col("patient_id").is_in(rejected))
    names = patients["patient_id"].to_list()
    groups = group_ids({name: found.facts[name]["slice_digests"] for name in names})
    lesion_hu = [found.facts[name]["lesion_hu"] for name in names]
    key = _key(out)
    doubts = _box_flags(found, files)
    flags = [
        [
            *of_stack,
            *doubts[name],
            *_pixel_flags(found.facts[name]),
            *(["W_UNUSED_BITS"] if found.facts[name]["foreign_bits"] else []),
            *(["W_FILES_LACKING"] if name in where.lacking else []),
        ]
        for name, of_stack in patients.select("patient_id", "qc_flags").iter_rows()
    ]
    return patients.with_columns(
        qc_flags=pl.Series(flags, dtype=pl.List(pl.String)),
        lesion_hu=pl.Series(lesion_hu, dtype=pl.Float64),
        group_id=pl.Series([groups[name] for name in names]),
        case=pl.Series([_hashed(name, key) for name in names]),
        volume=pl.Series([found.tasks[name].volume.stem for name in names]),
    )


def _box_flags(found: Ingested, files: pl.DataFrame) -> dict[str, list[str]]:
    """What the annotations of every patient's chosen series leave in doubt."""
    numbered = files.with_row_index("row")
    of_files = numbered.filter((pl.col("kind") == "annotation") & pl.col("verdict").is_not_null())
    codes = dict(of_files.select("row", "verdict").iter_rows())
    turned_away = numbered.filter(pl.coalesce("verdict", "reason").is_not_null())
    series = turned_away.drop_nulls(["series_uid", "sop_uid"]).group_by("series_uid")
    left_out = dict(series.agg(pl.col("sop_uid")).iter_rows())
    return {
        name: box_flags(
            codes,
            found.annotations.sop_uids,
            of.stack.slices["sop_uid"],
            left_out.get(of.stack.series_uid, []),
        )
        for name, of in found.built.chosen.items()
    }


def _pixel_flags(facts: dict[str, Any]) -> list[str]:
    """Codes of what the pixels alone say, each once."""
    return [*dict.fromkeys(one["reason"] for one in facts["findings"]), *facts["oddities"]]


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
    if not _says_already(lambda: read_table(path).equals(table)):
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
