"""Workbooks: cells as Excel shows them, and hostility that is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from mmcaf.data.ingest.sheet import workbook
from mmcaf.data.ingest.sheet.opening import read_tables
from mmcaf.data.ingest.sheet.table import MOST_ROWS, Odd, Table
from mmcaf.data.ingest.sheet.workbook import from_workbook
from mmcaf.errors import DataError


def made(change: Callable[[Any], None]) -> bytes:
    """A workbook of which `change` has written the first worksheet."""
    book = openpyxl.Workbook()
    change(book.worksheets[0])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def table(change: Callable[[Any], None]) -> Table:
    (found,) = from_workbook(made(change), "s.xlsx")
    return found


def first(value: Any, number_format: str | None = None) -> Any:
    def change(sheet: Any) -> None:
        cell = sheet.cell(1, 1, value)
        if number_format:
            cell.number_format = number_format

    return table(change).rows[0][0]


@pytest.mark.parametrize("value", ["text", 58, 58.5, True])
def test_plain_cells_are_what_they_are(value: Any) -> None:
    assert first(value) == value
    assert type(first(value)) is type(value)


@pytest.mark.parametrize(
    ("value", "number_format"),
    [
        *((58, "dd/mm/yyyy"), (58.25, "h:mm"), (58, "[h]:mm"), (58, "mmm-yy"), (58, 'yyyy"年"')),
        *((date(1958, 3, 2), None), (time(5, 8), None), (timedelta(days=58), None)),
    ],
)
def test_a_date_is_no_number(value: Any, number_format: str | None) -> None:
    assert first(value, number_format) is Odd.DATE


def test_a_date_that_does_not_exist_is_no_number() -> None:
    assert first(1e9, "yyyy-mm-dd") == "#VALUE!"


@pytest.mark.parametrize(
    ("number_format", "shown"),
    [
        *(
            ('0" lb"', "143 lb"),
            ("0.0 \\k\\g", "143 kg"),
            ("0%", "143 %"),
            ('0 "years"', "143 years"),
        ),
        *(('0" kg";-0" kg"', "143 kg"), ("0.00", 143), ("#,##0", 143), ("General", 143)),
        *(('_("$"* #,##0_)', 143), ("[Red]0", 143), ('0" a;b"', "143 a;b")),
    ],
)
def test_words_of_a_numbers_format_belong_to_it(number_format: str, shown: Any) -> None:
    assert first(143, number_format) == shown


def test_a_formula_that_nobody_computed_is_not_empty() -> None:
    found = table(lambda sheet: sheet.append(["=50+8", None, 58]))
    assert found.rows[0][:3] == [Odd.FORMULA, None, 58]


def test_a_computed_formula_is_its_value() -> None:
    content = made(lambda sheet: sheet.append(["=50+8"]))
    (found,) = from_workbook(patched(content, b"<v />", b"<v>58</v>"), "s.xlsx")
    assert found.rows[0][0] == 58


def test_merged_cells_are_told_from_empty_ones() -> None:
    def change(sheet: Any) -> None:
        for row in (["M", 58], [None, None], [None, 60], [None, None], [None, None]):
            sheet.append(row)
        sheet.append(["end"])
        sheet.merge_cells("A1:A3")
        sheet.merge_cells("A4:B5")

    rows = table(change).rows
    assert [row[0] for row in rows] == ["M", Odd.MERGED, Odd.MERGED, None, None, "end"]
    assert rows[1][1] is None


def test_hidden_rows_are_read_and_said() -> None:
    def change(sheet: Any) -> None:
        sheet.append(["a"])
        sheet.append(["b"])
        sheet.row_dimensions[2].hidden = True

    found = table(change)
    assert [row[0] for row in found.rows] == ["a", "b"]
    assert found.notes == ("1 hidden rows are read like the others",)


def test_every_worksheet_is_a_table() -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["a"])
    book.create_sheet("hidden").append(["b"])
    book.worksheets[1].sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    one, other = from_workbook(file.getvalue(), "s.xlsx")
    assert [of.rows[0][0] for of in (one, other)] == ["a", "b"]
    assert (other.worksheet, other.notes) == (2, ("the worksheet is hidden",))


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    """The workbook with `old` replaced in the XML of its worksheets."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as good, zipfile.ZipFile(file, "w") as bad:
        for part in good.namelist():
            text = good.read(part)
            if "worksheets" in part:
                assert old in text
                text = text.replace(old, new)
            bad.writestr(part, text)
    return file.getvalue()


