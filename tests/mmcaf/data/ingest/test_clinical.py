"""Patients of the clinical sheets: read, missing with a word, or empty, and never a guess."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.clinical import Clinical, read_sheets
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SHEET_NAME, write_sheet
from mmcaf.errors import DataError

HEADERS = ["No.", "NewPatientID", "Sex", "Age", "weight (kg)", "T-Stage", "N-Stage", "Ｍ-Stage"]
HEADERS += ["Smoking History"]
PLAIN = [1, "A0001", "M", 58, 65, "2b", 3, "1b", 1]
OTHER = [2, "A0002", "F", 53, 55, 2, 0, 0, 0]
COLUMNS = ["sex", "age_years", "weight_kg", "t_ord", "n_ord", "m_ord", "smoker"]


def changed(row: list[Any], **cells: Any) -> list[Any]:
    """A row with other cells, by their columns (`sex=...`), or `patient_id`."""
    return [
        *row[:1],
        *(cells.get(n, c) for n, c in zip(["patient_id", *COLUMNS], row[1:], strict=True)),
    ]


def xlsx(folder: Path, *rows: list[Any], name: str = "clinical.xlsx") -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(folder / name)
    return folder / name


def text(folder: Path, *rows: list[Any], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    path = folder / "clinical.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def values(found: Clinical, patient: str = "A0001") -> list[Any]:
    row = found.patients.row(by_predicate=pl.col("patient_id") == patient, named=True)
    return [row[column] for column in COLUMNS]


def flags(found: Clinical, patient: str = "A0001") -> list[str]:
    row = found.patients.row(by_predicate=pl.col("patient_id") == patient, named=True)
    return [*row["sheet_flags"]]


READ = [1, 58.0, 65.0, 5.0, 3.0, 2.0, 1]


def test_a_plain_sheet_has_no_doubts(tmp_path: Path) -> None:
    found = read_sheets([xlsx(tmp_path, HEADERS, PLAIN, OTHER)])
    assert values(found) == READ
    assert values(found, "A0002") == [0, 53, 55, 4.5, 0, 0, 0]
    assert found.patients["t_raw"].to_list() == ["2b", "2"]
    assert [flags(found), flags(found, "A0002")] == [[], []]
    assert (found.told["doubtful"], found.told["rows_without_patient"]) == ([], [])
    assert found.told["columns"]["age_years"] == {
        "header": "Age",
        "read": 2,
        **dict.fromkeys(("empty", "unreadable", "unknown", "off_scale", "contradicting"), 0),
    }


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"age_years": "58 months"}, "W_CELL"),
        ({"sex": "H"}, "W_CELL"),
        ({"smoker": "non-smoker"}, "W_CELL"),
        ({"weight_kg": "143 lb"}, "W_CELL"),
        ({"weight_kg": 900}, "W_CELL"),
        ({"t_ord": "TX"}, "W_UNKNOWN"),
        ({"age_years": "n/a"}, "W_UNKNOWN"),
        ({"m_ord": "3"}, "W_STAGE"),
        ({"n_ord": 4}, "W_STAGE"),
    ],
)
def test_a_cell_without_a_value_is_flagged_and_counted(
    tmp_path: Path, cells: dict[str, Any], code: str
) -> None:
    ((column, _),) = cells.items()
    found = read_sheets([xlsx(tmp_path, HEADERS, changed(PLAIN, **cells), OTHER)])
    wanted = dict(zip(COLUMNS, READ, strict=True))
    wanted[column] = -1 if column in ("sex", "smoker") else None
    assert values(found) == [*wanted.values()]
    assert (flags(found), flags(found, "A0002")) == ([code], [])
    kind = {"W_CELL": "unreadable", "W_UNKNOWN": "unknown", "W_STAGE": "off_scale"}[code]
    assert found.told["columns"][column][kind] == 1
    assert found.told["doubtful"] == [{"patient_id": "A0001", kind: [column]}]


def test_an_empty_cell_is_missing_without_a_flag(tmp_path: Path) -> None:
    rows = changed(PLAIN, age_years=None, sex=" ", t_ord=""), OTHER
    found = read_sheets([xlsx(tmp_path, HEADERS, *rows)])
    assert values(found) == [-1, None, 65, None, 3, 2, 1]
    assert flags(found) == []
    assert found.told["columns"]["sex"]["empty"] == 1


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("age_years", ("58 months", "53 months"), r"'Age' \(age in years; row 1 .*'99 months'"),
        ("sex", (0, 1), r"'Sex' .*2 cells hold '0', '1'\. Accepted are M, male"),
        ("smoker", ("unsure", "unsure"), r"'Smoking History' .*'unsure'"),
        ("weight_kg", ("143 lb", "121 lb"), r"'weight \(kg\)' .*'999 lb'.*no lb"),
        ("m_ord", ("2", "3"), "'Ｍ-Stage' .*'2', '3'"),
        ("t_ord", ("Smith, John", None), "1 cells hold a longer text"),
        ("patient_id", ("LUNG1-001", "LUNG1-002"), "'NewPatientID' .*Accepted are A0001"),
    ],
)
def test_a_column_of_which_nothing_is_readable_is_an_error(
    tmp_path: Path, column: str, cells: tuple[Any, Any], said: str
) -> None:
    rows = [changed(of, **{column: cell}) for of, cell in zip((PLAIN, OTHER), cells, strict=True)]
    with pytest.raises(DataError, match=said) as caught:
        read_sheets([xlsx(tmp_path, HEADERS, *rows)])
    assert "John" not in str(caught.value)
    assert "clinical.xlsx" in str(caught.value)


def test_a_column_that_nobody_knows_is_none(tmp_path: Path) -> None:
    rows = changed(PLAIN, m_ord="MX"), changed(OTHER, m_ord=None)
    found = read_sheets([xlsx(tmp_path, HEADERS, *rows)])
    assert (flags(found), flags(found, "A0002")) == (["W_UNKNOWN"], [])


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("apart", [True, False])
def test_contradicting_rows_are_not_settled_by_order(
    tmp_path: Path, order: int, apart: bool
) -> None:
    rows = [PLAIN, changed(PLAIN, age_years=60, t_ord="T2b")][::order]
    if apart:
        files = [xlsx(tmp_path, HEADERS, of, name=f"{n}.xlsx") for n, of in enumerate(rows)]
    else:
        files = [xlsx(tmp_path, HEADERS, *rows)]
    found = read_sheets(files)
    assert values(found) == [1, None, 65, 5, 3, 2, 1]
    assert flags(found) == ["W_SHEET_CONFLICT"]
    assert found.told["columns"]["age_years"]["contradicting"] == 1
    assert found.told["doubtful"] == [{"patient_id": "A0001", "contradicting": ["age_years"]}]


def test_equal_rows_are_one_and_halves_complete_each_other(tmp_path: Path) -> None:
    half = changed(PLAIN, age_years=None, sex=None)
    other = changed(PLAIN, weight_kg=None, patient_id="lung_dx-a0001 ", t_ord="cT2b", smoker="ex")
    found = read_sheets([xlsx(tmp_path, HEADERS, PLAIN, half, other)])
    assert (values(found), flags(found)) == (READ, [])
    assert found.patients.height == 1


def test_of_rows_at_odds_what_one_alone_says_is_not_believed(tmp_path: Path) -> None:
    """The second may be another patient's, with a wrong id."""
    rows = changed(PLAIN, age_years=None), changed(PLAIN, weight_kg=80)
    found = read_sheets([xlsx(tmp_path, HEADERS, *rows)])
    assert values(found) == [1, None, None, 5, 3, 2, 1]
    assert found.told["doubtful"][0]["contradicting"] == ["age_years", "weight_kg"]


