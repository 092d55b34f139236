"""Pages of codes, places and columns: what ingestion and studies leave on disk."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

from generator.text import code, field_remarks, page, remarks, summary, table

__all__ = [
    "choice_of_series",
    "clinical_sheet",
    "exit_codes",
    "reason_codes",
    "study_folder",
    "tables",
]


def reason_codes() -> str:
    """Every reason code of ingestion."""
    from mmcaf.data.ingest.patients.remedies import REMEDIES
    from mmcaf.data.ingest.rules import CODES

    left_out = [
        (code(name), meaning, REMEDIES.get(name, "")) for name, meaning in _codes(CODES, "E_")
    ]
    doubts = [(code(name), meaning) for name, meaning in _codes(CODES, "W_")]
    parts = [
        "## Left out\n\nThe file, patient or row is not used, and the code says why.\n\n"
        + table(("code", "meaning", "what to do"), left_out),
        "## Warnings\n\nWhat carries the code is used. The report counts it.\n\n"
        + table(("code", "meaning"), doubts),
    ]
    opening = (
        "Every file of a download ends as a used slice or with one of these codes. "
        "Rules are asked in order, and the first that holds gives its code. "
        "`ingest_report.html` in the cohort's folder counts them."
    )
    return page("Reason codes of ingestion", opening, *parts)


def clinical_sheet() -> str:
    """Headers and spellings of the clinical sheet."""
    from mmcaf.data.ingest.sheet.cells import ACCEPTED
    from mmcaf.data.ingest.sheet.headings import HEADERS, LAST_HEADER_ROW, TITLES

    heads = [(title, code(name), ", ".join(HEADERS[name])) for name, title in TITLES.items()]
    cells = [(title, ACCEPTED[name]) for name, title in TITLES.items()]
    opening = (
        "The sheet is XLSX, or text with commas, semicolons or tabs in UTF-8, UTF-16 or Latin-1. "
        f"Titles may stand above the headers, which are looked for in the first {LAST_HEADER_ROW} "
        "rows of every worksheet. Every column must be there, once."
    )
    stages = (
        "Stages become numbers in the order of the 8th edition of the TNM: Tis 0, T1mi 0.5, T1a 1, "
        "T1b 2, T1c 3, T2a 4, T2b 5, T3 6, T4 7. A stage without its letter lies in the middle: "
        "T1 is 2, T2 is 4.5, M1 is 2.\n\n"
        "T1a, T1b, T2a and T2b exist in the 7th edition too, for other sizes. They are read as the "
        "8th's unless the header says `7th`; the report says which it was, and how that is known. "
        "The 7th's lie where the 8th puts their sizes: T1a 1.5, T1b 3, T2a 4.5, T2b 6, T3 6.5, "
        "M1b 2.5.\n"
    )
    doubts = (
        "`W_CELL` flags a patient of whom a cell cannot be read, `W_UNKNOWN` one where the sheet "
        "says that nobody knows (TX, unknown, NA), `W_STAGE` one with a stage that does not exist, "
        "`W_SHEET_CONFLICT` one whose rows differ. The value is missing then. An empty cell is "
        "missing without a flag. M is not read where H or V occur too (in Spanish and Dutch they "
        "name the other sex), nor 0 and 1 of smoking where other codes occur. A row of CSV with "
        "more or fewer cells than the header has is not read, for its cells may have shifted.\n"
    )
    return page(
        "The clinical sheet",
        opening,
        f"## Headers\n\nCase, blanks and punctuation do not matter; another unit does.\n\n"
        f"{table(('what', 'column of the cohort', 'headers'), heads)}",
        f"## Cells\n\n{table(('what', 'spellings that are read'), cells)}",
        f"## Stages\n\n{stages}",
        f"## Doubts\n\n{doubts}",
    )


def _codes(known: Mapping[str, str], start: str) -> list[tuple[str, str]]:
    return [(name, meaning) for name, meaning in known.items() if name.startswith(start)]


def choice_of_series() -> str:
    """What decides between a patient's series, kernels, and what the report says of it."""
    from mmcaf.data.ingest.series.explanation import Choice, LeftOut, Told
    from mmcaf.data.ingest.series.kernels import NAMES
    from mmcaf.data.ingest.series.preference import CRITERIA, LAST_RESORT

    criteria = [(code(of.name), of.meaning) for of in CRITERIA]
    last = "then more slices, the smaller series UID, the lower position"
    kernels = [(of.vendor, of.sharpness, of.examples, of.remark) for of in NAMES]
    records = [
        f"### {summary(of).rstrip('.')}\n\n{table(('field', 'meaning'), _fields(of))}"
        for of in (Choice, Told, LeftOut)
    ]
    opening = (
        "A patient often has several series, and a series several phases. One stack of slices is "
        "taken. `ingest_report.html` shows all of them, and the value that decided against each."
    )
    return page(
        "Which series is taken",
        opening,
        "## What decides\n\nCriteria are asked in this order. Nearly equal values are ties.\n\n"
        + table(("criterion", "preferred"), [*criteria, (code(LAST_RESORT), last)]),
        "## Kernels\n\nA soft kernel shows the mediastinum, a sharp one lung and bone. Names "
        "are read in any case, with or without blanks and hyphens. A kernel of no such name is "
        "unknown. If the choice rests on it, the patient has the flag `W_KERNEL`.\n\n"
        + table(("vendor", "read as", "names, such as", "meaning and source"), kernels),
        "## In `ingest_report.json`\n\nThe list `choices` has one entry per patient.\n\n"
        + "\n".join(records),
    )


