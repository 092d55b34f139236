"""Notes of looks beside a cohort: written for its user alone, read as a stranger's."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from mmcaf.errors import DataError
from mmcaf.files import look_notes
from mmcaf.files.look_notes import Look, looks_folder, note_look, noted_looks


def look(**changes: Any) -> Look:
    usual = {"study": "s", "trial": 3, "written": "2026-01-01T10:00:00.000123+00:00"}
    return Look(**{**usual, "cases": ("a", "b"), **changes})


def test_what_is_noted_is_read_in_order(tmp_path: Path) -> None:
    assert noted_looks(tmp_path) == ([], [])
    later = look(written="2026-01-02T10:00:00+00:00", study="t")
    assert note_look(tmp_path, later) is None
    assert note_look(tmp_path, look()) is None
    assert noted_looks(tmp_path) == ([look(), later], [])


def test_one_look_has_one_note(tmp_path: Path) -> None:
    for one in (look(), look(), look(trial=4)):
        note_look(tmp_path, one)
    assert [one.trial for one in noted_looks(tmp_path)[0]] == [3, 4]


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    note_look(tmp_path, look())
    below = looks_folder(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (below, *below.iterdir())} == {0}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    looks_folder(tmp_path).write_text("a file in its place")
    assert str(note_look(tmp_path, look())).startswith(f"{looks_folder(tmp_path)} is a file")
    with pytest.raises(DataError):
        noted_looks(tmp_path)


def test_no_link_is_followed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    looks_folder(tmp_path).symlink_to(elsewhere)
    assert "a link" in str(note_look(tmp_path, look()))
    assert [*elsewhere.iterdir()] == []
    with pytest.raises(DataError, match="a link"):
        noted_looks(tmp_path)


NO_MOMENT = {"study": "s", "trial": 1, "written": "2026-13-99T99:99:99Z", "cases": ["a"]}


@pytest.mark.parametrize(
    "text", ["", "{}", '{"study": "s", "trial": -1}', "[" * 100_000, json.dumps(NO_MOMENT)]
)
def test_a_note_that_is_none_is_named_and_hides_no_other(tmp_path: Path, text: str) -> None:
    note_look(tmp_path, look())
    (looks_folder(tmp_path) / "1.json").write_text(text)
    found, (why,) = noted_looks(tmp_path)
    assert found == [look()]
    assert "1.json is damaged" in why


def test_of_too_many_notes_the_first_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for trial in range(4):
        note_look(tmp_path, look(trial=trial))
    monkeypatch.setattr(look_notes, "_MOST_NOTES", 2)
    found, (why,) = noted_looks(tmp_path)
    assert [one.trial for one in found] == [0, 1]
    assert "holds 4 notes; only the first 2 are read" in why
    monkeypatch.setattr(look_notes, "_MOST_BYTES", 1)
    assert len(noted_looks(tmp_path)[0]) == 1