def test_a_sub_stage_and_its_stage_are_two_statements(tmp_path: Path) -> None:
    """1b and 1 have one number."""
    found = read_sheets([xlsx(tmp_path, HEADERS, PLAIN, changed(PLAIN, m_ord=1))])
    assert flags(found) == ["W_SHEET_CONFLICT"]
    assert found.patients["m_raw"].to_list() == [None]


def test_a_merged_patient_goes_by_the_id_of_the_images(tmp_path: Path) -> None:
    found = read_sheets([xlsx(tmp_path, HEADERS, changed(PLAIN, patient_id="A0266"))])
    assert found.patients["patient_id"].to_list() == ["A0251"]


def test_rows_whose_patient_cannot_be_read_are_listed(tmp_path: Path) -> None:
    rows = ["a title"], changed(PLAIN, patient_id="A0007"), HEADERS, PLAIN, [None, None]
    odd = changed(OTHER, patient_id="A1"), changed(OTHER, patient_id=None), ["a footnote"]
    found = read_sheets([xlsx(tmp_path, *rows, *odd)])
    assert found.patients["patient_id"].to_list() == ["A0001"]
    places = [(of["sheet"], of["row"]) for of in found.told["rows_without_patient"]]
    assert places == [(1, 2), (1, 6), (1, 7), (1, 8)]
    assert found.told["sheets"][0]["header_row"] == 3
    assert "A0007" not in json.dumps(found.told)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_csv_says_what_the_workbook_says(tmp_path: Path, delimiter: str, encoding: str) -> None:
    rows = HEADERS, changed(PLAIN, weight_kg="65,5"), OTHER
    as_text = read_sheets([text(tmp_path, *rows, delimiter=delimiter, encoding=encoding)])
    assert as_text.patients.equals(read_sheets([xlsx(tmp_path, *rows)]).patients)
    assert values(as_text)[2] == 65.5


