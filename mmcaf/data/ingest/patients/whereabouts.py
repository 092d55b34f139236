"""Every patient in exactly one place: in the cohort, or excluded with a reason that is true.

A patient is seen where a tag, a folder, the sheet or an annotation's folder names one. Who is not
in the cohort is excluded with the commonest code of the patient's own files, how many have it, and
what can be done. What only accompanies a CT (PET, scouts, captures, copies) gives the reason where
there is nothing else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from mmcaf.data.ingest.clinical import ALIASES
from mmcaf.data.ingest.patients.patient_ids import folder_patients
from mmcaf.data.ingest.patients.remedies import remedy

__all__ = ["EXCLUDED", "Whereabouts", "whereabouts"]

EXCLUDED: dict[str, Any] = {
    "patient_id": pl.String,
    "reason": pl.String,  # the commonest code of the patient's files
    "files": pl.Int64,  # that have this code
    "of_files": pl.Int64,  # all of the patient's images
    "remedy": pl.String,  # a sentence, where there is something to do
}
_BESIDE = {  # codes of files that are no slices of a CT, or there a second time
    "E_SOP_CLASS",
    "E_RGB",
    "E_LOCALIZER",
    "E_NOT_DICOM",
    "E_DUP_SOP",
    "E_COMPANION",
    "E_EMPTY",
}
_LACKING = ("E_NO_ACCESS", "E_EMPTY", "E_UNREADABLE")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where everybody is who was seen."""

    excluded: pl.DataFrame  # columns `EXCLUDED`, sorted by patient
    seen: frozenset[str]
    lacking: frozenset[str]  # patients with files that hold nothing or cannot be read
    unknown_files: int  # images whose PatientID is none of the collection, in no patient's folder
    unknown_studies: int  # StudyInstanceUIDs of those


def whereabouts(
    files: pl.DataFrame,
    *,
    cohort: Collection[str],
    sheet: Iterable[str],
    decided: Mapping[str, str],
) -> Whereabouts:
    """Who was seen, and why who is not in the cohort is not.

    Args:
        files: one row per file, columns `INSTANCES` and `verdict`.
        cohort: its patients.
        sheet: patients with a row in a clinical sheet.
        decided: patient -> code, where the patient as a whole was decided upon.

    Raises:
        RuntimeError: somebody is in the cohort twice, or whom nothing names: a fault of the
            program.
    """
    codes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    syntaxes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    totals: Counter[str] = Counter()
    seen: set[str] = {*sheet}
    unknown: list[str | None] = []
    lacking: set[str] = set()
    for row in _rows(files):
        named = _named_by_folders(row["path"], row["kind"])
        if row["kind"] == "annotation":
            named = tuple(ALIASES.get(name, name) for name in named)
            seen |= {*named}
            lacking |= {*(named[-1:] if row["code"] in _LACKING else ())}
            continue
        seen |= {*named, *([row["patient_id"]] if row["patient_id"] else [])}
        owners = _owners(row, named)
        if not owners and row["kind"] == "image" and row["reason"] == "E_PATIENT_ID":
            unknown.append(row["study_uid"])
        if row["code"] in _LACKING and (row["kind"] == "image" or row["code"] == "E_NO_ACCESS"):
            lacking |= owners
        for name in owners:
            totals[name] += row["kind"] == "image"
            if row["code"]:
                codes[name][row["code"]] += 1
                syntaxes[name][row["syntax"] or ""] += row["code"] == "E_TS_UNSUPPORTED"
    _check(cohort, seen)
    rows = [
        _excluded(name, codes[name], decided.get(name), totals[name], syntaxes[name])
        for name in sorted(seen.difference(cohort))
    ]
    return Whereabouts(
        excluded=pl.DataFrame(rows, schema=EXCLUDED, orient="row"),
        seen=frozenset(seen),
        lacking=frozenset(lacking),
        unknown_files=len(unknown),
        unknown_studies=len(set(unknown)),
    )


def _rows(files: pl.DataFrame) -> Iterator[dict[str, Any]]:
    code = pl.coalesce("verdict", "reason")
    of_patients = files.filter(~pl.col("kind").is_in(["sheet", "download_list"]))
    syntax = pl.col("syntax") if "syntax" in files.columns else pl.lit(None, pl.String)
    return of_patients.select(
        "kind", "path", "patient_id", "study_uid", "reason", code=code, syntax=syntax
    ).iter_rows(named=True)


def _named_by_folders(path: str, kind: str) -> tuple[str, ...]:
    folder = path if kind == "folder" else path.rpartition("/")[0]
    return _patients_of(folder)


@lru_cache(maxsize=4096)
def _patients_of(folder: str) -> tuple[str, ...]:
    return folder_patients(folder)


def _owners(row: Mapping[str, Any], named: tuple[str, ...]) -> set[str]:
    """Whose a file is: the tag's; the innermost folder's where the tag says nothing, or the rules
    found that the two contradict each other."""
    tag, folder = row["patient_id"], named[-1:]
    if tag is None:
        return {*folder}
    return {tag, *(folder if row["code"] == "E_PID_FOLDER_MISMATCH" else ())}


def _excluded(
    name: str, codes: Counter[str], decided: str | None, total: int, syntaxes: Counter[str]
) -> tuple[Any, ...]:
    telling = [code for code in codes if code not in _BESIDE] or [*codes]
    commonest = min(telling, key=lambda code: (-codes[code], code), default="E_NO_IMAGES")
    code = decided or commonest
    return name, code, codes[code], total, remedy(code, codes[code], syntaxes)


def _check(cohort: Collection[str], seen: set[str]) -> None:
    """Who is excluded is whoever is seen, less the cohort; so nobody is missing or there twice."""
    twice = [name for name, times in Counter(cohort).items() if times > 1]
    if twice or not seen.issuperset(cohort):
        raise RuntimeError(
            f"Patients twice in the cohort: {twice}; named nowhere: {sorted({*cohort} - seen)}. "
            "This is a fault of the program; please report it."
        )
