"""What the pages save says whose data it is: tables on the screen, their CSV, figures."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import frame
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from mmstudy import plots
from mmstudy.plots.file import draw
from mmstudy.serving import app_path
from mmstudy.storage.origin import Origin
from support.made_study import MMCAF_SCORES, made_study

ORIGINS = [Origin(), Origin(True), Origin(False, True), Origin(True, True)]


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.column)
def test_a_saved_table_has_the_origin_in_every_row(tmp_path: Path, origin: Origin) -> None:
    study = made_study(tmp_path, synthetic=origin.synthetic, oracle=origin.oracle)
    table = pl.DataFrame({"=a": ["@SUM(1)", "b"], "value": [-0.5, None]})
    rows = list(csv.reader(io.StringIO(frame.csv_of(table, study))))
    assert rows == [
        ["origin", "'=a", "value"],
        [origin.column, "'@SUM(1)", "-0.5"],
        [origin.column, "b", ""],
    ]
    assert frame.csv_of(table.clear(), study) == "origin,'=a,value\n"


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.column)
def test_a_saved_figure_says_it_too(tmp_path: Path, origin: Origin) -> None:
    study = made_study(tmp_path, synthetic=origin.synthetic, oracle=origin.oracle)
    svg = draw(plots.history(study), "svg").decode()
    assert f">{origin.named('made')}<" in svg


@pytest.mark.parametrize("origin", ORIGINS[1:], ids=lambda origin: origin.column)
@pytest.mark.parametrize("page", ["studies", "trials", "compare", "trial", "cases", "paper"])
def test_every_table_on_the_screen_has_it_where_numbers_are_not_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, origin: Origin
) -> None:
    scores = (MMCAF_SCORES, MMCAF_SCORES / 2)
    made_study(tmp_path, scores=scores, synthetic=origin.synthetic, oracle=origin.oracle)
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
    found.session_state["study"] = "made"
    found.session_state["_going"] = "" if page == "studies" else page
    found.session_state["chosen"] = "0, 1"
    found.run()
    assert not found.exception
    assert found.dataframe
    for table in (one.value for one in found.dataframe):
        if page == "paper":  # what was published is real
            marks = table["origin"] if "origin" in table else ["real"] * len(table)
            expected = [origin.column if "made" in method else "real" for method in table["method"]]
            assert list(marks) == expected
        else:
            assert set(table["origin"]) == {origin.column}
