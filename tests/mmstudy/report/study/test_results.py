"""Sections of figures: the numbers are those of the study's own functions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmstudy.analysis.optimism import corrected_best
from mmstudy.report.cells import Measure
from mmstudy.report.study import results
from mmstudy.report.study.evidence import NO_TRIAL, Evidence
from mmstudy.report.table import Table


def table_of(evidence: Evidence, place: int) -> Table:
    tables = [of for of in results.results(evidence).blocks if isinstance(of, Table)]
    return tables[place]


def test_three_values_stand_beside_each_other(evidence: Evidence) -> None:
    best = evidence.study.best_trial()
    expected = corrected_best(evidence.study)
    assert best is not None
    assert expected is not None
    assert evidence.found is not None
    search, corrected, confirmed = table_of(evidence, 0).rows
    area = evidence.found.row.auroc
    assert search["auroc"] == Measure(best["value"], area.low, area.high)
    assert best["value"] == pytest.approx(area.value)
    assert corrected["auroc"] == Measure(expected.mean, expected.low, expected.high)
    assert corrected["n"] == f"{expected.n} judging patients"
    assert (confirmed["auroc"], confirmed["n"]) == (Measure(), "not made")


def test_rates_have_their_counts(evidence: Evidence) -> None:
    assert evidence.found is not None
    (row,) = table_of(evidence, 1).rows
    rate = evidence.found.row.rates["sensitivity"]
    assert row["sensitivity"] == Measure(
        float(rate), *rate.wilson(), hits=rate.hits, total=rate.total
    )


def test_of_small_parts_only_their_n_is_told(evidence: Evidence) -> None:
    table = results.parts(evidence).blocks[0]
    assert isinstance(table, Table)
    small = [row for row in table.rows if row["n"] < 20]
    large = [row for row in table.rows if row["n"] >= 20]
    assert small
    assert large
    for row in small:
        assert row["squamous"] is row["adenocarcinoma"] is None
        assert row["auroc"] == "- (fewer than 20 patients)"
    assert any(isinstance(row["auroc"], Measure) for row in large)
    assert all(row["n"] == row["squamous"] + row["adenocarcinoma"] for row in large)


def test_without_a_trial_sections_say_so(evidence: Evidence) -> None:
    none = replace(evidence, best=None, found=None, compared=None)
    sections = (results.results, results.calibration, results.against, results.parts)
    assert [section(none).absent for section in sections] == [NO_TRIAL] * 4
