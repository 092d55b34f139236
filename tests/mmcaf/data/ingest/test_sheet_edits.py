"""500 random edits of cells: each is read for what it now says, or flagged, or an error."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from mmcaf.data.ingest.clinical import read_sheets
from mmcaf.data.synthetic.write import SHEET_NAME
from support.sheet_edits import Edit, draw, judge


@pytest.fixture(scope="module")
def rows(dicom_folder: Path) -> list[list[Any]]:
    sheet = openpyxl.load_workbook(dicom_folder / SHEET_NAME).worksheets[0]
    return [[*row] for row in sheet.iter_rows(values_only=True)]


@pytest.mark.parametrize(("suffix", "edits"), [(".xlsx", 100), (".csv", 400)])
def test_no_edit_of_a_cell_gives_a_wrong_value_without_a_word(
    rows: list[list[Any]], tmp_path: Path, suffix: str, edits: int
) -> None:
    path, random = tmp_path / f"clinical{suffix}", np.random.default_rng(17)
    Edit("none", rows).write(path)
    before = read_sheets([path]).patients
    found: Counter[str] = Counter()
    for _ in range(edits):
        edit = draw(random, rows, suffix)
        edit.write(path)
        verdict = judge(edit, before, path)
        found[verdict] += 1
        assert verdict != "silent", edit.what
    assert min(found["exact"], found["flagged"], found["error"]) >= edits / 25


def test_a_wrong_value_would_be_noticed(rows: list[list[Any]], tmp_path: Path) -> None:
    path = tmp_path / "clinical.xlsx"
    Edit("none", rows).write(path)
    before = read_sheets([path]).patients
    swapped = [[*row] for row in rows]
    swapped[1][3], swapped[2][3] = 91, 92
    edit = Edit("two ages, of which nothing is known", swapped)
    edit.write(path)
    assert judge(edit, before, path) == "silent"
    lost = Edit("an age that is gone", [[*row] for row in rows])
    lost.rows[1][3] = None
    lost.write(path)
    assert judge(lost, before, path) == "silent"