def test_a_row_with_a_comma_too_many_is_not_read_askew(tmp_path: Path) -> None:
    path = text(tmp_path, HEADERS, PLAIN, OTHER)
    path.write_text(path.read_text().replace("58,65,", "58,65,5,"))
    found = read_sheets([path])
    assert values(found) == [-1, None, None, None, None, None, -1]
    assert (flags(found), flags(found, "A0002")) == (["W_CELL"], [])
    path.write_text(path.read_text().replace("58,65,5,", "5865,"))
    assert flags(read_sheets([path])) == ["W_CELL"]


def test_empty_cells_behind_the_last_column_shift_nothing(tmp_path: Path) -> None:
    found = read_sheets([text(tmp_path, HEADERS, [*PLAIN, "", " "], OTHER)])
    assert (values(found), flags(found)) == (READ, [])


def test_the_worksheet_that_has_the_columns_is_read(tmp_path: Path) -> None:
    path = xlsx(tmp_path, ["Read me"], ["Sex", "of patients"])
    book = openpyxl.load_workbook(path)
    for title, rows in (("data", [HEADERS, PLAIN]), ("more", [HEADERS, PLAIN, OTHER])):
        book.create_sheet(title)
        for row in rows:
            book[title].append(row)
    book.save(path)
    found = read_sheets([path])
    assert (values(found), flags(found), found.patients.height) == (READ, [], 2)
    assert [of["worksheet"] for of in found.told["sheets"]] == [2, 3]


def test_of_worksheets_that_lack_columns_the_nearest_is_told(tmp_path: Path) -> None:
    path = xlsx(tmp_path, ["Read me"])
    book = openpyxl.load_workbook(path)
    book.create_sheet("data").append([*HEADERS[:-1], "Smoked cigars"])
    book.save(path)
    with pytest.raises(DataError, match="worksheet 2 lacks columns; row 1 was taken") as caught:
        read_sheets([path])
    assert "'Smoked cigars'" in str(caught.value)


def test_merged_cells_are_flagged(tmp_path: Path) -> None:
    path = xlsx(tmp_path, HEADERS, PLAIN, OTHER)
    book = openpyxl.load_workbook(path)
    book.worksheets[0].merge_cells("D2:D3")
    book.save(path)
    found = read_sheets([path])
    assert (flags(found), flags(found, "A0002")) == ([], ["W_CELL"])


