"""The clinical sheets: one row per patient, each cell read, missing with a word, or empty.

What cannot be read is not what is empty: it is counted per column and flagged on the patient. Rows
that contradict each other are never settled by their order. A column without one readable value is
no dirt, but a sheet that is written in another way, and an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from mmcaf.data.ingest.sheet.cells import (
    ACCEPTED,
    Reading,
    Status,
    is_blank,
    patient_of,
    read_column,
    shape_of,
)
from mmcaf.data.ingest.sheet.headings import TITLES, Heading, NoClinicalSheetError, find_heading
from mmcaf.data.ingest.sheet.opening import read_tables
from mmcaf.data.ingest.sheet.table import Cell, Odd, Table
from mmcaf.errors import DataError

__all__ = ["ALIASES", "CLINICAL_SHEET", "Clinical", "read_sheets"]

CLINICAL_SHEET: dict[str, Any] = {
    "patient_id": pl.String,
    "sex": pl.Int8,  # 0 female, 1 male, -1 missing
    "age_years": pl.Float64,
    "weight_kg": pl.Float64,
    "t_ord": pl.Float64,
    "n_ord": pl.Float64,
    "m_ord": pl.Float64,
    "smoker": pl.Int8,  # 0 no, 1 yes, -1 missing
    "t_raw": pl.String,  # stages as written, without prefix and letter
    "n_raw": pl.String,
    "m_raw": pl.String,
    "sheet_flags": pl.List(pl.String),  # codes of the patient's cells
}
ALIASES = {
    "A0266": "A0251"
}  # one patient, merged by the collection after sheet and boxes were made
_VALUES = ("sex", "age_years", "weight_kg", "t_ord", "n_ord", "m_ord", "smoker")
_STAGES = ("t_ord", "n_ord", "m_ord")
_CODES: dict[
    Status, str
] = {  # how a cell, or a patient's cells together, was read -> the patient's flag
    "unreadable": "W_CELL",
    "unknown": "W_UNKNOWN",
    "off_scale": "W_STAGE",
    "contradicting": "W_SHEET_CONFLICT",
}
_OF_CELLS: tuple[Status, ...] = ("read", "empty", "unreadable", "unknown", "off_scale")
_ONLY_8TH = {"1mi", "1(mi)", "1c", "1c1", "1c2"}  # the 7th has neither T1mi and T1c nor M1c
_IN_POUNDS, _ENOUGH = 110, 5  # so many weights whose median is above were not taken in kg
_MOST_SHOWN, _LONGEST_SHOWN = 4, 14


@dataclass(frozen=True, slots=True)
class Clinical:
    """What the sheets say."""

    patients: pl.DataFrame  # columns `CLINICAL_SHEET`, one row each
    told: dict[str, Any]  # counts and doubts, for the report
    set_aside: list[int] = field(default_factory=list)  # files that are no clinical sheet


@dataclass(frozen=True, slots=True)
class _Page:
    """A table that has the columns; what it holds of patients, in the order of their rows."""

    file: int  # index among the given ones
    table: Table
    heading: Heading
    patients: list[str]
    cells: dict[str, list[Cell]]
    readings: dict[str, list[Reading]]
    strange: list[int]  # numbers of rows whose patient cannot be read, from 1


def read_sheets(paths: Sequence[Path], *, found: bool = False) -> Clinical:
    """The patients of all sheets; equal rows are one, contradicting values are missing.

    Args:
        paths: XLSX or CSV files.
        found: they were found by their names, so one that is no clinical sheet is set aside where
            another is.

    Raises:
        DataError: a file cannot be read, lacks columns, names one twice, or has a column in which
            something is written and nothing can be read.
    """
    pages: list[_Page] = []
    refused: dict[int, DataError] = {}
    for number, path in enumerate(paths):
        try:
            tables = read_tables(path)
        except DataError as error:
            refused[number] = error
            continue
        try:
            pages += [_page(number, *of) for of in _with_headings(tables)]
        except NoClinicalSheetError as error:
            refused[number] = error
    if refused and not (found and pages):
        raise next(iter(refused.values()))
    for page in pages:
        _refuse_unreadable(page)
        _refuse_pounds(page)
    rows: defaultdict[str, list[dict[str, Reading]]] = defaultdict(list)
    for page in pages:
        for number, name in enumerate(page.patients):
            rows[name].append({column: of[number] for column, of in page.readings.items()})
    merged = {name: _merged(of) for name, of in sorted(rows.items())}
    patients = pl.DataFrame([_row(name, of) for name, of in merged.items()], schema=CLINICAL_SHEET)
    return Clinical(patients, _told(pages, merged), [*refused])


def _with_headings(tables: Sequence[Table]) -> list[tuple[Table, Heading]]:
    """The tables that have the columns; where none has, the nearest says what it lacks."""
    found: list[tuple[Table, Heading]] = []
    lacking: list[NoClinicalSheetError] = []
    for table in tables:
        try:
            found.append((table, find_heading(table)))
        except NoClinicalSheetError as error:
            lacking.append(error)
    if not found:
        raise max(lacking, key=lambda error: error.found)
    return found


def _page(file: int, table: Table, heading: Heading) -> _Page:
    patients: list[str] = []
    cells: dict[str, list[Cell]] = {name: [] for name in _VALUES}
    strange = []
    for number, row in enumerate(table.rows, 1):
        name = patient_of(_at(row, heading.places["patient_id"]))
        above = number <= heading.row
        if number == heading.row + 1 or all(map(is_blank, row)) or (above and name is None):
            continue
        if above or name is None:
            strange.append(number)
            continue
        patients.append(ALIASES.get(name, name))
        shifted = table.cut and _is_shifted(row, heading.width)
        for column, of in cells.items():
            of.append(Odd.SHIFTED if shifted else _at(row, heading.places[column]))
    readings = {
        column: read_column(column, of, heading.editions.get(column))
        for column, of in cells.items()
    }
    return _Page(file, table, heading, patients, cells, readings, strange)


def _at(row: Sequence[Cell], index: int) -> Cell:
    return row[index] if index < len(row) else None


def _is_shifted(row: Sequence[Cell], width: int) -> bool:
    return len(row) < width or not all(map(is_blank, row[width:]))


def _refuse_unreadable(page: _Page) -> None:
    """Refuse a column in which something is written and nothing can be read.

    Raises:
        DataError: with the sheet's own header, how its cells are written, what is accepted.
    """
    if page.strange and not page.patients:
        place = page.heading.places["patient_id"]
        _refuse(page, "patient_id", [_at(page.table.rows[row - 1], place) for row in page.strange])
    for column, readings in page.readings.items():
        pairs = zip(page.cells[column], readings, strict=True)
        bad = [cell for cell, of in pairs if of.status in ("unreadable", "off_scale")]
        if bad and not any(of.status == "read" for of in readings):
            _refuse(page, column, bad)


def _refuse(page: _Page, column: str, cells: Sequence[Cell]) -> None:
    header, row = page.heading.said[column], page.heading.row + 1
    raise DataError(
        f"No value of the column {header!r} ({TITLES[column]}; row {row} is the header) of the "
        f"clinical sheet {page.table.name} can be read: {_written(cells)}. Accepted are "
        f"{ACCEPTED[column]}. Write the cells so, or empty them where nothing is known."
    )


def _written(cells: Sequence[Cell]) -> str:
    """How cells are written: as they are where that names nobody, else their shape or length."""
    counts = Counter(map(str, cells))
    shapes = Counter(map(shape_of, cells))
    said: dict[str, None] = {}
    for cell in cells:
        shape, text = shape_of(cell), str(cell)
        short = len(text) <= 3 or (counts[text] > 1 and len(text) <= _LONGEST_SHOWN)
        if not isinstance(cell, Odd) and short:
            said[repr(text)] = None
        elif isinstance(cell, Odd) or (shapes[shape] > 1 and len(shape) <= _LONGEST_SHOWN):
            said[shape] = None
        else:
            said["a longer text"] = None
    return f"{len(cells)} cells hold {', '.join([*said][:_MOST_SHOWN])}"


def _refuse_pounds(page: _Page) -> None:
    """Refuse weights without a unit that are too large for kilograms.

    Raises:
        DataError: with header and median.
    """
    kilograms = [of.value for of in page.readings["weight_kg"] if of.value is not None]
    header = page.heading.said["weight_kg"]
    if len(kilograms) < _ENOUGH or median(kilograms) <= _IN_POUNDS or "k" in header.casefold():
        return
    raise DataError(
        f"The column {header!r} of the clinical sheet {page.table.name} names no unit, and its "
        f"median is {median(kilograms):g}: weights are read in kg, and these seem to be in lb. "
        "Convert them, or write the unit into the header: weight (kg)."
    )


def _merged(rows: Sequence[Mapping[str, Reading]]) -> dict[str, Reading]:
    """One patient's rows as one: where they say different things, none of them is believed.

    Rows that agree complete each other. Of rows that do not, one may be another patient's, so what
    only some of them say is not believed either.
    """
    empty, unreadable, apart = Reading("empty"), Reading("unreadable"), Reading("contradicting")
    said = {column: {row[column] for row in rows} for column in _VALUES}
    at_odds = any(len(of - {empty, unreadable}) > 1 for of in said.values())
    found = {}
    for column, of in said.items():
        known = of if at_odds else of - {empty}
        if len(known) <= 1:
            found[column] = known.pop() if known else empty
        else:
            found[column] = unreadable if len(known - {unreadable}) == 1 else apart
    return found


def _row(name: str, readings: Mapping[str, Reading]) -> dict[str, Any]:
    kinds = {of.status for of in readings.values()}
    values = {column: of.value for column, of in readings.items()}
    return {
        "patient_id": name,
        **values,
        **{column: -1 for column in ("sex", "smoker") if values[column] is None},
        **{f"{column[0]}_raw": readings[column].raw for column in _STAGES},
        "sheet_flags": [code for status, code in _CODES.items() if status in kinds],
    }


def _told(pages: Sequence[_Page], merged: Mapping[str, Mapping[str, Reading]]) -> dict[str, Any]:
    """For the report: no cell of a patient, only how many there are and whose are doubtful."""
    doubts = {
        name: {
            status: [column for column, of in readings.items() if of.status == status]
            for status in _CODES
        }
        for name, readings in merged.items()
    }
    return {
        "sheets": [
            {
                "sheet": page.file + 1,
                "worksheet": page.table.worksheet,
                "header_row": page.heading.row + 1,
                "rows": len(page.patients),
                "notes": [*page.table.notes],
            }
            for page in pages
        ],
        "columns": {column: _counts(pages, merged, column) for column in _VALUES},
        "edition": _edition(pages),
        "doubtful": [
            {"patient_id": name} | {status: columns for status, columns in of.items() if columns}
            for name, of in doubts.items()
            if any(of.values())
        ],
        "rows_without_patient": [
            {"sheet": page.file + 1, "worksheet": page.table.worksheet, "row": row}
            for page in pages
            for row in page.strange
        ],
    }


def _counts(
    pages: Sequence[_Page], merged: Mapping[str, Mapping[str, Reading]], column: str
) -> dict[str, Any]:
    """Cells by how they were read, and patients whose cells contradict each other."""
    cells = Counter(of.status for page in pages for of in page.readings[column])
    ends = Counter(readings[column].status for readings in merged.values())
    return {
        "header": " / ".join(dict.fromkeys(page.heading.said[column] for page in pages)),
        **{status: cells[status] for status in _OF_CELLS},
        "contradicting": ends["contradicting"],
    }


def _edition(pages: Sequence[_Page]) -> str:
    """Which edition of the TNM the stages were read by, and how that is known."""
    named = {of for page in pages for of in page.heading.editions.values()}
    if named:
        return f"{' and '.join(map(str, sorted(named)))}, as the headers say; else the 8th"
    raws = {of.raw for page in pages for name in ("t_ord", "m_ord") for of in page.readings[name]}
    if raws & _ONLY_8TH:
        return "8, as T1mi, T1c or M1c show"
    return "8 is assumed: no header names it, and no T1mi, T1c or M1c tells it from the 7th"
