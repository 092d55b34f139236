"""Cells, columns, rows and titles of the clinical sheet, edited at random."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openpyxl

from mutations.bench import CLINICAL, Bench, Found
from mutations.spellings import COLUMNS, Reading, spelt

__all__ = ["CellEdit", "clinical_ending", "draw"]

ID = "NewPatientID"
Row = dict[str, Any]
Expected = dict[str, dict[str, Reading]]  # patient -> column of the cohort -> reading
MISSING = (None, -1)
_SAME_VALUE = 0.02


@dataclass
class CellEdit:
    """One edit of the sheet, and how a human reads the sheet then."""

    subject: str
    words: str
    table: list[list[Any]]
    expected: Expected = field(default_factory=dict)
    formats: dict[tuple[int, int], str] = field(default_factory=dict)  # row, column from 1
    other: tuple[str, bytes] | None = None  # a file of another name, in the sheet's place

    def written(self) -> bytes:
        """The workbook."""
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        for row in self.table:
            sheet.append(row)
        for (row, column), form in self.formats.items():
            sheet.cell(row, column).number_format = form
        content = io.BytesIO()
        book.save(content)
        return content.getvalue()


def draw(bench: Bench, chance: random.Random) -> CellEdit:
    """A random edit."""
    rows = [dict(row) for row in bench.rows]
    kinds: list[Callable[[Bench, list[Row], random.Random], CellEdit]]
    kinds = [_cell] * 15 + [_id, _column, _column, _rows, _rows, _rows, _title, _title, _file]
    return chance.choice(kinds)(bench, rows, chance)


def _table(rows: list[Row]) -> list[list[Any]]:
    return [[*rows[0]], *([*row.values()] for row in rows)]


def _cell(bench: Bench, rows: list[Row], chance: random.Random) -> CellEdit:
    row, column = chance.choice(rows), chance.choice([*COLUMNS])
    old = row[column]
    if chance.random() < 0.12:
        return _formatted(bench, rows, row, column, chance)
    row[column], reading = spelt(column, old, chance)
    expected = {row[ID]: {COLUMNS[column]: reading}}
    return CellEdit(column, f"{row[ID]} {old!r} -> {row[column]!r}", _table(rows), expected)


def _formatted(
    bench: Bench, rows: list[Row], row: Row, column: str, chance: random.Random
) -> CellEdit:
    """A number shown as a date or a percentage; what it is stays readable, or is said not to be."""
    form = chance.choice(
        ["yyyy-mm-dd", "dd/mm/yyyy", "0%", "0.00", "@", "h:mm", "[h]:mm", "mmm-yy"]
    )
    place = (rows.index(row) + 2, [*row].index(column) + 1)
    value = row[column]
    reading = _as_before(bench, row[ID], COLUMNS[column])
    expected = {row[ID]: {COLUMNS[column]: reading}} if isinstance(value, int) else {}
    edit = CellEdit(column, f"{row[ID]} {value!r} formatted {form}", _table(rows), expected)
    edit.formats[place] = form
    return edit


def _id(bench: Bench, rows: list[Row], chance: random.Random) -> CellEdit:
    row = chance.choice(rows)
    old = row[ID]
    other = chance.choice([one[ID] for one in rows if one[ID] != old])
    spellings = [
        old.lower(),
        f" {old} ",
        f"Lung_Dx-{old}",
        f"lung_dx-{old.lower()}",
        f"{old}\u00a0",
    ]
    spellings += [f"{old[0]} {old[1:]}", f"{old[0]}-{old[1:]}", f"{old}*", f"Ａ{old[1:]}", old[1:]]
    spellings += [int(old[1:]), None, f"{old}, {other}", f"{old}.0", f"{old}\n", "A0123", other]
    row[ID] = chance.choice(spellings)
    expected = {old: _all_as_before(bench, old)}
    if row[ID] == other:
        expected[other] = _all_as_before(bench, other, doubt=True)
    return CellEdit(ID, f"{old!r} -> {row[ID]!r}", _table(rows), expected)


def _as_before(bench: Bench, name: str, column: str, *, doubt: bool = False) -> Reading:
    """What the unharmed sheet says; nothing, where it says nothing."""
    value = bench.clean.patients[name][column]
    if value in MISSING:
        return Reading(missing="silent", doubt=doubt)
    return Reading((value,), doubt=doubt)


def _all_as_before(bench: Bench, name: str, *, doubt: bool = False) -> dict[str, Reading]:
    """Likewise of all columns: the row is found, or it is said that there is none."""
    return {column: _as_before(bench, name, column, doubt=doubt) for column in COLUMNS.values()}


def _column(bench: Bench, rows: list[Row], chance: random.Random) -> CellEdit:
    """All cells of a column, in one hand."""
    column, seed = chance.choice([*COLUMNS]), chance.random()
    expected: Expected = {}
    for row in rows:
        one = random.Random(seed)  # noqa: S311 - no secret
        if row[column] is not None:
            row[column], reading = spelt(column, row[column], one)
            expected[row[ID]] = {COLUMNS[column]: reading}
    words = f"all of {column}: {[row[column] for row in rows]}"
    return CellEdit(f"column {column}", words, _table(rows), expected)


def _rows(bench: Bench, rows: list[Row], chance: random.Random) -> CellEdit:
    place = chance.randrange(len(rows))
    row = rows[place]
    name = row[ID]
    kind = chance.choice(["doubled", "contradicted", "deleted", "order", "blank", "note", "heads"])
    expected: Expected = {}
    table = _table(rows)
    words = f"row {kind}, {name}"
    if kind == "doubled":
        table.append([*row.values()])
    elif kind == "contradicted":
        column = chance.choice([one for one in COLUMNS if row[one] is not None])
        values = {one[column] for one in rows} - {row[column], None}
        again = row | {column: chance.choice(sorted(values, key=str) or ["?"])}
        table.insert(chance.randint(1, len(table)), [*again.values()])
        expected[name] = {COLUMNS[column]: Reading(doubt=True)}
        words += f": {column} {row[column]!r} and {again[column]!r}"
    elif kind == "deleted":
        table.pop(place + 1)
        expected[name] = {column: Reading() for column in COLUMNS.values()}
    elif kind == "order":
        body = table[1:]
        chance.shuffle(body)
        table[1:] = body
    elif kind == "blank":
        table.insert(chance.randint(1, len(table)), [None] * len(row))
    elif kind == "note":
        table.insert(chance.randint(0, len(table)), ["* as of 2020", *[None] * (len(row) - 1)])
    else:
        table.insert(place + 1, [*row])
    return CellEdit(f"row {kind}", words, table, expected)


def _title(bench: Bench, rows: list[Row], chance: random.Random) -> CellEdit:
    """A column's title in another spelling, lost, or given twice; or columns in another order."""
    table = _table(rows)
    title = chance.choice([ID, *COLUMNS])
    place = table[0].index(title)
    kind = chance.choice(["spelling", "spelling", "lost", "twice", "order", "column lost"])
    expected: Expected = {}
    if kind == "spelling":
        table[0][place] = chance.choice(
            [
                title.upper(),
                f" {title} ",
                title.replace("-", " "),
                title.replace(" ", "_"),
                f"{title}:",
                title.replace("-", "–"),
                f"{title}\n",
                title.lower(),
                f"{title}*",
                title + " (1)",
            ]
        )
    elif kind == "lost":
        table[0][place] = chance.choice([None, "Column1", "?"])
    elif kind == "twice":
        again = [line[place] for line in table[1:]]
        chance.shuffle(again)
        for line, value in zip(table, [title, *again], strict=True):
            line.append(value)
        doubt = Reading(doubt=True)
        for row, value in zip(rows, again, strict=True):
            if value != row[title]:
                columns = COLUMNS.values() if title == ID else [COLUMNS[title]]
                expected[row[ID]] = dict.fromkeys(columns, doubt)
    elif kind == "order":
        order = chance.sample(range(len(table[0])), len(table[0]))
        table = [[line[one] for one in order] for line in table]
    else:
        table = [line[:place] + line[place + 1 :] for line in table]
    if kind in ("lost", "column lost"):
        lost = COLUMNS.values() if title == ID else [COLUMNS[title]]
        expected = {row[ID]: {column: Reading() for column in lost} for row in rows}
    return CellEdit(f"title {kind}", f"title {title!r} {kind}: {table[0]}", table, expected)


