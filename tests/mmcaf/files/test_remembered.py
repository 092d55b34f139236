"""What was found out of a file is known as long as its state stays, and only to this user."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mmcaf.files.remembered import remembered, state_of

OLD = (3, 1, 1, 1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_kept_is_known_in_that_state_alone(cache: Path, tmp_path: Path) -> None:
    with remembered(tmp_path) as known:
        assert known.get("a", OLD) is None
        known.keep("a", OLD, "x")
    with remembered(tmp_path) as known:
        assert known.get("a", OLD) == "x"
        assert [known.get("a", (*OLD[:at], 9, *OLD[at + 1 :])) for at in range(4)] == [None] * 4
        assert known.get("b", OLD) is None
    with remembered(tmp_path / "other") as known:
        assert known.files == {}
    (kept,) = (cache / "remembered").glob("*.json")
    assert stat.S_IMODE(kept.stat().st_mode) & 0o022 == 0


def test_a_file_written_just_now_is_looked_at_again(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with remembered(tmp_path) as known:
        known.keep("f", state_of(tmp_path / "f"), "x")
        assert not known.changed
    assert list(cache.rglob("*.json")) == []


def test_a_state_changes_with_every_write(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    before = state_of(tmp_path / "f")
    os.utime(tmp_path / "f", ns=(1, before[1]))
    assert state_of(tmp_path / "f") != before
    with pytest.raises(FileNotFoundError):
        state_of(tmp_path / "g")


def test_a_fault_inside_keeps_nothing(cache: Path, tmp_path: Path) -> None:
    def fails() -> None:
        with remembered(tmp_path) as known:
            known.keep("a", OLD, "x")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fails()
    assert list(cache.rglob("*.json")) == []


@pytest.mark.parametrize("damage", ["cut", "written by others", "link", "FIFO"])
def test_a_memory_that_cannot_be_trusted_is_none(cache: Path, tmp_path: Path, damage: str) -> None:
    with remembered(tmp_path) as known:
        known.keep("a", OLD, "x")
    (kept,) = (cache / "remembered").glob("*.json")
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:-5])
    elif damage == "written by others":
        kept.chmod(0o666)
    else:
        kept.rename(tmp_path / "aside")
        if damage == "link":
            kept.symlink_to(tmp_path / "aside")
        else:
            os.mkfifo(kept)
    with remembered(tmp_path) as known:
        assert known.files == {}


@pytest.mark.parametrize("home", [None, "/nowhere/at/all"])
def test_without_a_place_to_keep_it_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "file"))
    if home:
        monkeypatch.delenv("MMCAF_CACHE")
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with remembered(tmp_path) as known:
        known.keep("a", OLD, "x")
        assert known.get("a", OLD) == "x"
    with remembered(tmp_path) as known:
        assert known.get("a", OLD) is None
