"""Which column of a table is which: headers as they are spelled, and the row they stand in."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmcaf.data.ingest.sheet.table import Cell, Table
from mmcaf.errors import DataError

__all__ = [
    "HEADERS",
    "LAST_HEADER_ROW",
    "TITLES",
    "Heading",
    "NoClinicalSheetError",
    "find_heading",
]

LAST_HEADER_ROW = 10
"""Titles may stand above the headers, in so many rows with them."""

TITLES: Mapping[str, str] = {
    "patient_id": "the patient's id",
    "sex": "sex",
    "age_years": "age in years",
    "weight_kg": "weight in kg",
    "t_ord": "T stage",
    "n_ord": "N stage",
    "m_ord": "M stage",
    "smoker": "smoking history",
}
"""Column -> what it is, as messages call it."""


def _of_stage(letter: str) -> tuple[str, ...]:
    return (
        f"{letter}-Stage",
        letter,
        *(f"{prefix}{letter}" for prefix in "cp"),
        *(f"{prefix}{letter} stage" for prefix in "cp"),
        *(f"{prefix} {letter}" for prefix in ("clinical", "pathological", "pathologic")),
        *(f"{prefix} {letter} stage" for prefix in ("clinical", "pathological", "pathologic")),
        f"{letter} category",
        f"{letter}分期",
    )


HEADERS: Mapping[str, tuple[str, ...]] = {
    "patient_id": (
        *("NewPatientID", "Patient ID", "Subject ID", "Case ID", "Patient number"),
        *("Patient identifier", "患者编号"),
    ),
    "sex": ("Sex", "Gender", "Patient sex", "Sex (M/F)", "Sex (F/M)", "Gender (M/F)", "性别"),
    "age_years": (
        *("Age", "Age (years)", "Age (year)", "Age (yrs)", "Age (y)", "Age in years"),
        *("Patient age", "Age at diagnosis", "Age at diagnosis (years)", "年龄"),
    ),
    "weight_kg": (
        *("weight (kg)", "Weight", "Weight in kg", "Weight (kgs)", "Weight (kilograms)"),
        *("Body weight", "Body weight (kg)", "Patient weight", "体重", "体重(kg)"),
    ),
    "t_ord": _of_stage("T"),
    "n_ord": _of_stage("N"),
    "m_ord": _of_stage("M"),
    "smoker": (
        *("Smoking History", "Smoking", "Smoking status", "Smoker", "Ever smoker", "Ever smoked"),
        *("Smoking History (0/1)", "Smoking History (yes/no)", "吸烟史"),
    ),
}
"""Column -> the headers that name it. Case, blanks and punctuation do not matter; a unit does."""

_EDITION = re.compile(r"(.+?)(?:ajcc|uicc|tnm|iaslc)*([789])(?:th)?(?:ed|edition)?")
_MOST_SHOWN, _LONGEST_SHOWN = 20, 24


@dataclass(frozen=True, slots=True)
class Heading:
    """Where the columns of a table are."""

    row: int  # index of the headers' row
    width: int  # headers that are there, empty ones between them included
    places: Mapping[str, int]  # column -> its index
    said: Mapping[str, str]  # column -> its header as written
    editions: Mapping[str, int]  # column of stages -> the TNM edition its header names


class NoClinicalSheetError(DataError):
    """A table that lacks columns of the clinical sheet; `found` of them are there."""

    def __init__(self, sentence: str, found: int) -> None:
        super().__init__(sentence)
        self.found = found


def find_heading(table: Table) -> Heading:
    """The row, among the first ten, that has most of the clinical sheet's headers.

    Raises:
        NoClinicalSheetError: no row has all; names the headers found and those accepted.
        DataError: two headers name one column.
    """
    rows = table.rows[:LAST_HEADER_ROW]
    known = [_known(row) for row in rows]
    best = max(range(len(rows)), key=lambda row: (len(known[row]), -row), default=0)
    found = known[best] if known else {}
    if found.keys() != HEADERS.keys():
        raise NoClinicalSheetError(_lacking(table, best, found), len(found))
    header = rows[best]
    for column, indices in found.items():
        if len(indices) > 1:
            both = " and ".join(repr(_shown(header[index])) for index in indices)
            raise DataError(
                f"Row {best + 1} of the clinical sheet {table.name} names {TITLES[column]} twice: "
                f"{both}. Delete or rename the header that does not count."
            )
    places = {column: indices[0] for column, indices in found.items()}
    said = {column: _shown(header[index]) for column, index in places.items()}
    width = 1 + max(index for index, cell in enumerate(header) if _key(cell))
    cells = {column: header[index] for column, index in places.items()}
    editions = {name: one for name, cell in cells.items() if (one := _edition(cell, name))}
    return Heading(best, width, places, said, editions)


def _key(cell: Cell) -> str:
    text = unicodedata.normalize("NFKC", cell) if isinstance(cell, str) else ""
    return re.sub(r"[\W_]+", "", text.casefold())


_COLUMN_OF = {_key(header): name for name, headers in HEADERS.items() for header in headers}


def _column(cell: Cell) -> str | None:
    key = _key(cell)
    name = _COLUMN_OF.get(key)
    if name is None and (parts := _EDITION.fullmatch(key)):
        stage = _COLUMN_OF.get(parts[1])
        return stage if stage in ("t_ord", "n_ord", "m_ord") else None
    return name


def _edition(cell: Cell, name: str) -> int | None:
    parts = _EDITION.fullmatch(_key(cell)) if name in ("t_ord", "n_ord", "m_ord") else None
    return int(parts[2]) if parts else None


def _known(row: Sequence[Cell]) -> dict[str, list[int]]:
    found: defaultdict[str, list[int]] = defaultdict(list)
    for index, cell in enumerate(row):
        if name := _column(cell):
            found[name].append(index)
    return dict(found)


def _lacking(table: Table, row: int, found: Mapping[str, Sequence[int]]) -> str:
    lacking = [name for name in HEADERS if name not in found]
    wanted = "; ".join(f"{TITLES[name]} ({', '.join(HEADERS[name][:6])})" for name in lacking)
    if len(found) < 2:  # one match alone may be a patient's "M": nothing of that row is shown
        where = f"none of its first {LAST_HEADER_ROW} rows holds the headers"
    else:
        cells = [repr(_shown(cell)) for cell in table.rows[row] if _key(cell)]
        where = f"row {row + 1} was taken as the header: {', '.join(cells[:_MOST_SHOWN])}"
    near = "".join(_near(table.rows[row], lacking)) if len(found) > 1 else ""
    return (
        f"The clinical sheet {table.name} lacks columns; {where}. Not found, with the headers "
        f"accepted: {wanted}.{near} Rename the headers, or give another sheet."
    )


def _near(row: Sequence[Cell], lacking: Sequence[str]) -> Iterator[str]:
    """Headers that begin like an accepted one and go on with something else, such as a unit."""
    for cell in row:
        key = _key(cell)
        for name in lacking:
            keys = [_key(header) for header in HEADERS[name]]
            if any(len(one) > 2 and key.startswith(one) for one in keys):
                yield f" {_shown(cell)!r} is not read as {TITLES[name]}."


def _shown(cell: Cell) -> str:
    text = " ".join(str(cell).split())
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
