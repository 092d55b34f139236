"""One table in five formats: each holds every cell, and no cell gets out of its place."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from html import unescape
from itertools import pairwise
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mmstudy.report.cells import Measure
from mmstudy.report.escape import one_line
from mmstudy.report.table import MACHINES, PEOPLE, Block, Column, Format, Notes, Table, render
from mmstudy.storage.origin import Origin

ALL: tuple[Format, ...] = (*PEOPLE, *MACHINES)
ORIGINS = [Origin(), Origin(True), Origin(False, True), Origin(True, True)]
SIGNS = "=+-@*_`#|\\~^<>&%${}[]!\"',\t\r\n\x1b\x00\x9b\u202e\u2028 1.ab"
TYPED = st.one_of(st.text(SIGNS, max_size=12), st.text(max_size=12))
GRIDS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TYPED, min_size=width, max_size=width), min_size=2, max_size=5)
)


def typed(grid: list[list[str]]) -> Table:
    """The first line as heads, all others as rows; what is said around it was typed as well."""
    head, *lines = grid
    columns = tuple(Column(f"{i}{text}", text) for i, text in enumerate(head))
    keys = [column.key for column in columns]
    rows = tuple(dict(zip(keys, line, strict=True)) for line in lines)
    said = head[0]
    return Table(
        columns=columns,
        blocks=(Block(f"T{said}", rows),),
        warnings=(f"W{said}",),
        notes=(Notes(f"N{said}", (said, f"1. {said}")),),
        caption=said,
    )


def without_headings(text: str) -> list[str]:
    """The lines of the one table among them."""
    return text.split("\n\n")[1].splitlines()[1:]


@given(GRIDS)
def test_csv_has_a_cell_for_every_cell(grid: list[list[str]]) -> None:
    table = typed(grid)
    text = render(table, "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [len(row) for row in rows] == [len(grid[0])] * len(grid)
    for row, line in zip(rows[1:], grid[1:], strict=True):
        for found, cell in zip(row, line, strict=True):
            expected = one_line(cell).replace(" ", "")
            assert one_line(found).replace(" ", "") in (expected, f"'{expected}")
    assert not any(re.match(r"\s*[=+\-@]", cell) for row in rows for cell in row)


@given(GRIDS)
def test_json_holds_what_was_typed(grid: list[list[str]]) -> None:
    text = render(typed(grid), "json")
    assert [list(row.values()) for row in json.loads(text)] == grid[1:]
    assert text.isascii()


@given(GRIDS)
def test_markdown_is_one_table_with_every_cell_in_its_place(grid: list[list[str]]) -> None:
    html = MarkdownIt("commonmark").enable("table").render(render(typed(grid), "markdown"))
    rows = [
        [unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    ]
    shown = [[text or f"{i}" for i, text in enumerate(grid[0])], *grid[1:]]
    assert rows == [[one_line(cell) for cell in line] for line in shown]
    others = re.findall(r"<(\w+)", re.sub(r"<table>.*</table>", "", html, flags=re.DOTALL))
    assert others == ["p", "strong", "h3", "h3", "ul", "li", "li"]


@given(GRIDS)
def test_a_plain_line_is_a_row_and_columns_stand_below_each_other(grid: list[list[str]]) -> None:
    lines = without_headings(render(typed(grid), "table"))
    shown = [[text or f"{i}" for i, text in enumerate(grid[0])], *grid[1:]]
    cells = [[one_line(cell) or "-" for cell in line] for line in shown]
    assert len(lines) == len(cells)
    starts = [0]
    for column in zip(*cells, strict=True):
        starts.append(starts[-1] + max(map(len, column)) + 2)
    for line, row in zip(lines, cells, strict=True):
        assert line.isprintable()
        assert [line[a:b].rstrip() for a, b in pairwise(starts)] == row


@given(GRIDS)
def test_latex_has_a_cell_for_every_cell_and_closes_what_it_opens(grid: list[list[str]]) -> None:
    text = render(typed(grid), "latex")
    inner = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[2:]
    assert len(inner) == len(grid) - 1
    for line in inner:
        assert line.endswith(r"\\")
        assert len(re.findall(r"(?<!\\)&", line)) == len(grid[0]) - 1
    opened = re.findall(r"\\(?:begin|end)\{(\w+\*?)\}", text)
    assert opened == ["table*", "tabular", "tabular", "table*", "itemize", "itemize"]
    bare = re.sub(r"(?m)\\[\\{}%&$#_]|^%.*|(?<=\{!\}\{)%$", "", text)
    assert bare.count("{") == bare.count("}")


@pytest.mark.parametrize("how", ALL)
@given(GRIDS)
def test_no_format_commands_a_terminal(how: Format, grid: list[list[str]]) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", render(typed(grid), how))


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.column)
def test_people_are_warned_and_machines_have_a_column(origin: Origin) -> None:
    table = Table.of([{"fold": 0}, {"fold": 1}], origin=origin)
    for how in PEOPLE:
        text = render(table, how)
        assert "origin" not in text
        assert all(warning in text for warning in origin.warnings)
        assert ("SYNTHETIC" in text, "ORACLE" in text) == (origin.synthetic, origin.oracle)
    marked = [origin.column] * 2
    assert [row["origin"] for row in json.loads(render(table, "json"))] == marked
    of_csv = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [row["origin"] for row in of_csv] == marked
    assert list(of_csv[0]) == ["origin", "fold"]


def test_rows_without_an_origin_have_no_column_for_it() -> None:
    assert render(Table.of([{"a": 1}]), "csv") == "a\n1\n"


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("table", "nothing\n"),
        ("json", "[]\n"),
        ("csv", ""),
        ("markdown", "nothing\n"),
        ("latex", "nothing\n"),
    ],
)
def test_no_row_is_said_in_every_format(how: Format, text: str) -> None:
    assert render(Table.of([]), how) == text


def test_columns_without_a_row_are_the_first_line_of_csv() -> None:
    assert render(Table.of([], keys=["a", "=b"], origin=Origin()), "csv") == "origin,a,'=b\n"


def test_a_figure_is_one_cell_for_people_and_several_for_machines() -> None:
    of = Table.of([{"ppv": Measure(0.5, 0.1, 0.9, hits=1, total=2), "auroc": Measure()}])
    assert render(of, "table") == "ppv                     auroc\n0.500 [0.10, 0.90] 1/2  -\n"
    assert render(of, "csv") == (
        "ppv,ppv_low,ppv_high,ppv_hits,ppv_total,auroc,auroc_low,auroc_high\n0.5,0.1,0.9,1,2,,,\n"
    )
    (row,) = json.loads(render(of, "json"))
    assert row["ppv"] == {"value": 0.5, "low": 0.1, "high": 0.9, "hits": 1, "total": 2}
    assert row["auroc"] == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize(
    ("value", "people", "of_csv", "of_json"),
    [
        (None, "-", "", None),
        (nan, "-", "", None),
        (inf, "inf", "inf", None),
        (True, "yes", "True", True),
        (3, "3", "3", 3),
        (0.123456, "0.1235", "0.123456", 0.123456),
        (1e-7, "1.00e-07", "1e-07", 1e-7),
        (-0.5, "-0.5000", "-0.5", -0.5),
        ("-x", "-x", "'-x", "-x"),
        (
            datetime(2026, 1, 1, tzinfo=UTC),
            "2026-01-01 00:00:00+00:00",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00+00:00",
        ),
    ],
)
def test_a_value_in_each_format(value: Any, people: str, of_csv: str, of_json: Any) -> None:
    table = Table.of([{"a": value, "z": 0}])
    assert render(table, "table").splitlines()[1].split("  ")[0] == people
    assert render(table, "markdown").splitlines()[2] == f"| {people} | 0 |"
    assert next(csv.DictReader(io.StringIO(render(table, "csv"))))["a"] == of_csv
    assert json.loads(render(table, "json"), parse_constant=pytest.fail)[0]["a"] == of_json


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)


@given(st.lists(st.fixed_dictionaries({"a": VALUES | TYPED, "b, c": VALUES}), min_size=1))
def test_json_gives_back_every_value(rows: list[dict[str, Any]]) -> None:
    assert json.loads(render(Table.of(rows), "json")) == rows


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_csv_gives_back_numbers_to_the_last_digit(numbers: list[float]) -> None:
    text = render(Table.of([{"a": number} for number in numbers]), "csv")
    assert [float(row["a"]) for row in csv.DictReader(io.StringIO(text))] == numbers


def test_a_column_is_shown_where_it_belongs() -> None:
    columns = (Column("key", "Head"), Column("wide", only=("table",)), Column("m", only=MACHINES))
    table = Table(columns=columns, blocks=(Block("", ({"key": 1, "wide": 2, "m": 3},)),))
    assert [len(table.shown(how)) for how in ("table", "json", "csv", "markdown", "latex")] == [
        2, 2, 2, 1, 1,
    ]  # fmt: skip
    assert render(table, "markdown").startswith("| Head |")
    assert render(table, "csv").startswith("key,m\n")
    assert table.people() == [{"Head": "1", "wide": "2"}]


def test_a_document_stands_for_the_rows_in_json_alone() -> None:
    table = Table(columns=(Column("a"),), blocks=(Block("", ({"a": 1},)),), document={"b": 2})
    assert json.loads(render(table, "json")) == {"b": 2}
    assert render(table, "csv") == "a\n1\n"


def test_a_row_that_lacks_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="got a row without b"):
        Table(columns=(Column("a"), Column("b")), blocks=(Block("", ({"a": 1},)),))


def test_rows_of_other_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="Need rows of the same keys, got others than a"):
        Table.of([{"a": 1}, {"a": 1, "b": 2}])
