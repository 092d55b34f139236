"""The command `mmstudy`, in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from mmstudy.cli.main import main


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `mmstudy`; gives the exit code, stdout and stderr."""

    def run_command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["mmstudy", *arguments])
        monkeypatch.setenv("MMCAF_SHARED", "")  # and forget what --shared sets
        umask = os.umask(0o022)
        try:
            with pytest.raises(SystemExit) as caught:
                main()
        finally:
            os.umask(umask)
        written = capsys.readouterr()
        return int(caught.value.code or 0), written.out, written.err

    return run_command
