"""CSV and its relatives: bytes of unknown encoding and delimiter, bounded before they are cut."""

from __future__ import annotations

import codecs
import csv
import io

from mmcaf.data.ingest.sheet.table import MOST_COLUMNS, MOST_ROWS, Cell, Table
from mmcaf.errors import DataError

__all__ = ["from_text"]

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_MOST_CELLS = 1_000_000
_REMEDY = "Save it as CSV in UTF-8, or as XLSX."


def from_text(content: bytes, name: str) -> list[Table]:
    """The text cut at each delimiter that occurs: the table is the one that has the headers.

    Raises:
        DataError: no text, or more rows, cells or longer cells than a clinical sheet has.
    """
    text, notes = _decoded(content, name)
    tables = []
    by_count = sorted(_DELIMITERS, key=text.count, reverse=True)
    for delimiter in [one for one in by_count if one in text]:
        try:
            rows = _cut(text, delimiter, name)
        except csv.Error as error:
            if delimiter != by_count[0]:
                continue  # quotes make sense with the right delimiter only
            raise DataError(f"Cannot read the clinical sheet {name}: {error}. {_REMEDY}") from error
        told = (*notes, f"delimiter: {_DELIMITERS[delimiter]}")
        tables.append(Table(name, rows, notes=told, cut=True))
    if not tables:
        raise DataError(
            f"Cannot read the clinical sheet {name}: it has no comma, semicolon or tab between "
            f"cells. {_REMEDY}"
        )
    return tables


def _decoded(content: bytes, name: str) -> tuple[str, list[str]]:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, notes = "utf-16", ["encoding: UTF-16"]
    else:
        encoding, notes = "utf-8-sig", []
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise DataError(
                f"Cannot read the clinical sheet {name}: it begins as UTF-16 and is not. {_REMEDY}"
            ) from error
        text, notes = content.decode("latin-1"), ["encoding: no UTF-8, read as Latin-1"]
    if "\0" in text:
        raise DataError(f"Cannot read the clinical sheet {name}: NUL bytes are no text. {_REMEDY}")
    return text, notes


def _cut(text: str, delimiter: str, name: str) -> list[list[Cell]]:
    if text.count(delimiter) + text.count("\n") > _MOST_CELLS:
        raise DataError(f"{name} has more than {_MOST_CELLS} cells: not the clinical sheet.")
    rows: list[list[Cell]] = []
    for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
        if len(rows) == MOST_ROWS:
            raise DataError(f"{name} has more than {MOST_ROWS} rows: not the clinical sheet.")
        rows.append([*cells[:MOST_COLUMNS]])
    return rows