def test_weights_without_a_unit_that_no_cohort_has_are_refused(tmp_path: Path) -> None:
    rows = [changed(PLAIN, patient_id=f"A000{n}", weight_kg=120 + 10 * n) for n in range(1, 7)]
    bare = [header if header != "weight (kg)" else "Weight" for header in HEADERS]
    with pytest.raises(DataError, match=r"'Weight' .*median is 155: .* seem to be in lb"):
        read_sheets([xlsx(tmp_path, bare, *rows)])
    assert read_sheets([xlsx(tmp_path, HEADERS, *rows)]).patients["weight_kg"].max() == 180
    assert read_sheets([xlsx(tmp_path, bare, *rows[:4])]).patients.height == 4


@pytest.mark.parametrize(
    ("header", "stage", "said", "value"),
    [
        ("T-Stage (7th)", "2b", "7, as the headers say", 6),
        ("T-Stage", "2b", "8 is assumed", 5),
        ("T-Stage", "1c", "8, as T1mi, T1c or M1c show", 3),
    ],
)
def test_the_edition_is_said(
    tmp_path: Path, header: str, stage: str, said: str, value: float
) -> None:
    headers = [header if of == "T-Stage" else of for of in HEADERS]
    found = read_sheets([xlsx(tmp_path, headers, changed(PLAIN, t_ord=stage))])
    assert found.told["edition"].startswith(said)
    assert values(found)[3] == value


def test_no_sheet_is_no_patient() -> None:
    found = read_sheets([])
    assert (found.patients.height, found.told["sheets"], found.set_aside) == (0, [], [])


def test_a_found_table_that_is_no_sheet_is_set_aside_beside_one(tmp_path: Path) -> None:
    good, bad = xlsx(tmp_path, HEADERS, PLAIN), text(tmp_path, ["name", "meaning"], ["a", "b"])
    found = read_sheets([bad, good], found=True)
    assert (values(found), found.set_aside) == (READ, [0])
    for given in (lambda: read_sheets([bad, good]), lambda: read_sheets([bad], found=True)):
        with pytest.raises(DataError, match=r"clinical\.csv lacks columns"):
            given()


def test_a_found_sheet_with_an_unreadable_column_is_never_set_aside(tmp_path: Path) -> None:
    bad = xlsx(tmp_path, HEADERS, changed(PLAIN, sex="?!"), name="bad.xlsx")
    twice = xlsx(tmp_path, [*HEADERS, "Gender"], PLAIN, name="twice.xlsx")
    for path, said in ((bad, "No value of the column 'Sex'"), (twice, "'Sex' and 'Gender'")):
        with pytest.raises(DataError, match=said):
            read_sheets([xlsx(tmp_path, HEADERS, PLAIN), path], found=True)


def sheet_of(tree: Path) -> list[dict[str, Any]]:
    head, *rows = (
        openpyxl.load_workbook(tree / SHEET_NAME).worksheets[0].iter_rows(values_only=True)
    )
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


@pytest.fixture
def tree(dicom_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dicom_folder, tmp_path / "tree"))


