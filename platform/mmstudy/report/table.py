"""One table, rendered in five formats: for people, for machines, for a manuscript.

    table = Table.of([{"fold": 0, "auroc": 0.75}], origin=Origin(synthetic=True))
    render(table, "csv")       # the columns origin, fold, auroc
    render(table, "markdown")  # the warning, and a table with two columns

A row is read by key. What people read, `table`, `markdown` and `latex`, has the warnings above it.
What machines read, `json` and `csv`, has the column `origin` in every row.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from mmstudy.report.cells import cell_text, flat, json_value
from mmstudy.report.escape import csv_text, markdown_line, markdown_text, one_line
from mmstudy.report.latex import latex
from mmstudy.storage.origin import Origin

__all__ = [
    "MACHINES",
    "PEOPLE",
    "Block",
    "Column",
    "Format",
    "Notes",
    "Table",
    "render",
    "write_csv",
]

Format = Literal["table", "json", "csv", "markdown", "latex"]
PEOPLE: tuple[Format, ...] = ("table", "markdown", "latex")
MACHINES: tuple[Format, ...] = ("json", "csv")
Row = Mapping[str, Any]
"""Key of a column -> text, number, truth value, moment, `Measure`, or None."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        key: what machines call it, and where a row holds its cell.
        head: what people read above it; empty means the key.
        only: the formats that show it; empty means all five.
    """

    key: str
    head: str = ""
    only: tuple[Format, ...] = ()

    def shown_in(self, how: Format) -> bool:
        """Whether a format shows it."""
        return not self.only or how in self.only


@dataclass(frozen=True, slots=True)
class Block:
    """Rows under one heading, which may be empty."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """Sentences below a table, under one heading, which may be empty."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is to be shown, without a format.

    Attributes:
        columns: from the left.
        blocks: of rows, in order; a row has a cell for every column.
        warnings: what must stand above it for people.
        notes: what stands below it for people.
        caption: what a manuscript says of it.
        document: what JSON holds in place of a list of rows, where the rows are not all.
    """

    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[Notes, ...] = ()
    caption: str = ""
    document: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        keys = {column.key for column in self.columns}
        for row in self.rows:
            if not keys <= row.keys():
                lacking = ", ".join(sorted(keys - row.keys()))
                raise ValueError(f"Need a cell for every column, got a row without {lacking}.")

    @classmethod
    def of(
        cls, rows: Sequence[Row], *, keys: Sequence[str] = (), origin: Origin | None = None
    ) -> Table:
        """Rows that share their keys; each key is a column.

        Args:
            rows: in order.
            keys: of the columns; needed where there may be no row.
            origin: whose numbers they are, if they are of a study: a warning for people, and for
                machines the first column.
        """
        keys = tuple(rows[0]) if rows else keys
        if any(row.keys() != set(keys) for row in rows):
            raise ValueError(f"Need rows of the same keys, got others than {', '.join(keys)}.")
        columns = tuple(map(Column, keys))
        if origin is None:
            return cls(columns=columns, blocks=(Block("", tuple(rows)),))
        marked = tuple({"origin": origin.column, **row} for row in rows)
        if keys:
            columns = (Column("origin", only=MACHINES), *columns)
        return cls(columns=columns, blocks=(Block("", marked),), warnings=origin.warnings)

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows of all blocks, in order."""
        return tuple(row for block in self.blocks for row in block.rows)

    def people(self) -> list[dict[str, str]]:
        """All rows as people read them on a screen: head -> text; not escaped."""
        heads = [column.head or column.key for column in self.shown("table")]
        lines = (line for block in self.blocks for line in texts(self, block, "table")[1:])
        return [dict(zip(heads, line, strict=True)) for line in lines]

    def shown(self, how: Format) -> tuple[Column, ...]:
        """The columns that a format shows."""
        return tuple(column for column in self.columns if column.shown_in(how))


def render(table: Table, how: Format) -> str:
    """The table in a format; ends in a newline unless it is empty CSV."""
    makers: dict[Format, Callable[[Table], str]] = {
        "table": _plain,
        "json": _json,
        "csv": _csv,
        "markdown": _markdown,
        "latex": latex,
    }
    text = makers[how](table).rstrip("\n")
    return text + "\n" if text else ""


def write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows as CSV that no spreadsheet takes for formulas; row by row, so any number of them.

    Args:
        file: opened with `newline=""`.
        columns: the first line.
        rows: plain cells in the order of the columns.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([csv_text(column) for column in columns])
    writer.writerows([csv_text(cell) for cell in row] for row in rows)


def texts(table: Table, block: Block, how: Format) -> list[list[str]]:
    """The heads and then every row of a block, as people read them; not escaped."""
    columns = table.shown(how)
    heads = [column.head or column.key for column in columns]
    return [heads, *([cell_text(row[column.key]) for column in columns] for row in block.rows)]


def _json(table: Table) -> str:
    columns = table.shown("json")
    rows = [{column.key: json_value(row[column.key]) for column in columns} for row in table.rows]
    document = rows if table.document is None else table.document
    return json.dumps(document, indent=2, allow_nan=False, default=str)


def _csv(table: Table) -> str:
    columns = table.shown("csv")
    rows = [
        dict(cell for column in columns for cell in flat(column.key, row[column.key]))
        for row in table.rows
    ]
    heads = list(dict.fromkeys(key for row in rows for key in row))
    heads = heads or [column.key for column in columns]
    if not heads:
        return ""
    out = io.StringIO()
    write_csv(out, heads, ([row.get(head) for head in heads] for row in rows))
    return out.getvalue()


def _plain(table: Table) -> str:
    parts = ["\n".join(map(one_line, table.warnings))]
    for block in table.blocks:
        lines = _aligned(texts(table, block, "table")) if block.rows else ["nothing"]
        parts.append("\n".join([*filter(None, [one_line(block.title)]), *lines]))
    for notes in table.notes:
        indent = "  " if notes.title else ""
        lines = [indent + one_line(sentence) for sentence in notes.sentences]
        parts.append("\n".join([*filter(None, [one_line(notes.title)]), *lines]))
    return "\n\n".join(filter(None, parts))


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns two spaces apart; no cell is empty or holds two spaces in a row."""
    flat_lines = [[one_line(cell) or "-" for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*flat_lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in flat_lines
    ]


def _markdown(table: Table) -> str:
    parts = [f"**{markdown_text(warning)}**" for warning in table.warnings]
    for block in table.blocks:
        parts += [f"### {markdown_text(block.title)}"] if block.title else []
        if not block.rows:
            parts.append("nothing")
            continue
        head, *lines = (
            "| " + " | ".join(map(markdown_text, line)) + " |"
            for line in texts(table, block, "markdown")
        )
        rule = "|" + "---|" * len(table.shown("markdown"))
        parts.append("\n".join([head, rule, *lines]))
    for notes in table.notes:
        parts += [f"### {markdown_text(notes.title)}"] if notes.title else []
        parts.append("\n".join(f"- {markdown_line(text)}" for text in notes.sentences))
    return "\n\n".join(parts)
