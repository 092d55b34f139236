"""Every file under a source, sorted, with what it may be; nothing is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmcaf.data.ingest.discovery import find_files
from mmcaf.data.ingest.rules import MAX_BYTES
from mmcaf.errors import DataError


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_come_in_the_order_of_their_paths_with_size_and_time(tmp_path: Path) -> None:
    for name in ("b/2", "b/10", "a", "c/deep/1"):
        put(tmp_path / name, name)
    os.utime(tmp_path / "a", ns=(5, 7))
    found = find_files(tmp_path, 3)
    assert [file.path for file in found] == ["a", "b/10", "b/2", "c/deep/1"]
    assert {file.source for file in found} == {3}
    assert (found[0].bytes, found[0].mtime_ns, found[0].reason) == (1, 7, None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("1.dcm", "image"),
        ("without-ending", "image"),
        ("1.2.3.XML", "annotation"),
        ("statistics-clinical-20201221.xlsx", "sheet"),
        ("other.xlsx", "image"),
        ("clinical.xls", "image"),
        ("sub/metadata.csv", "download_list"),
        ("sub/METADATA.CSV", "download_list"),
        ("my-metadata.csv", "image"),
        ("clinical/1.dcm", "image"),
    ],
)
def test_a_kind_goes_by_the_name(tmp_path: Path, name: str, kind: str) -> None:
    put(tmp_path / name)
    (found,) = find_files(tmp_path)
    assert found.kind == kind


def test_a_link_inside_is_followed_and_one_that_leads_out_is_not(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", put(tmp_path / "secret", "12345")
    inside = put(source / "real", "123")
    (source / "in").symlink_to(inside)
    (source / "out").symlink_to(outside)
    (source / "gone").symlink_to(source / "nowhere")
    (source / "folder").symlink_to(tmp_path)
    found = {file.path: file for file in find_files(source)}
    assert (found["in"].bytes, found["in"].reason) == (3, None)
    for name in ("out", "gone", "folder"):
        assert (found[name].bytes, found[name].reason) == (0, "E_SYMLINK")
    assert len(found) == 5  # nothing of the linked folder


def test_a_neighbour_whose_name_begins_the_same_is_outside(tmp_path: Path) -> None:
    other = put(tmp_path / "source-2" / "file")
    source = tmp_path / "source"
    put(source / "own")
    (source / "link").symlink_to(other)
    assert {f.path: f.reason for f in find_files(source)} == {"link": "E_SYMLINK", "own": None}


def test_a_source_that_is_a_link_itself_is_looked_through(tmp_path: Path) -> None:
    put(tmp_path / "real" / "a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [file.path for file in find_files(tmp_path / "link")] == ["a"]


def test_a_pipe_is_listed_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (found,) = find_files(tmp_path)
    assert found.reason == "E_NOT_REGULAR"


def test_64_mib_are_read_and_a_byte_more_is_not(tmp_path: Path) -> None:
    for name, size in (("most", MAX_BYTES), ("more", MAX_BYTES + 1)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert {f.path: f.reason for f in find_files(tmp_path)} == {"more": "E_TOO_LARGE", "most": None}


def test_the_folder_that_is_written_is_left_out(tmp_path: Path) -> None:
    put(tmp_path / "data" / "a")
    put(tmp_path / "out" / "b")
    found = find_files(tmp_path, without=tmp_path / "data" / ".." / "out")
    assert [file.path for file in found] == ["data/a"]


def test_no_folder_and_no_files_are_told_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"No folder {tmp_path}/none"):
        find_files(tmp_path / "none")
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no files"):
        find_files(tmp_path / "empty")
    with pytest.raises(DataError, match="No folder"):
        find_files(put(tmp_path / "file"))