def _fields(of: type) -> list[tuple[str, str]]:
    said = field_remarks(of)
    return [(code(name), said.get(name, "")) for name in of.__annotations__]


def study_folder() -> str:
    """Every place in the folder of a study."""
    from mmstudy.storage.paths import StudyPaths

    root = Path("STUDY")
    paths = StudyPaths(root)
    rows = []
    for name, member in vars(StudyPaths).items():
        if isinstance(member, property):
            place = getattr(paths, name)
        elif inspect.isfunction(member) and not name.startswith("_"):
            needed = list(inspect.signature(member).parameters.values())[1:]
            place = getattr(paths, name)(*[42] * len(needed)) if _counted(needed) else None
        else:
            place = None
        if isinstance(place, Path):
            folder = "" if place.suffix else "/"
            rows.append((code(f"{place.relative_to(root)}{folder}"), summary(member)))
    opening = (
        "A study is one folder, `ROOT/STUDY`, and everything of it lies there. "
        "Files of trial 42 stand for those of every trial. "
        "[Columns of the tables](tables.md) says what the Parquet files hold."
    )
    return page("The study folder", opening, table(("place", "what it is"), rows))


def _counted(parameters: Sequence[inspect.Parameter]) -> bool:
    return bool(parameters) and all(one.annotation in ("int", int) for one in parameters)


def tables() -> str:
    """Every column of the tables in a study folder."""
    from mmstudy.storage import schema

    titles = {
        "TRIALS": "Trials: one row per trial",
        "METRICS": "Metrics: one row per trial, fold and epoch",
        "PREDICTIONS": "Predictions: one row per trial, fold, epoch and case",
        "CONFIRMATIONS": "Confirmations: one row per fold of a confirming run",
        "EVALUATIONS": "Evaluations: one row per look at the test set",
    }
    said = column_remarks(inspect.getsource(schema))
    parts = []
    for name, title in titles.items():
        rows = [
            (
                code(of.name),
                str(of.type),
                "" if of.nullable else "always",
                said[name].get(of.name, ""),
            )
            for of in getattr(schema, name)
        ]
        parts.append(f"## {title}\n\n{table(('column', 'type', 'filled', 'meaning'), rows)}")
    parts.append(f"## States of a trial\n\n{_states()}")
    opening = (
        f"This is version {schema.SCHEMA_VERSION} of the record. "
        "Older studies open as they are: columns they do not have are null. "
        "Rates are fractions from 0 to 1; undefined ones are null. Times are UTC. "
        "Accuracy, F1, specificity, sensitivity, PPV and NPV are at the threshold 0.5. "
        "A case is a keyed hash of a patient's name; the key stays with the cohort."
    )
    return page("Columns of the tables", opening, *parts)


def column_remarks(source: str) -> dict[str, dict[str, str]]:
    """Schema -> column -> the comment behind it."""
    said = remarks(source)
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            calls = [one for one in ast.walk(node.value) if isinstance(one, ast.Call) and one.args]
            found[node.targets[0].id] = {
                str(one.args[0].value): said.get(one.end_lineno or 0, "")
                for one in calls
                if isinstance(one.args[0], ast.Constant)
            }
    return found


def _states() -> str:
    from mmstudy.storage.schema import State

    return f"{summary(State)}\n\n" + "".join(f"- {code(state.value)}\n" for state in State)


def exit_codes() -> str:
    """Every exit code of the command."""
    from mmstudy.errors import MMStudyError

    known = [one for one in MMStudyError.__subclasses__() if one.__module__ == "mmstudy.errors"]
    family = [MMStudyError, *sorted(known, key=lambda one: one.exit_code)]
    rows = [("0", "", "Done.")]
    rows += [(str(one.exit_code), code(one.__name__), summary(one)) for one in family]
    opening = (
        "`mmstudy` ends with one of these codes. An error of the file system also ends with 1. "
        "A wrong cohort or value also ends with 2."
    )
    return page("Exit codes", opening, table(("code", "error in Python", "meaning"), rows))
