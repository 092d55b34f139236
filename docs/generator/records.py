"""Pages of codes, places and columns: what ingestion and studies leave on disk."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

from generator.text import code, page, remarks, summary, table

__all__ = ["exit_codes", "reason_codes", "study_folder", "tables"]


def reason_codes() -> str:
    """Every reason code of ingestion."""
    from mmcaf.data.ingest.rules import CODES

    groups = {
        "E_": "Left out\n\nThe file, patient or row is not used, and the code says why.",
        "W_": "Warnings\n\nWhat carries the code is used. The report counts it.",
    }
    parts = [
        f"## {text}\n\n" + table(("code", "meaning"), _codes(CODES, start))
        for start, text in groups.items()
    ]
    opening = (
        "Every file of a download ends as a used slice or with one of these codes. "
        "Rules are asked in order, and the first that holds gives its code. "
        "`ingest_report.html` in the cohort's folder counts them."
    )
    return page("Reason codes of ingestion", opening, *parts)


def _codes(known: Mapping[str, str], start: str) -> list[tuple[str, str]]:
    return [(code(name), meaning) for name, meaning in known.items() if name.startswith(start)]


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