def _file(bench: Bench, rows: list[Row], chance: random.Random) -> CellEdit:
    """The same table as text."""
    delimiter, encoding = chance.choice(",;\t"), chance.choice(["utf-8", "utf-8-sig", "utf-16"])
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(_table(rows))
    name = chance.choice(["statistics-clinical-20201221.csv", "clinical.csv"])
    expected = {row[ID]: _all_as_before(bench, row[ID]) for row in rows}
    edit = CellEdit("file csv", f"{name} {delimiter!r} {encoding}", _table(rows), expected)
    edit.other = (name, text.getvalue().encode(encoding))
    return edit


def clinical_ending(bench: Bench, found: Found, expected: Expected) -> tuple[str, str]:
    """Outcome and note over all patients: values as a human reads them, or missed with a word."""
    told: set[str] = set()
    for name, before in bench.clean.patients.items():
        row = found.outcome.patients.get(name)
        if row is None:
            if name not in found.outcome.excluded:
                return "SILENT", f"{name} is in no list"
            told.add(found.outcome.excluded[name])
            continue
        words = bench.words(found.outcome, name)
        for column in CLINICAL:
            reading = expected.get(name, {}).get(column)
            value = row[column]
            if reading is None:
                if value != before[column]:
                    return "SILENT", f"{name} {column} {value}, not {before[column]}"
            elif not _right(value, reading):
                missed = value in MISSING and reading.missing != "never"
                if not (words and (missed or reading.doubt)) and not (
                    missed and reading.missing == "silent"
                ):
                    return "SILENT", f"{name} {column} {value}, a human reads {reading}"
                told |= words
    return ("flagged", ", ".join(sorted(told))) if told else ("exact", "")


def _right(value: float | None, reading: Reading) -> bool:
    if not reading.values and reading.missing == "silent":
        return value in MISSING
    return value is not None and any(abs(value - one) <= _SAME_VALUE for one in reading.values)
