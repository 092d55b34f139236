"""An ensemble as a table: counts and intervals for people, and for machines."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from mmcaf.stats.areas import auroc_standard_error
from mmcaf.stats.predictive import predictive
from mmstudy.comparison.judged import Judged, judged_look
from mmstudy.report.judged import judged_table
from mmstudy.report.table import render
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, add_look, made_study


@pytest.fixture
def found(tmp_path: Path) -> Judged:
    study = made_study(tmp_path, settings={}, synthetic=True)
    add_look(study, 0, MMCAF_LABELS, MMCAF_SCORES)
    return judged_look(study, 0, 1)


def test_people_see_counts_intervals_and_how_to_read_them(found: Judged) -> None:
    text = render(judged_table(found, number=0, look=1), "table")
    assert "0.667 [0.42, 0.85] 10/15" in text
    assert "43 (15+28)" in text
    assert "SYNTHETIC" in text
    assert all(sentence[:40] in " ".join(text.split()) for sentence in found.sentences())
    assert "PPV at" not in text


def test_machines_get_every_figure_by_its_key(found: Judged) -> None:
    rows = json.loads(render(judged_table(found, number=0, look=1, prevalence=0.2), "json"))
    row = rows[0]
    assert (row["look"], row["number"], row["n"], row["n_squamous"]) == (1, 0, 43, 15)
    assert row["specificity"]["hits"] == 24
    of = predictive(found.rows[0].counts, 0.2)
    assert row["ppv_at"] == {"value": of.ppv.value, "low": of.ppv.low, "high": of.ppv.high}
    assert (row["prevalence"], row["brier_raw"]["value"]) == (0.2, found.raw.brier)
    assert found.calibration.intercept is not None
    assert row["intercept"]["value"] == found.calibration.intercept.value
    assert row["intercept"] != row["intercept_raw"]
    assert row["auroc_standard_error"] == auroc_standard_error(MMCAF_LABELS, MMCAF_SCORES)
    csv_rows = [*csv.DictReader(io.StringIO(render(judged_table(found, number=0), "csv")))]
    assert {one["origin"] for one in csv_rows} == {"SYNTHETIC"}
    assert "look" not in csv_rows[0]


def test_what_is_undefined_is_empty(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    add_look(study, 0, np.zeros(5, dtype=np.int64), np.linspace(0.1, 0.9, 5))
    table = judged_table(judged_look(study, 0, 1), number=0, prevalence=0.2)
    row = json.loads(render(table, "json"))[0]
    assert (row["sensitivity"]["value"], row["ppv_at"]["value"]) == (None, None)
    assert row["intercept"]["value"] is None
