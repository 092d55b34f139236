"""CSV of every delimiter and encoding; what is hostile or no text is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcaf.data.ingest.sheet import delimited
from mmcaf.data.ingest.sheet.delimited import from_text
from mmcaf.data.ingest.sheet.opening import read_tables
from mmcaf.errors import DataError

ROWS = [["Patient ID", "Weight"], ["A0001", "65,5"], ["A0002", 'a "b"\nc']]


def text(delimiter: str) -> str:
    quoted = '"Patient ID"{0}Weight\r\nA0001{0}"65,5"\r\nA0002{0}"a ""b""\nc"\r\n'
    return quoted.format(delimiter)


@pytest.mark.parametrize(("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_cells_are_cut_at_the_delimiter(delimiter: str, name: str, encoding: str) -> None:
    tables = from_text(text(delimiter).encode(encoding), "s.csv")
    (found,) = [table for table in tables if f"delimiter: {name}" in table.notes]
    assert found.rows == ROWS
    assert found.cut
    assert ("encoding: UTF-16" in found.notes) == (encoding == "utf-16")


def test_what_is_no_utf_8_is_latin_1_and_said() -> None:
    (found,) = from_text("Größe;b".encode("latin-1"), "s.csv")
    assert found.rows == [["Größe", "b"]]
    assert "encoding: no UTF-8, read as Latin-1" in found.notes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\0c", "NUL bytes"),
        ("a,b".encode("utf-16-le"), "NUL bytes"),
        (b"\xff\xfea,b", "begins as UTF-16 and is not"),
        (b"", "no comma, semicolon or tab"),
        (b"one column\n", "no comma, semicolon or tab"),
        (b'a,b\n"open,c\n', "unexpected end of data"),
        (b'a,"b"c\n', "expected after"),
        (b"a," + b"x" * 200_000, "field larger than"),
        (b"a,b\n" * 10_001, "more than 10000 rows"),
        (b"," * 1_000_001, "more than 1000000 cells"),
    ],
)
def test_what_is_no_sheet_is_refused_with_its_name(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        from_text(content, "s.csv")
    assert "s.csv" in str(caught.value)


def test_columns_beyond_any_sheet_are_not_kept() -> None:
    (found,) = from_text(b"," * 5_000, "s.csv")
    assert len(found.rows[0]) == delimited.MOST_COLUMNS


def test_a_file_of_17_mib_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    with path.open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(DataError, match="larger than 16777216 bytes"):
        read_tables(path)
