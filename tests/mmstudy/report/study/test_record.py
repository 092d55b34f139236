"""Sections on how it was computed: reasons in groups, every version, every look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmstudy.report.study import record
from mmstudy.report.study.blocks import Words
from mmstudy.report.study.evidence import Evidence, gather
from mmstudy.report.table import Table
from mmstudy.study import open_study
from support.dashboard_studies import write_about
from support.reported_study import add_failure


def test_reasons_that_differ_in_numbers_are_one(tmp_path: Path) -> None:
    study = open_study(write_about(tmp_path, "s", trials=3, epochs=2).root)
    for number, reason in enumerate(["CUDA: 3 of 80 GB", "CUDA: 4.5 of 80 GB", "no file c001"]):
        add_failure(study, number, reason)
    table = record.failures(gather(study)).blocks[0]
    assert isinstance(table, Table)
    assert [(row["trials"], row["reason"], row["numbers"]) for row in table.rows] == [
        (2, "CUDA: … of … GB", "0, 1"),
        (1, "no file [patient]", "2"),
    ]


def test_versions_and_machines_are_counted_by_trial(evidence: Evidence) -> None:
    table = record.provenance(evidence).blocks[0]
    assert isinstance(table, Table)
    told = {(row["what"], row["value"]): row["trials"] for row in table.rows}
    assert told["version of torch", "2.5.1"] == 1
    assert told["hardware", "NVIDIA RTX A4000"] == 1
    assert told["cohort the study was begun on", "00112233aabbccdd"] is None
    assert not any("host" in what for what, _ in told)


def test_a_damaged_cell_of_versions_says_nothing(evidence: Evidence) -> None:
    damaged = evidence.trials.with_columns(versions=evidence.trials["versions"].fill_null("{"))
    table = record.provenance(replace(evidence, trials=damaged)).blocks[0]
    assert isinstance(table, Table)
    assert [r["trials"] for r in table.rows if r["what"] == "version of torch"] == [1]


def test_every_look_has_its_n_and_interval_and_no_time(evidence: Evidence) -> None:
    table = record.provenance(evidence).blocks[1]
    assert isinstance(table, Table)
    (row,) = table.rows
    look = evidence.study.evaluations().row(0, named=True)
    assert row["n"] == "6 (3 squamous)"
    assert row["auroc"].value == look["auroc"]
    assert (row["auroc"].low, row["auroc"].high) == (look["auroc_low"], look["auroc_high"])
    assert set(row) == {"look", "trial", "n", "auroc", "code"}


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({}, "The search began from nothing"),
        ({"warm_start": "studies/other"}, "The search began from the trials of another study"),
        ({"enqueue": [{"train.lr": 0.1}]}, "Points were given to be tried first"),
    ],
)
def test_what_the_search_began_from_is_told(
    tmp_path: Path, search: dict[str, object], said: str
) -> None:
    study = open_study(write_about(tmp_path, "s", trials=3, epochs=2).root)
    written = {**study.about.written, "search": search}
    found = gather(replace(study, about=replace(study.about, written=written)))
    last = record.provenance(found).blocks[-1]
    assert isinstance(last, Words)
    assert last.text.startswith(said)


def test_hours_and_versions_of_this_machine_are_told(evidence: Evidence) -> None:
    ours, hours = record.environment(evidence).blocks
    assert isinstance(ours, Table)
    assert isinstance(hours, Table)
    assert "version of python" in {row["what"] for row in ours.rows}
    assert "hours, all" in {row["what"] for row in hours.rows}
