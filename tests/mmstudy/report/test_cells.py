"""What a cell holds, as people read it and as machines do."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, nan

import pytest

from mmstudy.report.cells import Measure, cell_text, flat, json_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (nan, "-"),
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
    assert cell_text(value) == shown


def test_a_figure_leaves_out_what_it_lacks() -> None:
    assert str(Measure()) == str(Measure(hits=0, total=0)) == "-"
    assert str(Measure(0.5)) == "0.500"
    assert str(Measure(0.5, 0.1)) == "0.500"  # half an interval is none
    assert str(Measure(0.5, 0.1, 0.9, hits=1, total=2)) == "0.500 [0.10, 0.90] 1/2"


def test_counts_are_there_for_machines_where_the_value_is_undefined() -> None:
    undefined = dict(flat("ppv", Measure(hits=0, total=0)))
    assert undefined == {
        "ppv": None, "ppv_low": None, "ppv_high": None, "ppv_hits": 0, "ppv_total": 0,
    }  # fmt: skip
    assert dict(flat("a", 3)) == {"a": 3}


def test_what_json_cannot_hold_is_null_and_a_moment_is_iso() -> None:
    assert [json_value(value) for value in (nan, inf, -inf)] == [None] * 3
    assert json_value(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00+00:00"
    assert json_value("x") == "x"