def test_what_a_worksheet_says_of_its_size_does_not_count() -> None:
    def change(sheet: Any) -> None:
        for number in range(5):
            sheet.append([number, number])

    content = made(change)
    (found,) = from_workbook(patched(content, b'ref="A1:B5"', b'ref="A1"'), "s.xlsx")
    assert len(found.rows) == 5


def test_a_row_beyond_the_most_is_refused_and_an_empty_one_is_not() -> None:
    def far(value: Any) -> Callable[[Any], None]:
        def change(sheet: Any) -> None:
            sheet.append(["a"])
            sheet.cell(MOST_ROWS + 5, 1).value = value
            sheet.cell(MOST_ROWS + 5, 1).number_format = "0.0"

        return change

    assert table(far(None)).rows[0][0] == "a"
    with pytest.raises(DataError, match="more than 10000 rows"):
        table(far(1))


def test_merged_cells_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(sheet: Any) -> None:
        sheet.append([1, 2, 3, 4, 5, 6])
        sheet.merge_cells("A1:F1")

    monkeypatch.setattr(workbook, "_MOST_MERGED", 5)
    with pytest.raises(DataError, match="far more merged cells"):
        table(change)


def test_comments_full_of_tags_take_no_time() -> None:
    tags = b"<!-- " + b"<row <mergeCell " * 200_000 + b"-->"
    content = made(lambda sheet: sheet.append(["a"]))
    (found,) = from_workbook(patched(content, b"<sheetData>", tags + b"<sheetData>"), "s.xlsx")
    assert found.rows[0][0] == "a"


def test_more_worksheets_than_anybody_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_MOST_SHEETS", 0)
    with pytest.raises(DataError, match="more than 0 worksheets"):
        table(lambda sheet: sheet.append(["a"]))


def test_a_zip_bomb_is_refused_before_it_unpacks() -> None:
    file = io.BytesIO(made(lambda sheet: sheet.append(["a"])))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image.bin", bytes(100 * 2**20))
    assert len(file.getvalue()) < 200_000
    with pytest.raises(DataError, match="would unpack to"):
        from_workbook(file.getvalue(), "s.xlsx")


def test_an_xml_bomb_inside_a_sheet_is_refused() -> None:
    entities = "".join(
        f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x" * 10}">' for i in range(9)
    )
    file = io.BytesIO()
    content = made(lambda sheet: sheet.append(["a"]))
    with zipfile.ZipFile(io.BytesIO(content)) as good, zipfile.ZipFile(file, "w") as bad:
        for part in good.namelist():
            text = good.read(part)
            if part == "xl/workbook.xml":
                named = text.decode().replace('name="Sheet"', 'name="&e8;"')
                start = named.index("<workbook")
                text = f"<!DOCTYPE workbook [{entities}]>{named[start:]}".encode()
            bad.writestr(part, text)
    with pytest.raises(DataError, match=r"Cannot read the clinical sheet s\.xlsx"):
        from_workbook(file.getvalue(), "s.xlsx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"text"])
def test_what_is_no_workbook_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clinical.xlsx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"Cannot read the clinical sheet clinical\.xlsx"):
        read_tables(path)


def test_a_workbook_of_any_name_is_one(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    path.write_bytes(made(lambda sheet: sheet.append(["a"])))
    assert read_tables(path)[0].rows[0][0] == "a"


def test_old_excel_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "clinical.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(DataError, match="old Excel, or locked by a password"):
        read_tables(path)


def test_a_link_is_followed_and_a_loop_is_not(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(made(lambda sheet: sheet.append(["a"])))
    (tmp_path / "clinical.xlsx").symlink_to("real")
    assert read_tables(tmp_path / "clinical.xlsx")[0].rows[0][0] == "a"
    (tmp_path / "loop.xlsx").symlink_to("loop.xlsx")
    with pytest.raises(DataError, match=r"loop\.xlsx"):
        read_tables(tmp_path / "loop.xlsx")


def test_a_sheet_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No clinical sheet .*nowhere\.xlsx"):
        read_tables(tmp_path / "nowhere.xlsx")
