"""Optuna's own dashboard, on a copy of the journal and this machine only."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from mmstudy import serving as dashboard
from mmstudy.errors import MMStudyError
from mmstudy.serving import optuna_command
from mmstudy.storage.folder import StudyFolder

OLD = Path(__file__).parents[1] / "fixtures" / "study_v1"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def paths(tmp_path: Path) -> StudyFolder:
    shutil.copytree(OLD, tmp_path / "s")
    return StudyFolder(tmp_path / "s")


def test_it_is_given_a_copy_that_is_gone_afterwards(paths: StudyFolder) -> None:
    with optuna_command(paths, 8123) as command:
        copy = Path(command[-1])
        assert copy.read_bytes() == paths.journal.read_bytes()
        assert not copy.is_relative_to(paths.root)
        assert command[command.index("--host") + 1] == "127.0.0.1"
        assert command[command.index("--port") + 1] == "8123"
    assert not copy.exists()


def test_it_says_how_to_install_it(
    paths: StudyFolder, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda _: None)
    code, stdout, stderr = command("optuna-dashboard", str(paths.root))
    assert (code, stdout) == (2, "")
    assert "pip install 'mmcaf-study[optuna]'" in stderr


def test_without_a_journal_there_is_nothing_to_show(paths: StudyFolder) -> None:
    paths.journal.unlink()
    with pytest.raises(MMStudyError, match=r"has no optuna\.journal"), optuna_command(paths, 1):
        pass


@pytest.mark.slow
def test_it_serves_the_study_with_its_states(paths: StudyFolder) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    before = paths.journal.read_bytes()
    with optuna_command(paths, port) as command:
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            study = get(f"http://127.0.0.1:{port}/api/studies/0")
        finally:
            server.kill()
            server.wait()
    states = [trial["state"] for trial in study["trials"]]
    assert states == ["Complete", "Pruned", "Pruned", "Pruned"]
    assert paths.journal.read_bytes() == before


def get(url: str) -> dict[str, list[dict[str, str]]]:
    """The JSON at `url`, as soon as there is a server."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
                found: dict[str, list[dict[str, str]]] = json.load(answer)
                return found
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
