"""The row of headers: where it is, what it names, and what is said where it lacks a column."""

from __future__ import annotations

from typing import Any

import pytest

from mmcaf.data.ingest.sheet.headings import HEADERS, NoClinicalSheetError, find_heading
from mmcaf.data.ingest.sheet.table import Table
from mmcaf.errors import DataError

PUBLISHED = ["NewPatientID", "Sex", "Age", "weight (kg)", "T-Stage", "N-Stage", "Ｍ-Stage"]
PUBLISHED += ["Smoking History"]


def heading(*rows: list[Any]) -> Any:
    return find_heading(Table("s.csv", rows))


def changed(old: str, new: Any) -> list[Any]:
    return [new if header == old else header for header in PUBLISHED]


def test_the_published_headers_are_found() -> None:
    found = heading(PUBLISHED)
    assert (found.row, found.width) == (0, 8)
    assert list(found.places) == list(HEADERS)
    assert found.said["m_ord"] == "Ｍ-Stage"
    assert found.editions == {}


@pytest.mark.parametrize("column", HEADERS)
def test_every_accepted_header_names_its_column(column: str) -> None:
    place = list(HEADERS).index(column)
    for header in HEADERS[column]:
        row = [*PUBLISHED]
        row[place] = f" {header.upper()}\n"
        assert heading(row).places[column] == place


@pytest.mark.parametrize("above", [1, 9])
def test_titles_may_stand_above(above: int) -> None:
    rows = [["A title of 2020", None]] * above
    assert heading(*rows, PUBLISHED, ["A0001", "M"]).row == above


def test_the_eleventh_row_is_too_far_down() -> None:
    with pytest.raises(NoClinicalSheetError, match="none of its first 10 rows holds the headers"):
        heading(*[["title"]] * 10, PUBLISHED)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Age", "Age (months)", r"'Age \(months\)' is not read as age in years"),
        ("weight (kg)", "Weight [lb]", r"'Weight \[lb\]' is not read as weight in kg"),
        ("Age", "birth", r"age in years \(Age, Age \(years\)"),
        ("T-Stage", "T2", r"T stage \(T-Stage, T, cT, pT"),
        ("NewPatientID", "Nr", r"the patient's id \(NewPatientID, Patient ID"),
        ("Sex", 5, r"Not found, with the headers accepted: sex \(Sex, Gender"),
    ],
)
def test_what_is_lacking_is_told_in_the_sheets_own_words(old: str, new: Any, said: str) -> None:
    with pytest.raises(NoClinicalSheetError, match=said) as caught:
        heading(["title"], changed(old, new))
    assert "row 2 was taken as the header: " in str(caught.value)
    assert "_ord" not in str(caught.value)
    assert caught.value.found == 7


def test_a_sheet_without_headers_shows_no_patient() -> None:
    with pytest.raises(NoClinicalSheetError) as caught:
        heading([1, "A0007", "M", 58, 65, "2b"], [2, "A0008", "M", 59, 65, "2b"])
    assert "A0007" not in str(caught.value)
    assert "58" not in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [("T-Stage", "cT"), ("Age", "Age (years)")])
def test_two_headers_of_one_column_are_both_named(one: str, other: str) -> None:
    with pytest.raises(DataError, match="twice") as caught:
        heading([*PUBLISHED, other])
    assert repr(one) in str(caught.value)
    assert repr(other) in str(caught.value)


@pytest.mark.parametrize(
    ("header", "edition"),
    [("T-Stage (AJCC 7th edition)", 7), ("T stage, UICC 8th ed.", 8), ("cT (7th)", 7)],
)
def test_a_header_may_name_the_edition(header: str, edition: int) -> None:
    assert heading(changed("T-Stage", header)).editions == {"t_ord": edition}


def test_no_edition_makes_a_header_of_another_column() -> None:
    with pytest.raises(NoClinicalSheetError):
        heading(changed("Age", "Age 8"))


def test_an_empty_table_lacks_everything() -> None:
    with pytest.raises(NoClinicalSheetError, match="the patient's id"):
        heading()
