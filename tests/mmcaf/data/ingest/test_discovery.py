"""Every file under a source, sorted, with what it may be; nothing is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmcaf.data.ingest.discovery import find_files, located
from mmcaf.data.ingest.rules import MAX_BYTES
from mmcaf.errors import DataError
from support.rights import open_folder, ordinary_user


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def reasons(source: Path) -> dict[str, str | None]:
    return {file.path: file.reason for file in find_files(source)}


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


@pytest.mark.parametrize(
    "name",
    [
        "._1-01.dcm",
        "._statistics-clinical-20201221.xlsx",
        "~$statistics-clinical-20201221.xlsx",
        ".~lock.clinical.xlsx#",
        "A0001/._1.2.3.4.5.6.7.8.xml",
        ".DS_Store",
        "Thumbs.db",
        "Desktop.ini",
        "DICOMDIR",
        ".nfs000000000001",
        "__MACOSX/clinical.xlsx",
        ".AppleDouble/1-01.dcm",
        "@eaDir/1.2.3.4.5.6.7.8.xml",
        "$RECYCLE.BIN/clinical.xlsx",
        ".Trash-1000/files/1-01.dcm",
    ],
)
def test_what_other_programs_leave_is_set_aside_whatever_it_is_named_like(
    tmp_path: Path, name: str
) -> None:
    put(tmp_path / name)
    put(tmp_path / "1-01.dcm")
    found = {file.path: (file.kind, file.reason) for file in find_files(tmp_path)}
    assert found == {name: ("companion", "E_COMPANION"), "1-01.dcm": ("image", None)}


@pytest.mark.parametrize("name", ["_.dcm", "dicomdir.dcm", "thumbs/1.dcm", "a~$b", "1._"])
def test_a_name_that_only_resembles_a_companion_is_none(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    assert reasons(tmp_path) == {name: None}


def test_files_and_folders_that_hold_nothing_are_listed(tmp_path: Path) -> None:
    put(tmp_path / "0.dcm", "")
    put(tmp_path / "clinical.xlsx", "")
    (tmp_path / "Lung_Dx-A9007" / "study").mkdir(parents=True)
    put(tmp_path / "1.dcm")
    empty = dict.fromkeys(("0.dcm", "clinical.xlsx", "Lung_Dx-A9007/study"), "E_EMPTY")
    assert reasons(tmp_path) == empty | {"1.dcm": None}


@pytest.mark.parametrize(
    "name",
    [
        b"\xb2\xa1\xc0\xfd-03.dcm",  # GBK
        b"Gr\xf6\xdfe/1.dcm",  # Latin-1, a folder
        b"a\\xb2",  # what an escape looks like
        b"a\\x5cxb2\xb2",
        b"\\\xb2\\x\xb2",
        b"back\\slash",
        b"line\nbreak",
    ],
)
def test_a_file_is_found_by_its_listed_name_whatever_its_encoding(
    tmp_path: Path, name: bytes
) -> None:
    path = put(tmp_path / os.fsdecode(name), "content")
    (found,) = find_files(tmp_path)
    assert found.path.encode()
    assert found.reason is None
    assert located(tmp_path, found.path) == path
    assert located(tmp_path, found.path).read_text() == "content"


def test_two_names_are_never_listed_as_one(tmp_path: Path) -> None:
    for name in (b"a\xb2", b"a\\xb2", b"a\\x5cxb2"):
        put(tmp_path / os.fsdecode(name))
    assert len(reasons(tmp_path)) == 3


def test_what_may_not_be_read_is_listed_and_stops_nothing() -> None:
    with open_folder() as folder:
        put(folder / "A9001" / "1.dcm")
        put(folder / "A9002" / "deep" / "1.dcm")
        put(folder / "A9003" / "1.dcm")
        (folder / "A9002").chmod(0)
        (folder / "A9003").chmod(0o600)  # root's: its names are hidden from nobody
        put(folder / "closed.dcm").chmod(0)
        with ordinary_user():
            found = reasons(folder)
    assert found == {
        "A9001/1.dcm": None,
        "A9002": "E_NO_ACCESS",
        "A9003": "E_NO_ACCESS",
        "closed.dcm": "E_NO_ACCESS",
    }


def test_a_folder_that_shows_names_only_has_each_listed() -> None:
    with open_folder() as folder:
        put(folder / "A9003" / "1.dcm")
        (folder / "A9003").chmod(0o744)  # may be listed, not searched
        with ordinary_user():
            assert reasons(folder) == {"A9003/1.dcm": "E_NO_ACCESS"}


def test_a_source_that_may_not_be_read_is_told_with_its_path() -> None:
    with open_folder() as folder:
        put(folder / "data" / "1.dcm")
        (folder / "data").chmod(0)
        with ordinary_user():
            with pytest.raises(DataError, match=f"{folder}/data cannot be read"):
                find_files(folder / "data")
            with pytest.raises(DataError, match=f"look into {folder}/data/inner"):
                find_files(folder / "data" / "inner")


def test_links_in_a_circle_and_deep_folders_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    (tmp_path / "self").symlink_to(tmp_path)
    put(tmp_path / "1.dcm")
    folders = [Path(tmp_path, *["d"] * depth) for depth in range(1, 1501)]
    for folder in folders:  # deeper than Python recurses
        folder.mkdir()
    put(folders[-1] / "2.dcm")
    found = reasons(tmp_path)
    (folders[-1] / "2.dcm").unlink()
    for folder in reversed(folders):  # pytest would recurse
        folder.rmdir()
    assert found.pop("d/" * 1500 + "2.dcm") is None
    assert found == {"one": "E_SYMLINK", "two": "E_SYMLINK", "self": "E_SYMLINK", "1.dcm": None}


def test_folders_whose_path_is_too_long_are_listed(tmp_path: Path) -> None:
    put(tmp_path / "1.dcm")
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(25):  # 25 * 200 is more than the 4096 that a path may have
            os.mkdir("n" * 200, dir_fd=here)
            inner = os.open("n" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    found = reasons(tmp_path)
    assert found.pop("1.dcm") is None
    assert set(found.values()) == {"E_NO_ACCESS"}
