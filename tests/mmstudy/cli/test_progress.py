"""A log from elsewhere: each line once; on a terminal progress rewrites one line."""

from __future__ import annotations

import pytest

from mmstudy.cli.progress import LogRelay

PIECES = ("begun\ntrials 1/3 | 2 run", "ning\ntrials 2/3 | 1 running\n", "done")


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    log = LogRelay()
    for piece in PIECES:
        log.write(piece)
    log.close()
    return capsys.readouterr().err


def test_lines_stay_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == "begun\ntrials 1/3 | 2 running\ntrials 2/3 | 1 running\ndone\n"


def test_progress_rewrites_its_line_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert shown(capsys) == "begun\n\rtrials 1/3 | 2 running\rtrials 2/3 | 1 running\ndone\n"
