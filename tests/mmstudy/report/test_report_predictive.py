"""PPV and NPV at a prevalence stand beside every row of a comparison, where they were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmcaf.stats.predictive import predictive
from mmstudy.comparison.comparison import Comparison, compare
from mmstudy.report.comparison import comparison_table
from mmstudy.report.table import render
from support.made_study import made_study


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    return compare(made_study(tmp_path), expected=False)


def test_every_row_has_them_at_one_prevalence(found: Comparison) -> None:
    document = json.loads(render(comparison_table(found, 0.1), "json"))
    rows = [row for section in document["sections"] for row in section["rows"]]
    assert len(rows) == len(found.rows)
    for row, of in zip(rows, found.rows, strict=True):
        at = predictive(of.counts, 0.1)
        assert row["prevalence"] == 0.1
        assert row["ppv_at"] == {"value": at.ppv.value, "low": at.ppv.low, "high": at.ppv.high}
        assert row["npv_at"]["value"] == at.npv.value


def test_people_see_the_prevalence_in_the_heading(found: Comparison) -> None:
    assert "PPV at 10.0%" in render(comparison_table(found, 0.1), "table")


def test_nothing_is_added_where_none_was_asked_for(found: Comparison) -> None:
    for how in ("table", "json", "csv"):
        assert "ppv_at" not in render(comparison_table(found), how)
        assert "PPV at" not in render(comparison_table(found), how)
