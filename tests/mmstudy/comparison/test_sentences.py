"""The words of a comparison, figure by figure."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from mmstudy.comparison.outcome import Test as Measured
from mmstudy.comparison.row import row_of
from mmstudy.comparison.sentences import could_show, detail, difference, excluded, likely, statement
from mmstudy.comparison.verdict import against_same_cases
from mmstudy.storage.origin import Origin

AREA = Measured(
    measure="AUROC",
    ours="0.800",
    theirs="0.786",
    difference=0.014,
    low=-0.1181,
    high=0.15,
    p=0.8,
    p_holm=1.0,
    how="",
    higher=0.59,
    detectable=0.1701,
)


def test_a_test_is_told_whole() -> None:
    assert detail(AREA) == (
        "AUROC: +0.014 [-0.12, +0.15]; excludes that ours is worse by more than 0.119; "
        "corrected p 1.000; P(ours higher) 0.59; could show +0.18 or more."
    )


def test_bounds_are_rounded_to_the_safe_side() -> None:
    assert excluded(replace(AREA, low=-0.1)) == "worse by more than 0.100"
    assert excluded(replace(AREA, low=0.0)) == excluded(replace(AREA, low=0.2)) == "worse"
    assert could_show(replace(AREA, detectable=0.17)) == "+0.17 or more"


def test_what_cannot_be_tested_says_so() -> None:
    assert detail(replace(AREA, difference=None)) == "AUROC: not testable."
    unknown = replace(AREA, p=None, p_holm=None, low=None, high=None, higher=None, detectable=None)
    assert detail(unknown) == "AUROC: +0.014; not testable."
    assert (excluded(unknown), could_show(unknown)) == ("-", "-")
    assert difference(replace(AREA, difference=None)) == "-"


def test_a_test_that_shows_is_not_said_to_show_nothing() -> None:
    shows = replace(AREA, p_holm=0.01, detectable=None)
    assert "could show" not in detail(shows)
    assert "could show none in our favour" in detail(replace(AREA, detectable=None))


def test_two_that_separate_the_same_few_cases_exclude_nothing() -> None:
    rows = pl.DataFrame({"case": ["a", "b", "c", "d"], "label": [1, 1, 0, 0]})
    rows = rows.with_columns(probability=pl.Series([0.9, 0.8, 0.2, 0.1]))
    first, second = (row_of(rows, method=m, cases="x", origin=Origin()) for m in ("a", "b"))
    area, _ = against_same_cases(first, [second])[0].tests
    assert detail(area) == "AUROC: +0.000; corrected p 1.000; P(ours higher) 0.50."


def test_no_zero_has_a_sign_and_no_probability_is_sure() -> None:
    assert difference(replace(AREA, difference=-0.0001, low=None)) == "+0.000"
    assert [likely(p) for p in (0.0001, 0.5, 0.9999)] == ["below 0.01", "0.50", "above 0.99"]


@pytest.mark.parametrize("sign", [1, -1])
def test_who_wins_is_named_first(sign: int) -> None:
    clear = replace(AREA, difference=0.2 * sign, p_holm=0.01)
    calls = replace(clear, measure="accuracy")
    first, second = ("a", "b") if sign > 0 else ("b", "a")
    assert statement("a", "b", [clear, calls]) == (
        f"{first} outperforms {second} in AUROC. "
        f"At its threshold {first} is better than {second} in accuracy."
    )


def test_parts_that_contradict_are_mixed() -> None:
    area = replace(AREA, difference=0.2, p_holm=0.01)
    calls = replace(area, measure="accuracy", difference=-0.2)
    assert statement("a", "b", [area, calls]) == (
        "Mixed: a outperforms b in AUROC. At its threshold b is better than a in accuracy."
    )
