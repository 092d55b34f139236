"""The clinical sheet: dirt that is read, hostility that is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mmcaf.data.ingest.clinical import read_sheet
from mmcaf.data.synthetic.write import write_sheet
from mmcaf.errors import DataError

HEADERS = ("NewPatientID", "Sex", "Age", "weight (kg)", "T-Stage", "N-Stage", "Ｍ-Stage")


def sheet(folder: Path, *rows: tuple[object, ...]) -> Path:
    path = folder / "clinical.xlsx"
    named = [dict(zip((*HEADERS, "Smoking History"), row, strict=True)) for row in rows]
    write_sheet(path, named)
    return path


def test_stages_are_ordinals_and_impossible_ones_missing(tmp_path: Path) -> None:
    path = sheet(
        tmp_path,
        ("A0001", "M", 58, 65, "2b", 3, "1b", 1),
        ("A0002", "F", 53.0, None, 2, "0", 0, 0),
        ("A0003", " f ", "unknown", 900, "is", 4, "3", None),
    )
    first, second, third = read_sheet(path).rows(named=True)
    assert (first["t_ord"], first["n_ord"], first["m_ord"], first["m_raw"]) == (5, 3, 2, "1b")
    assert (second["t_ord"], second["m_ord"], second["weight_kg"]) == (4.5, 0, None)
    assert (third["t_ord"], third["n_ord"], third["m_ord"]) == (0, None, None)
    assert (third["sex"], third["age_years"], third["weight_kg"], third["smoker"]) == (
        0,
        None,
        None,
        -1,
    )
    assert [row["stage_invalid"] for row in (first, second, third)] == [False, False, True]


def test_a_merged_patient_goes_by_the_id_of_the_images(tmp_path: Path) -> None:
    path = sheet(tmp_path, ("A0266", "M", 58, 65, "2b", 3, "1b", 1))
    assert read_sheet(path)["patient_id"].to_list() == ["A0251"]


def test_a_sheet_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No clinical sheet .*nowhere\.xlsx"):
        read_sheet(tmp_path / "nowhere.xlsx")


def test_lacking_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clinical.xlsx"
    write_sheet(path, [{"NewPatientID": "A0001", "Sex": "M"}])
    with pytest.raises(DataError, match=r"lacks the columns age_years, m_ord, n_ord, smoker"):
        read_sheet(path)


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    path = sheet(tmp_path, ("A0001", "M", 58, 65, "2b", 3, "1b", 1))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image.bin", bytes(100 * 2**20))
    assert path.stat().st_size < 200_000
    with pytest.raises(DataError, match="would unpack to"):
        read_sheet(path)


def test_an_xml_bomb_inside_a_sheet_is_refused(tmp_path: Path) -> None:
    path = sheet(tmp_path, ("A0001", "M", 58, 65, "2b", 3, "1b", 1))
    hostile = tmp_path / "hostile.xlsx"
    entities = "".join(
        f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x" * 10}">' for i in range(9)
    )
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(hostile, "w") as bad:
        for part in good.namelist():
            content = good.read(part)
            if part == "xl/workbook.xml":
                text = content.decode().replace("Sheet1", "&e8;")
                start = text.index("<workbook")
                content = f"<!DOCTYPE workbook [{entities}]>{text[start:]}".encode()
            bad.writestr(part, content)
    with pytest.raises(DataError, match="Cannot read the clinical sheet"):
        read_sheet(hostile)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"text"])
def test_what_is_no_spreadsheet_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clinical.xlsx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"Cannot read the clinical sheet clinical\.xlsx"):
        read_sheet(path)
