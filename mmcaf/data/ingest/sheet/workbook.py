"""XLSX: a zip of XML, untrusted, so what it would unpack to is looked at first.

A cell is what Excel shows. A number with a date's format is a date; words in a format ("lb") belong
to the number. What is merged away or computed by nobody is told from what is empty.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, time, timedelta
from functools import lru_cache
from typing import Any

import openpyxl
from openpyxl.cell.read_only import EMPTY_CELL
from openpyxl.utils.cell import range_boundaries

from mmcaf.data.ingest.sheet.table import MOST_COLUMNS, MOST_ROWS, Cell, Odd, Table
from mmcaf.errors import DataError

__all__ = ["from_workbook"]

_MOST_UNPACKED = 64 * 2**20
_MOST_MERGED = 1_000_000  # cells
_MOST_SHEETS = 32
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\b[^<>]*?\bref\s*=\s*[\"']([A-Z]+\d+:[A-Z]+\d+)[\"']")
_HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row\b[^<>]*?\bhidden\s*=\s*[\"'](?:1|true)[\"']")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_WORDS = re.compile(r'"[^"]*"|(?:\\.)+|%')


def from_workbook(content: bytes, name: str) -> list[Table]:
    """Every worksheet of a workbook.

    Raises:
        DataError: no readable workbook, one that would unpack to more than 64 MiB, or a worksheet
            of more rows or merged cells than any clinical sheet has.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > _MOST_UNPACKED:
                raise DataError(
                    f"{name} would unpack to {unpacked} bytes, at most {_MOST_UNPACKED} are read: "
                    "not the clinical sheet, or hostile."
                )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # styles it does not know
            return list(_tables(content, name))
    except DataError:
        raise
    except (Exception, RecursionError) as error:  # zip, XML and format faults alike
        raise DataError(
            f"Cannot read the clinical sheet {name}: {error}. Save it as XLSX or CSV again."
        ) from error


def _tables(content: bytes, name: str) -> Iterator[Table]:
    book = _open(content, data_only=True)
    sheets = book.worksheets
    if len(sheets) > _MOST_SHEETS:
        raise DataError(f"{name} has more than {_MOST_SHEETS} worksheets: not the clinical sheet.")
    written: Any = None
    for number, sheet in enumerate(sheets, 1):
        xml = book._archive.read(sheet._worksheet_path)
        rows = _read(sheet, name)
        if _FORMULA.search(xml):
            written = written or _open(content, data_only=False)
            _mark_formulas(rows, written.worksheets[number - 1])
        _mark_merged(rows, xml, name)
        hidden = len(_HIDDEN_ROW.findall(xml))
        notes = [f"{hidden} hidden rows are read like the others"] if hidden else []
        if sheet.sheet_state != "visible":
            notes.append("the worksheet is hidden")
        called = f"{name}, worksheet {number}" if len(sheets) > 1 else name
        yield Table(called, rows, number, tuple(notes))


def _open(content: bytes, *, data_only: bool) -> Any:
    return openpyxl.load_workbook(
        io.BytesIO(content), read_only=True, data_only=data_only, keep_links=False
    )


def _read(sheet: Any, name: str) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for cells in _rows(sheet):
        if len(rows) < MOST_ROWS:
            rows.append([None if cell is EMPTY_CELL else _value(cell) for cell in cells])
        elif any(cell is not EMPTY_CELL and cell.value is not None for cell in cells):
            raise DataError(f"{name} has more than {MOST_ROWS} rows: not the clinical sheet.")
    return rows


def _rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # what the file says of its own size need not be true
    yield from sheet.iter_rows(max_col=MOST_COLUMNS)


def _value(cell: Any) -> Cell:
    value = cell.value
    if isinstance(value, date | time | timedelta):
        return Odd.DATE
    if isinstance(value, bool | str) or value is None:
        return value
    words = _words_of(cell.number_format)
    number: Cell = value
    return f"{number} {words}" if words else number


@lru_cache(maxsize=1024)
def _words_of(number_format: str) -> str:
    """Letters that a number's format adds to it, such as `lb`, or its percent sign."""
    first = re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', number_format or "")[0]
    words = [re.sub(r'["\\]', "", found).strip() for found in _WORDS.findall(first)]
    return " ".join(words).strip() if re.search(r"[\w%]", "".join(words)) else ""


def _mark_formulas(rows: list[list[Cell]], sheet: Any) -> None:
    for row, cells in zip(rows, _rows(sheet), strict=False):
        for column, cell in enumerate(cells):
            if row[column] is None and cell.data_type == "f":
                row[column] = Odd.FORMULA


def _mark_merged(rows: list[list[Cell]], xml: bytes, name: str) -> None:
    """Cells that a merge covers; only its first one holds the value that is shown for all."""
    total = 0
    for (reference,) in (found.groups() for found in _MERGED.finditer(xml)):
        left, top, right, bottom = (n or 1 for n in range_boundaries(reference.decode("ascii")))
        down, across = range(top - 1, min(bottom, len(rows))), range(left - 1, right)[:MOST_COLUMNS]
        total += 1 + len(down) * len(across)
        if total > _MOST_MERGED:
            raise DataError(f"{name} has far more merged cells than a clinical sheet has.")
        inside = [(row, col) for row in down for col in across if col < len(rows[row])]
        if inside and rows[inside[0][0]][inside[0][1]] is not None:
            for row, column in inside[1:]:
                if rows[row][column] is None:
                    rows[row][column] = Odd.MERGED
