"""Sections on patients: counts of the chart add up, and Table 1 has every part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmstudy.report.study import design
from mmstudy.report.study.blocks import Figure, Words
from mmstudy.report.study.evidence import NO_COHORT, Evidence, gather
from mmstudy.report.study.flowchart import Flowchart
from mmstudy.report.study.patients import cohort_flow, table_one
from mmstudy.report.table import Table
from support.reported_study import reported_study


def lines_of(evidence: Evidence) -> list[str]:
    figure = cohort_flow(evidence).blocks[0]
    assert isinstance(figure, Figure)
    assert isinstance(figure.picture, Flowchart)
    return [line for box in figure.picture.boxes for line in (*box.left, *box.lines)]


def test_the_chart_tells_every_step(evidence: Evidence) -> None:
    assert lines_of(evidence) == [
        "Seen by the ingestion: 63 patients",
        "Left out: 3 patients",
        "E_OTHER_CLASS: 2",
        "E_NO_IMAGES: 1",
        "In the cohort: 60 patients (21 squamous, 39 adenocarcinoma)",
        "Set aside for testing: 6 patients (3 squamous, 3 adenocarcinoma)",
        "looked at once by this study",
        "In the search: 54 patients (18 squamous, 36 adenocarcinoma)",
        "3 folds",
        "trained on 36 patients (12 squamous) in each",
        "validated on 18 patients (6 squamous) in each",
    ]


def test_without_the_cohort_classes_are_those_that_predictions_tell(evidence: Evidence) -> None:
    lines = lines_of(replace(evidence, cohort=None, seen=None))
    assert lines[0] == "In the cohort: 60 patients, classes not known here"
    assert "In the search: 54 patients (18 squamous, 36 adenocarcinoma)" in lines
    assert cohort_flow(replace(evidence, cohort=None, seen=None)).absent == NO_COHORT
    assert cohort_flow(replace(evidence, seen=None)).absent.startswith("the cohort's folder")


@pytest.mark.parametrize(("protocol", "drawn"), [("kfold", True), ("paper43", False)])
def test_who_was_not_drawn_is_not_said_to_be(tmp_path: Path, protocol: str, drawn: bool) -> None:
    found = gather(reported_study(tmp_path, protocol=protocol))
    table = table_one(found).blocks[0]
    assert isinstance(table, Table)
    assert ("drawn at random" in table.caption) == drawn
    told = [block.text for block in design.protocol(found).blocks if isinstance(block, Words)]
    assert ("Classes are stratified" in told[0]) == drawn
    assert ("published network's own 43" in told[0]) != drawn


def test_table_one_has_a_column_for_each_side_and_class(evidence: Evidence) -> None:
    table = table_one(evidence).blocks[0]
    assert isinstance(table, Table)
    assert [column.head for column in table.columns] == [
        "Characteristic",
        "search, squamous (n = 18)",
        "search, adenocarcinoma (n = 36)",
        "test, squamous (n = 3)",
        "test, adenocarcinoma (n = 3)",
    ]
    ages = next(block for block in table.blocks if block.title == "age, years")
    assert [row["what"] for row in ages.rows] == ["median [quartiles]", "missing"]
    assert ages.rows[0]["2"] == "- (3 known)"
    assert table_one(replace(evidence, cohort=None)).absent == NO_COHORT
