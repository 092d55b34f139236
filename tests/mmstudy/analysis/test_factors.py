"""Levels of patients: coarse, missing where a value is, absent where there is no such column."""

from __future__ import annotations

import polars as pl
import pytest

from mmstudy.analysis.factors import FACTORS, known_numbers

BY_NAME = {factor.name: factor for factor in FACTORS}


@pytest.mark.parametrize(
    ("name", "values", "levels"),
    [
        ("sex", [0, 1, -1], ["female", "male", None]),
        ("stage, T", [0.0, 1.0, 3.0, 4.0, 6.0, 7.0], ["Tis", "T1", "T1", "T2", "T3", "T4"]),
        ("stage, N", [0.0, 3.0, float("nan"), None], ["N0", "N3", None, None]),
        ("stage, M", [0.0, 1.0, 3.0], ["M0", "M1", "M1"]),
        ("slice spacing", [1.5, 3.0, 5.0], ["up to 1.5 mm", "1.5 to 3 mm", "above 3 mm"]),
        ("vendor", ["A", "", None], ["A", None, None]),
        ("kernel", [None, None], [None, None]),
    ],
)  # fmt: skip
def test_levels(name: str, values: list[object], levels: list[str | None]) -> None:
    factor = BY_NAME[name]
    found = factor.levels(pl.DataFrame({factor.column: values}))
    assert found is not None
    assert found.to_list() == levels


@pytest.mark.parametrize("strange", [[["a"]], [True], [{"a": 1}]])
def test_a_column_of_another_kind_has_no_levels(strange: list[object]) -> None:
    assert BY_NAME["vendor"].levels(pl.DataFrame({"vendor": strange})) is None
    assert BY_NAME["vendor"].levels(pl.DataFrame({"kernel": ["a"]})) is None
    assert BY_NAME["sex"].levels(pl.DataFrame({"sex": ["male"]})) is None


def test_a_number_below_nothing_is_missing() -> None:
    rows = pl.DataFrame({"a": [1.0, -1.0, float("inf"), float("nan"), None]})
    found = known_numbers(rows, "a")
    assert found is not None
    assert found.to_list() == [1.0, None, None, None, None]
