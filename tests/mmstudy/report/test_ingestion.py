"""The table of `data check`: each code with its meaning, each patient with a remedy."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mmstudy.report.ingestion import doubts_in, ingestion_table
from mmstudy.report.table import render

CLEAN: dict[str, Any] = {
    "synthetic": False,
    "patients": 2,
    "squamous": 1,
    "fingerprint": {"slices": 48},
    "excluded": [],
    "unknown_ids": {"files": 0, "studies": 0},
    "flags": {},
    "annotations": {"files": 9, "matched": 9, "boxes": 9},
    "download": {"listed_series": 0, "absent_series": 0, "incomplete": []},
    "files": {"chosen": 48, "E_SOP_CLASS": 300},
}
LEFT_OUT = {
    "patient_id": "A0003",
    "reason": "E_EMPTY",
    "files": 24,
    "of_files": 24,
    "remedy": "Copy the files again.",
}
MEANINGS = {"E_EMPTY": "holds nothing", "E_SOP_CLASS": "not CT", "W_AGE": "ages differ"}


def test_pet_beside_a_ct_is_no_doubt() -> None:
    assert doubts_in(CLEAN) == {}


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"excluded": [LEFT_OUT]}, {"patients left out": 1}),
        ({"flags": {"W_AGE": 2, "W_SEX": 1}}, {"patients' flags": 3}),
        ({"annotations": {"files": 9, "E_XML_PARSE": 2}}, {"annotation files with a code": 2}),
        ({"download": {"incomplete": [{}]}}, {"incomplete series": 1}),
        ({"unknown_ids": {"files": 3, "studies": 1}}, {"images of no known patient": 3}),
        ({"files": {"E_NO_ACCESS": 1}}, {"files or folders that cannot be read": 1}),
    ],
)
def test_whatever_is_left_out_or_flagged_is_a_doubt(
    change: dict[str, Any], doubt: dict[str, int]
) -> None:
    assert doubts_in(CLEAN | change) == doubt


def test_people_read_reason_count_meaning_and_remedy() -> None:
    text = render(ingestion_table(CLEAN | {"excluded": [LEFT_OUT]}, MEANINGS, []), "table")
    (line,) = [line for line in text.splitlines() if line.startswith("A0003")]
    expected = ["A0003", "E_EMPTY", "24", "holds nothing", "Copy the files again."]
    assert re.split("  +", line) == expected
    assert re.search(r"^files +E_SOP_CLASS +300 +not CT", text, re.MULTILINE)
    assert "nothing" in text  # of doubts


def test_columns_of_the_sheet_are_counted_where_the_report_has_them() -> None:
    counts = {"header": "Age", "read": 20, "not_read": 3}
    report = CLEAN | {"clinical": {"columns": {"age_years": counts}}}
    assert "header Age, read 20, not read 3" in render(ingestion_table(report, {}, []), "table")


def test_json_is_the_whole_report_and_every_path() -> None:
    paths = [(f"{n}.dcm", "E_EMPTY") for n in range(60)]
    table = ingestion_table(CLEAN, MEANINGS, paths)
    found = json.loads(render(table, "json"))
    assert found["origin"] == "real"
    assert found["files"] == CLEAN["files"]
    assert len(found["set_aside"]) == 60
    text = render(table, "csv")
    assert "set aside,49.dcm,E_EMPTY,,holds nothing," in text
    assert "50.dcm" not in text
    assert "set aside,and others,,10," in text
