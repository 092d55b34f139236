"""What files and folders may be called: told before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmcaf.files.names import folder_fault, name_fault

WRONG = [
    ("", "not empty"),
    (" a", "no space at either end"),
    ("a\n", "no space at either end"),
    ("a\nb", "of signs that are seen"),
    ("a\x1b[31m", "of signs that are seen"),
    ("a\u202eb", "of signs that are seen"),
    (os.fsdecode(b"a\xff"), "of signs that are seen, in UTF-8, got 'a\\udcff'"),
    ("a\0b", "of signs that are seen"),
    ("a/b", "without / and"),
    ("..", "without -, . or ~ at its start"),
    (".a", "without -, . or ~ at its start"),
    ("-a", "without -, . or ~ at its start"),
    ("~a", "without -, . or ~ at its start"),
    ("a" * 201, "of 200 bytes at most (201 are given)"),
    ("ä" * 101, "of 200 bytes at most (202 are given)"),
]


@pytest.mark.parametrize("name", ["heads", "a b", "Größe 3", "肺", "a.b-c_d", "a" * 200])
def test_what_can_be_seen_is_a_name(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(("name", "told"), WRONG)
def test_a_wrong_name_is_told_on_one_line_of_printed_signs(name: str, told: str) -> None:
    fault = name_fault(name)
    assert fault is not None
    assert told in fault
    assert fault.isprintable()
    assert len(fault) < 250


def test_the_longest_name_leaves_room_for_files_named_after_it(tmp_path: Path) -> None:
    (tmp_path / f".{'a' * 200}.tmp-{'b' * 48}").touch()  # 254 bytes
    assert len(os.fsencode(next(tmp_path.iterdir()).name)) == 254


def test_only_folders_that_are_still_missing_are_looked_at(tmp_path: Path) -> None:
    there = tmp_path / "old\tname"
    there.mkdir()
    assert folder_fault(there) is None
    assert folder_fault(there / ".hidden" / "new") is None
    assert folder_fault(Path("..") / "new") is None
    for wrong in ("a\nb", "a" * 201, "a" * 300, os.fsdecode(b"\xff"), "a\0"):
        fault = folder_fault(tmp_path / wrong / "below")
        assert fault is not None
        assert "Need a folder's name" in fault
