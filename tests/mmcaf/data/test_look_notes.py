"""Notes of looks beside a cohort: written for its user alone, read as a stranger's."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.look_notes import Look, looks_folder, note_look, noted_looks
from mmcaf.errors import DataError


def look(**changes: Any) -> Look:
    usual = {"study": "s", "trial": 3, "written": "2026-01-01T10:00:00.000123+00:00"}
    return Look(**{**usual, "cases": ("a", "b"), **changes})


@pytest.fixture
def own(cohort: Cohort, tmp_path: Path) -> Cohort:
    return replace(cohort, folder=tmp_path)


def test_what_is_noted_is_read_in_order(own: Cohort) -> None:
    assert noted_looks(own.folder) == []
    later = look(written="2026-01-02T10:00:00+00:00", study="t")
    assert note_look(own, later) is None
    assert note_look(own, look()) is None
    assert noted_looks(own.folder) == [look(), later]


def test_one_look_has_one_note(own: Cohort) -> None:
    for one in (look(), look(), look(trial=4)):
        note_look(own, one)
    assert [one.trial for one in noted_looks(own.folder)] == [3, 4]


def test_nobody_else_can_read_them(own: Cohort) -> None:
    note_look(own, look())
    below = looks_folder(own.folder)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (below, *below.iterdir())} == {0}


def test_a_folder_that_cannot_be_written_is_said(own: Cohort) -> None:
    looks_folder(own.folder).write_text("a file in its place")
    assert str(note_look(own, look())).startswith(f"{looks_folder(own.folder)} is a file")
    with pytest.raises(DataError):
        noted_looks(own.folder)


def test_no_link_is_followed(own: Cohort, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    looks_folder(own.folder).symlink_to(elsewhere)
    assert "a link" in str(note_look(own, look()))
    assert [*elsewhere.iterdir()] == []
    with pytest.raises(DataError, match="a link"):
        noted_looks(own.folder)


@pytest.mark.parametrize("text", ["", "{}", '{"study": "s", "trial": -1}', "[" * 100_000])
def test_a_note_that_is_none_is_named(own: Cohort, text: str) -> None:
    note_look(own, look())
    (looks_folder(own.folder) / "2.json").write_text(text)
    with pytest.raises(DataError, match=r"2\.json is damaged"):
        noted_looks(own.folder)
