"""Annotations: dirt that is read, hostility that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcaf.data.ingest.annotations import read_annotations

UID = "1.2.3.4.5.6.7.8"
BOX = (
    "<annotation><object><name>{name}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>"
    "<xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object></annotation>"
)


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
