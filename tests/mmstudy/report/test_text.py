"""Rows as text: aligned for people, whole for machines."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmstudy.report.text import as_text

values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
tables = st.lists(st.fixed_dictionaries({"a": values, "b, c": values}), min_size=1, max_size=5)


@given(tables)
def test_json_gives_back_every_value(rows: list[dict[str, Any]]) -> None:
    assert json.loads(as_text(rows, "json")) == rows


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.text(st.characters(codec="utf-8", exclude_characters="\r\0")),
                "b": st.floats(allow_nan=False),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_csv_gives_back_text_and_numbers_to_the_last_digit(rows: list[dict[str, Any]]) -> None:
    found = list(csv.DictReader(io.StringIO(as_text(rows, "csv"), newline="")))
    assert [(row["a"], float(row["b"])) for row in found] == [(row["a"], row["b"]) for row in rows]


def test_a_table_is_aligned_and_ends_without_blanks() -> None:
    text = as_text([{"name": "a", "n": 1}, {"name": "longer", "n": None}], "table")
    assert text == "name    n\na       1\nlonger  -\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (0.0, "0.0000"),
        (0.01, "0.0100"),
        (0.00999, "9.99e-03"),
        (-0.5, "-0.5000"),
        (9999.0, "9999.0000"),
        (12345.0, "1.23e+04"),
        (7, "7"),
        ("x", "x"),
    ],
)
def test_a_cell_is_as_short_as_it_can_be_told(value: object, shown: str) -> None:
    assert as_text([{"v": value}], "table").splitlines()[1] == shown


@pytest.mark.parametrize(("how", "text"), [("table", "nothing\n"), ("json", "[]\n"), ("csv", "")])
def test_no_rows_are_told(how: Any, text: str) -> None:
    assert as_text([], how) == text