class TestOfATree:
    def test_dirty_cells_are_read_or_flagged(self, tree: Path, tmp_path: Path) -> None:
        """Staging sheets have T1c, cT2a, TX; some have units in cells, or dates by format."""
        cells = [
            ("T2a", "58 years", "65,5", "Female", "Yes", [0, 58, 65.5, 4, 1], None),
            ("cT1c", "058Y", "65 kg", "male", True, [1, 58, 65, 3, 1], None),
            ("Tx", 58, 65, "M ", "never", [1, None, 65, None, 0], {"W_CELL", "W_UNKNOWN"}),
            ("Tis", "５８", " 65 ", "女", 1.0, [0, 58, 65, 0, 1], None),
            ("1mi", "=50+8", 65.0, "m", "0.0", [1, None, 65, 0.5, 0], {"W_CELL"}),
            ("2 a", 58.4, "65.5", "F", "1", [0, 58.4, 65.5, 4, 1], None),
        ]
        rows = sheet_of(tree)
        for row, (t, age, weight, sex, smoker, *_) in zip(rows, cells, strict=False):
            row |= {"T-Stage": t, "Age": age, "weight (kg)": weight, "Sex": sex}
            row |= {"Smoking History": smoker}
        write_sheet(tree / SHEET_NAME, rows)
        book = openpyxl.load_workbook(tree / SHEET_NAME)
        book.worksheets[0].cell(4, 4).number_format = "yyyy-mm-dd"
        book.save(tree / SHEET_NAME)
        cohort = ingest([tree], tmp_path / "out", in_plane_px=48, workers=1)
        columns = ["sex", "age_years", "weight_kg", "t_ord", "smoker"]
        for row, (*_, wanted, codes) in zip(rows, cells, strict=False):
            found = cohort.patients.row(
                by_predicate=pl.col("patient_id") == row["NewPatientID"], named=True
            )
            assert [found[column] for column in columns] == wanted
            assert {*found["qc_flags"]} & {"W_CELL", "W_UNKNOWN", "W_STAGE"} == (codes or set())
        told = json.loads((tmp_path / "out" / "ingest_report.json").read_text())
        assert told["clinical"]["columns"]["age_years"]["unreadable"] == 2
        assert (told["flags"]["W_CELL"], told["flags"]["W_UNKNOWN"]) == (2, 1)

    def test_a_column_of_dates_is_refused_and_leaves_nothing(
        self, tree: Path, tmp_path: Path
    ) -> None:
        book = openpyxl.load_workbook(tree / SHEET_NAME)
        for row in range(2, book.worksheets[0].max_row + 1):
            book.worksheets[0].cell(row, 4).number_format = "dd/mm/yyyy"
            sex = book.worksheets[0].cell(row, 3)
            sex.value = {"M": "Male", "F": "Female"}[sex.value]
        book.save(tree / SHEET_NAME)
        with pytest.raises(DataError, match=r"'Age' .* hold a date or time"):
            ingest([tree], tmp_path / "out", in_plane_px=48, workers=1)
        assert not (tmp_path / "out").exists()

    def test_a_csv_in_the_place_of_the_workbook_gives_the_same_cohort(
        self, tree: Path, cohort: Cohort, tmp_path: Path
    ) -> None:
        rows = sheet_of(tree)
        (tree / SHEET_NAME).unlink()
        given = text(tmp_path, [*rows[0]], *([*row.values()] for row in rows), delimiter=";")
        first = ingest([tree], tmp_path / "a", sheet=given, in_plane_px=48, workers=1)
        shutil.copy(given, tree / "Clinical data.CSV")
        second = ingest([tree], tmp_path / "b", in_plane_px=48, workers=1)
        assert first.digest == second.digest == cohort.digest

    def test_a_table_that_is_no_sheet_is_a_row_with_a_code(
        self, tree: Path, cohort: Cohort, tmp_path: Path
    ) -> None:
        (tree / "clinical_dictionary.csv").write_text("name,meaning\nAge,years\n")
        found = ingest([tree], tmp_path / "out", in_plane_px=48, workers=1)
        assert found.digest == cohort.digest
        files = pl.read_parquet(tmp_path / "out" / "instances.parquet")
        coded = files.filter(pl.col("reason") == "E_SHEET")["path"].to_list()
        assert coded == ["clinical_dictionary.csv"]
        told = json.loads((tmp_path / "out" / "ingest_report.json").read_text())
        assert told["files"]["E_SHEET"] == 1

    def test_the_page_counts_cells_by_column(self, cohort: Cohort) -> None:
        page = (cohort.folder / "ingest_report.html").read_text(encoding="utf-8")
        assert "<h2>Cells of the clinical sheet</h2>" in page
        row = page[page.index("<td>age_years</td>") :].split("</tr>")[0]
        assert row.startswith('<td>age_years</td><td>Age</td><td class="n">11</td><td class="n">1<')
