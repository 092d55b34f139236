"""`mmstudy report`: a file where it is asked for, and a word on it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from support.dashboard_studies import write_about

Command = Callable[..., tuple[int, str, str]]


def test_it_writes_one_private_file(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_about(tmp_path, "begun", trials=3, epochs=2)
    monkeypatch.chdir(tmp_path)
    code, out, said = command("report", "begun", "--root", str(tmp_path))
    assert (code, out) == (0, "")
    assert "report.html" in said
    file = tmp_path / "report.html"
    assert file.read_text("utf-8").startswith("<!doctype html>")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_another_ending_is_refused(command: Command, tmp_path: Path) -> None:
    write_about(tmp_path, "begun", trials=3, epochs=2)
    code, _, said = command(
        "report", "begun", "--root", str(tmp_path), "--out", str(tmp_path / "a.pdf")
    )
    assert code == 2
    assert "End its name in .html" in said
    assert not (tmp_path / "a.pdf").exists()
