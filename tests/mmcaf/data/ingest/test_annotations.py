"""Annotations: each box as it is written, or a code; hostility is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcaf.data.ingest.annotations import Annotations, box_flags, match, read_annotations

UID, OTHER = "1.2.3.4.5.6.7.8", "1.2.3.4.5.6.7.9"
SIZE = (64, 48)  # columns, rows
BOX = (
    "<annotation><object><name>{name}</name><bndbox><xmin>{0}</xmin><ymin>{1}</ymin>"
    "<xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object></annotation>"
)


def box(*corners: object, name: str = "A") -> str:
    return BOX.format(*corners, name=name)


def with_size(width: object, height: object) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>1</depth></size>"
    return box(1, 2, 30, 40).replace("<object>", f"{size}<object>", 1)


def read(folder: Path, text: str, name: str = UID) -> tuple[list[tuple[object, ...]], str | None]:
    path = folder / f"{name}.xml"
    path.write_text(text, encoding="utf-8")
    found = read_annotations({7: path}, {UID: SIZE})
    return found.boxes.rows(), found.reasons.get(7)


@pytest.mark.parametrize(
    "corners", [(1, 2, 30, 40), (0, 0, 64, 48), (1.25, 2, 30.04, 40), ("+1", " 2 ", "30.", 40)]
)
def test_a_box_is_read_exactly_as_it_is_written(tmp_path: Path, corners: tuple[object]) -> None:
    expected = (UID, *(float(str(corner)) for corner in corners))
    assert read(tmp_path, box(*corners, name="a")) == ([expected], None)


def test_without_the_size_of_the_slice_nothing_is_cut(tmp_path: Path) -> None:
    path = tmp_path / f"{UID}.xml"
    path.write_text(box(1, 2, 300, 400))
    assert read_annotations({0: path}).boxes.rows() == [(UID, 1, 2, 300, 400)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (box(5, 5, 5, 9), "W_BOX_EMPTY"),
        (box(5, 5, 5, 5), "W_BOX_EMPTY"),
        ("<annotation/>", "W_BOX_EMPTY"),
        (box(30, 2, 1, 40), "W_BOX_SWAPPED"),
        (box(1, 40, 30, 2), "W_BOX_SWAPPED"),
        (box(64, 2, 90, 40), "W_BOX_OUTSIDE"),
        (box(1, 48, 30, 60), "W_BOX_OUTSIDE"),
        (box(-30, 2, -1, 40), "W_BOX_OUTSIDE"),
        (box(1, -40, 30, 0), "W_BOX_OUTSIDE"),
        (box(1, 2, 3, "nan"), "E_XML_NUMBER"),
        (box(1, 2, 3, "inf"), "E_XML_NUMBER"),
        (box(1, 2, 3, "1e400"), "E_XML_NUMBER"),
        (box(1, 2, "12,5", 40), "E_XML_NUMBER"),
        (box(1, 2, "1_0", 40), "E_XML_NUMBER"),
        (box(1, 2, "３０", 40), "E_XML_NUMBER"),
        (box(1, 2, "", 40), "E_XML_NUMBER"),
        (box(1, 2, "0x10", 40), "E_XML_NUMBER"),
        (box(1, 2, 10**9, 40), "E_XML_NUMBER"),
        (box(1, 2, "30</xmax><xmax>20", 40), "E_XML_NUMBER"),
        (box(1, 2, 30, 40).replace("ymax", "y"), "E_XML_NUMBER"),
        ("<annotation>", "E_XML_PARSE"),
        ("<?xml version='1.0' encoding='no-such'?><a/>", "E_XML_PARSE"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "E_XML_PARSE"),
        ("<a>" * 20_000, "E_XML_PARSE"),
        (" " * 70_000, "E_XML_SIZE"),
    ],
)
def test_an_annotation_without_a_box_has_a_reason(tmp_path: Path, text: str, reason: str) -> None:
    assert read(tmp_path, text) == ([], reason)


@pytest.mark.parametrize(
    ("corners", "cut"),
    [
        ((-5, 2, 30, 40), (0, 2, 30, 40)),
        ((1, 2, 64.5, 40), (1, 2, 64, 40)),
        ((-5, -5, 900, 900), (0, 0, 64, 48)),
    ],
)
def test_a_box_over_the_border_is_cut_with_a_code(
    tmp_path: Path, corners: tuple[object, ...], cut: tuple[object, ...]
) -> None:
    assert read(tmp_path, box(*corners)) == ([(UID, *cut)], "W_BOX_CLIPPED")


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (64, 48, None),
        (48, 64, "W_BOX_SIZE"),
        (64, 49, "W_BOX_SIZE"),
        (512, 512, "W_BOX_SIZE"),
        (0, 0, None),  # what programs write that do not know it
        ("", "", None),
    ],
)
def test_another_size_than_the_slices_is_told_and_the_box_stays(
    tmp_path: Path, width: object, height: object, reason: str | None
) -> None:
    assert read(tmp_path, with_size(width, height)) == ([(UID, 1, 2, 30, 40)], reason)


def test_one_bad_box_beside_a_good_one_leaves_the_good_one(tmp_path: Path) -> None:
    for bad, reason in (((5, 5, 5, 9), "W_BOX_EMPTY"), ((70, 1, 80, 9), "W_BOX_OUTSIDE")):
        text = box(1, 2, 30, 40).replace("</annotation>", "") + box(*bad)[len("<annotation>") :]
        assert read(tmp_path, text) == ([(UID, 1, 2, 30, 40)], reason)


def test_a_lesion_without_a_box_is_told(tmp_path: Path) -> None:
    text = box(1, 2, 30, 40).replace(
        "</annotation>", "<object><name>A</name></object></annotation>"
    )
    assert read(tmp_path, text) == ([(UID, 1, 2, 30, 40)], "W_BOX_EMPTY")


@pytest.mark.parametrize("name", ["lesion", "1.2.3", f"{UID} (1)", f"._{UID}"])
def test_a_name_that_is_no_uid_is_told(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, box(1, 2, 30, 40), name) == ([], "E_XML_NAME")


def test_a_file_that_is_gone_is_no_broken_xml(tmp_path: Path) -> None:
    found = read_annotations({0: tmp_path / f"{UID}.xml"})
    assert found.reasons == {0: "E_UNREADABLE"}


def two(folder: Path, first: str, second: str) -> Annotations:
    (folder / "A0004").mkdir()
    paths = folder / f"{UID}.xml", folder / "A0004" / f"{UID}.xml"
    for path, text in zip(paths, (first, second), strict=True):
        path.write_text(text)
    return read_annotations(dict(enumerate(paths)), {UID: SIZE})


def test_a_copy_with_a_hundredth_of_a_pixel_is_one_box(tmp_path: Path) -> None:
    found = two(tmp_path, box(1, 2, 30, 40), box(1, 2.01, 30, 40))
    assert found.boxes.rows() == [(UID, 1, 2, 30, 40)]
    assert found.reasons == {1: "W_DUP_XML"}


def test_other_boxes_of_the_same_slice_all_count_and_are_told(tmp_path: Path) -> None:
    found = two(tmp_path, box(1, 2, 30, 40), box(1, 2, 33, 40))
    assert found.boxes.height == 2
    assert found.reasons == {1: "W_SECOND_XML"}


@pytest.mark.parametrize(
    ("folder", "slice_", "code"),
    [
        ("A0003", ("A0003", True), None),
        ("lung_dx-a0003", ("A0003", True), None),
        ("boxes", ("A0003", True), None),
        ("A0004", ("A0003", True), "W_FOLDER_SHIFT"),
        ("A0266", ("A0251", True), "W_ALIAS"),
        ("A0003", ("A0003", False), "W_ON_UNUSABLE"),
        ("A0003", None, "W_NO_SLICE"),
    ],
)
def test_a_file_is_matched_by_uid(
    tmp_path: Path, folder: str, slice_: tuple[str, bool] | None, code: str | None
) -> None:
    path = tmp_path / f"{UID}.xml"
    path.write_text(box(1, 2, 30, 40))
    slices = {UID: slice_} if slice_ else {}
    assert match(read_annotations({5: path}), {5: folder}, slices).get(5) == code


def test_a_fault_of_the_file_goes_before_that_of_its_place(tmp_path: Path) -> None:
    path = tmp_path / f"{UID}.xml"
    path.write_text("<")
    assert match(read_annotations({5: path}), {5: "A0004"}, {}) == {5: "E_XML_PARSE"}


def test_a_patient_is_flagged_for_boxes_of_the_chosen_series_alone() -> None:
    uids = {0: UID, 1: OTHER, 2: "1.9.9.9.9.9.9.9", 3: UID}
    codes = {0: "W_BOX_OUTSIDE", 1: "W_ON_UNUSABLE", 2: "W_BOX_SIZE", 3: "W_DUP_XML"}
    assert box_flags(codes, uids, [UID], [OTHER]) == ["W_BOX_LOST", "W_BOX_OUTSIDE"]
    assert box_flags(codes, uids, [UID], []) == ["W_BOX_OUTSIDE"]
    assert box_flags({0: "E_XML_NUMBER"}, uids, [UID], []) == ["W_BOX_LOST"]
    assert box_flags({1: "W_NO_SLICE"}, uids, [UID], []) == []
