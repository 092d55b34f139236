"""Every file a row; what was read once is not read again; copies and contradictions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import polars as pl
import pytest
from pydicom import dcmread

from mmcaf.data.ingest import index
from mmcaf.data.ingest.index import INSTANCES, scan, write_table
from mmcaf.errors import DataError


@pytest.fixture
def tree(dicom_folder: Path, tmp_path: Path) -> Path:
    """Four slices of one patient, and a text."""
    folder = tmp_path / "tree"
    folder.mkdir()
    for at, path in enumerate(sorted(dicom_folder.rglob("*.dcm"))[:4]):
        shutil.copy(path, folder / f"{at}.dcm")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The headers that are read, in order."""
    seen: list[str] = []
    real = index.read_header

    def noted(path: Path, name: str) -> dict[str, object]:
        seen.append(name)
        return real(path, name)

    monkeypatch.setattr(index, "read_header", noted)
    return seen


def reasons(rows: pl.DataFrame) -> dict[str, str | None]:
    return dict(rows.select("path", "reason").iter_rows())


def test_a_row_per_file_in_the_order_of_sources_and_paths(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "1.2.3.xml").write_text("<annotation/>")
    rows = scan([tree, other])
    assert dict(rows.schema) == INSTANCES
    assert rows.select("source", "path", "kind").rows() == [
        *((0, f"{n}.dcm", "image") for n in range(4)),
        (0, "notes.txt", "image"),
        (1, "1.2.3.xml", "annotation"),
    ]
    assert reasons(rows) == dict.fromkeys([f"{n}.dcm" for n in range(4)]) | {
        "notes.txt": "E_NOT_DICOM",
        "1.2.3.xml": None,
    }
    assert rows["bytes"].to_list() == [
        (folder / path).stat().st_size
        for folder, path in zip([tree] * 5 + [other], rows["path"], strict=True)
    ]


def test_a_header_is_what_the_file_says(tree: Path) -> None:
    row = scan([tree]).row(1, named=True)
    said = dcmread(tree / "1.dcm")
    assert row["sop_uid"] == said.SOPInstanceUID
    assert row["position_mm"] == [float(x) for x in said.ImagePositionPatient]
    assert (row["rows"], row["columns"]) == (said.Rows, said.Columns)


def test_what_was_kept_is_not_read_again(tree: Path, tmp_path: Path, reads: list[str]) -> None:
    out = tmp_path / "out"
    first = scan([tree], out=out)
    write_table(out / "instances.parquet", first)
    assert len(reads) == 5
    reads.clear()
    assert scan([tree], out=out).equals(first)
    assert reads == []


def test_a_file_whose_time_or_size_changed_is_read_again(
    tree: Path, tmp_path: Path, reads: list[str]
) -> None:
    out = tmp_path / "out"
    write_table(out / "instances.parquet", scan([tree], out=out))
    reads.clear()
    os.utime(tree / "2.dcm", ns=(1, 1))
    with (tree / "3.dcm").open("ab") as file:
        file.write(b"\0\0")
    scan([tree], out=out)
    assert reads == ["2.dcm", "3.dcm"]


@pytest.mark.parametrize("damage", ["cut", "columns"])
def test_a_kept_table_that_cannot_be_used_is_read_anew(
    tree: Path, tmp_path: Path, reads: list[str], damage: str
) -> None:
    out = tmp_path / "out"
    first = scan([tree], out=out)
    path = out / "instances.parquet"
    write_table(path, first.drop("position_mm") if damage == "columns" else first)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    reads.clear()
    assert scan([tree], out=out).equals(first)
    assert len(reads) == 5


def test_an_unfinished_scan_goes_on_from_its_parts(
    tree: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_MANY", 1)
    monkeypatch.setattr(index, "_CHUNK", 2)
    monkeypatch.setattr(index, "_PART", 1)
    out = tmp_path / "out"

    def stop(what: str, done: int, of: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan([tree], out=out, progress=stop)
    assert len(list((out / "index").glob("*.parquet"))) == 2
    reads.clear()
    done = scan([tree], out=out)
    assert reads == ["notes.txt"]
    assert done.equals(scan([tree]))


def test_progress_is_told_as_files_are_done(tree: Path) -> None:
    told: list[tuple[str, int, int]] = []
    scan([tree], progress=lambda *one: told.append(one))
    assert told == [("headers", 5, 5)]


def test_of_copies_the_first_stays(tree: Path) -> None:
    shutil.copy(tree / "2.dcm", tree / "a-copy.dcm")
    shutil.copy(tree / "2.dcm", tree / "0-copy.dcm")
    found = reasons(scan([tree]))
    assert found["0-copy.dcm"] is None
    assert found["2.dcm"] == found["a-copy.dcm"] == "E_DUP_SOP"


def test_one_uid_with_two_contents_is_trusted_in_neither(tree: Path) -> None:
    content = bytearray((tree / "2.dcm").read_bytes())
    content[-1] ^= 1
    (tree / "other.dcm").write_bytes(content)
    found = reasons(scan([tree]))
    assert found["2.dcm"] == found["other.dcm"] == "E_DUP_SOP_CONFLICT"
    assert found["1.dcm"] is None


def test_a_verdict_about_copies_is_not_kept(tree: Path, tmp_path: Path) -> None:
    """The copy goes; what remains is no copy of anything."""
    out = tmp_path / "out"
    shutil.copy(tree / "2.dcm", tree / "0-copy.dcm")
    write_table(out / "instances.parquet", scan([tree], out=out))
    (tree / "0-copy.dcm").unlink()
    assert reasons(scan([tree], out=out))["2.dcm"] is None


def test_a_file_that_must_not_be_opened_is_a_row(tree: Path, reads: list[str]) -> None:
    os.mkfifo(tree / "pipe")
    assert reasons(scan([tree]))["pipe"] == "E_NOT_REGULAR"
    assert "pipe" not in reads


def test_a_copy_that_vanishes_meanwhile_is_named(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copy(tree / "2.dcm", tree / "copy.dcm")
    write_table(out / "instances.parquet", scan([tree], out=out))

    def gone(what: str, done: int, of: int) -> None:
        (tree / "copy.dcm").unlink()

    (tree / "new.dcm").write_text("one more to read")
    with pytest.raises(DataError, match=r"copy\.dcm was there a moment ago"):
        scan([tree], out=out, progress=gone)
