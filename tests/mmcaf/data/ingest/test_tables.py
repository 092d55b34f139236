"""Annotations and the clinical sheet: dirt that is read, hostility that is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mmcaf.data.ingest.annotations import read_annotations
from mmcaf.data.ingest.clinical import read_sheet
from mmcaf.data.synthetic.write import write_sheet
from mmcaf.errors import DataError

HEADERS = ("NewPatientID", "Sex", "Age", "weight (kg)", "T-Stage", "N-Stage", "Ｍ-Stage")
UID = "1.2.3.4.5.6.7.8"
BOX = (
    "<annotation><object><name>{name}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>"
    "<xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object></annotation>"
)


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


def read(folder: Path, text: str, name: str = UID) -> tuple[list[tuple[object, ...]], str | None]:
    path = folder / f"{name}.xml"
    path.write_text(text, encoding="utf-8")
    found = read_annotations({7: path})
    return found.boxes.rows(), found.reasons.get(7)


def test_a_box_is_read_with_its_slice(tmp_path: Path) -> None:
    assert read(tmp_path, BOX.format(1, 2, 30, 40, name="a")) == ([(UID, 1, 2, 30, 40)], None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOX.format(5, 5, 5, 9, name="A"), "W_BOX_EMPTY"),
        (BOX.format(1, 2, 3, "nan", name="A"), "E_XML_PARSE"),
        (BOX.format(1, 2, 3, "1e400", name="A"), "E_XML_PARSE"),
        ("<annotation/>", "W_BOX_EMPTY"),
        ("<annotation>", "E_XML_PARSE"),
        ("<?xml version='1.0' encoding='no-such'?><a/>", "E_XML_PARSE"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "E_XML_PARSE"),
        ("<a>" * 20_000, "E_XML_PARSE"),
        (" " * 70_000, "E_XML_SIZE"),
    ],
)
def test_an_annotation_without_a_box_has_a_reason(tmp_path: Path, text: str, reason: str) -> None:
    assert read(tmp_path, text) == ([], reason)


def test_a_copy_with_a_hundredth_of_a_pixel_is_one_box(tmp_path: Path) -> None:
    (tmp_path / "A0004").mkdir()
    first, second = tmp_path / f"{UID}.xml", tmp_path / "A0004" / f"{UID}.xml"
    first.write_text(BOX.format(1, 2, 30, 40, name="A"))
    second.write_text(BOX.format(1, 2.01, 30, 40, name="A"))
    found = read_annotations({0: first, 1: second})
    assert found.boxes.height == 1
    assert found.reasons == {1: "W_DUP_XML"}
