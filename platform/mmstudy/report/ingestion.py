"""What `mmstudy data check` prints: where files and patients would end, codes with meanings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmstudy.report.table import MACHINES, Block, Column, Table
from mmstudy.storage.origin import Origin

__all__ = ["doubts_in", "ingestion_table"]

_COLUMNS = (
    Column("section", only=MACHINES),
    Column("what"),
    Column("code"),
    Column("count"),
    Column("meaning"),
    Column("remedy"),
)
_SECTIONS = {
    "cohort": "The cohort it would be",
    "excluded": "Patients left out",
    "flags": "Doubts, and how many patients have them",
    "clinical": "Columns of the clinical sheet, in cells",
    "annotations": "Annotation files",
    "files": "Where every file ended",
    "set aside": "Files and folders to look at",
}
_MOST_PATHS = 50
_ENDS = {
    "chosen": "slice of a patient's chosen stack",
    "alternative": "slice of another usable stack of a patient",
    "annotation": "annotation on a usable CT slice",
    "sheet": "clinical sheet",
    "download_list": "the download's own list of series",
}


def doubts_in(report: Mapping[str, Any]) -> dict[str, int]:
    """What keeps sources from being clean -> how many there are; empty where they are.

    Files that are no CT slices, such as PET or a README, are no doubt.
    """
    counts = {
        "patients left out": len(report["excluded"]),
        "patients' flags": sum(report["flags"].values()),
        "annotation files with a code": sum(_codes(report["annotations"]).values()),
        "incomplete series": len(report["download"].get("incomplete", ())),
        "images of no known patient": report["unknown_ids"]["files"],
        "files or folders that cannot be read": report["files"].get("E_NO_ACCESS", 0),
    }
    return {what: count for what, count in counts.items() if count}


def ingestion_table(
    report: Mapping[str, Any], meanings: Mapping[str, str], set_aside: Sequence[tuple[str, str]]
) -> Table:
    """The table; as JSON it is the whole report.

    Args:
        report: of an ingestion, as `ingest_report.json` holds it.
        meanings: code -> what it means.
        set_aside: path and code of files and folders to look at; JSON has all of them, the other
            formats the first ones.
    """
    told = [*_rows(report, meanings), *_aside(set_aside, meanings)]
    empty = dict.fromkeys(("code", "count", "meaning", "remedy"))
    rows = [{"section": section, **empty, **row} for section, row in told]
    blocks = [
        Block(title, tuple(row for row in rows if row["section"] == section))
        for section, title in _SECTIONS.items()
        if section in ("cohort", "excluded", "flags") or any(r["section"] == section for r in rows)
    ]
    origin = Origin(report["synthetic"])
    return Table(
        columns=_COLUMNS,
        blocks=tuple(blocks),
        warnings=origin.warnings,
        document={
            "origin": origin.column,
            **report,
            "doubts": doubts_in(report),
            "set_aside": [{"path": path, "code": code} for path, code in set_aside],
        },
    )


def _rows(
    report: Mapping[str, Any], meanings: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "cohort", {"what": "patients", "count": report["patients"]}
    yield "cohort", {"what": "squamous", "count": report["squamous"]}
    yield "cohort", {"what": "slices", "count": report["fingerprint"].get("slices", 0)}
    for who in report["excluded"]:
        code = who["reason"]
        yield (
            "excluded",
            {
                "what": who["patient_id"],
                "code": code,
                "count": who["files"],
                "meaning": meanings.get(code),
                "remedy": who["remedy"],
            },
        )
    if unknown := report["unknown_ids"]["files"]:
        studies = report["unknown_ids"]["studies"]
        told = f"images of {studies} studies whose PatientID is none of the collection"
        row = {"what": "unknown", "code": "E_PATIENT_ID", "count": unknown, "meaning": told}
        yield "excluded", row
    for code, count in report["flags"].items():
        row = {"what": "patients", "code": code, "count": count, "meaning": meanings.get(code)}
        yield "flags", row
    for column, counts in report.get("clinical", {}).get("columns", {}).items():
        told = ", ".join(f"{word.replace('_', ' ')} {count}" for word, count in counts.items())
        yield "clinical", {"what": column, "meaning": told}
    for what in ("files", "matched", "boxes"):
        yield "annotations", {"what": what, "count": report["annotations"][what]}
    for code, count in _codes(report["annotations"]).items():
        row = {"what": "files", "code": code, "count": count, "meaning": meanings.get(code)}
        yield "annotations", row
    for end, count in report["files"].items():
        known = end in meanings
        meaning = meanings[end] if known else _ENDS.get(end)
        row = {"what": "files" if known else end, "code": end if known else None, "count": count}
        yield "files", row | {"meaning": meaning}


def _aside(
    found: Sequence[tuple[str, str]], meanings: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, code in found[:_MOST_PATHS]:
        yield "set aside", {"what": path, "code": code, "meaning": meanings.get(code)}
    if (more := len(found) - _MOST_PATHS) > 0:
        yield "set aside", {"what": "and others", "count": more, "meaning": "-f json names them"}


def _codes(counts: Mapping[str, int]) -> dict[str, int]:
    return {code: count for code, count in counts.items() if code.startswith(("E_", "W_"))}
