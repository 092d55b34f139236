"""Optuna's own dashboard: on a copy of the journal, for who calls this machine by its name."""

from __future__ import annotations

import json
import os
import re
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

import pytest

from mmcaf.errors import DataError
from mmstudy.errors import MMStudyError
from mmstudy.search.optuna_pages import pages
from mmstudy.storage.folder import StudyFolder

OLD = Path(__file__).parents[2] / "fixtures" / "study_v1"


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    shutil.copytree(OLD, tmp_path / "s")
    return StudyFolder(tmp_path / "s")


def asked(
    app: WSGIApplication, path: str, method: str = "GET", **headers: str
) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and content of an answer."""
    environ: dict[str, Any] = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "HTTP_HOST": "127.0.0.1:8080",
        "CONTENT_TYPE": "application/json",
        "wsgi.input": BytesIO(),
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    setup_testing_defaults(environ)
    told: list[Any] = []
    content = app(environ, lambda *begin: told.extend(begin) or (lambda _: None))  # type: ignore
    return told[0], dict(told[1]), b"".join(content)


def test_it_shows_the_trials_with_their_states(folder: StudyFolder) -> None:
    status, headers, content = asked(pages(folder), "/api/studies/0")
    states = [trial["state"] for trial in json.loads(content)["trials"]]
    assert status == "200 OK"
    assert states == ["Complete", "Pruned", "Pruned", "Pruned"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_is_deleted_there_stays_in_the_study(folder: StudyFolder) -> None:
    before = folder.journal.read_bytes()
    app = pages(folder)
    assert asked(app, "/api/studies/0", "DELETE")[0].startswith("204")
    assert asked(app, "/api/studies/0")[0].startswith("404")
    assert folder.journal.read_bytes() == before
    assert asked(pages(folder), "/api/studies/0")[0] == "200 OK"
    assert [*folder.root.glob("optuna.journal*")] == [folder.journal]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8080"},
        {"host": "127.0.0.1.evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_page_elsewhere_is_told_nothing(folder: StudyFolder, headers: dict[str, str]) -> None:
    status, said, content = asked(pages(folder), "/api/studies/0", **headers)
    assert status == "403 Forbidden"
    assert content == b"This server answers to 127.0.0.1 and localhost only.\n"
    assert said["X-Frame-Options"] == "DENY"


def test_a_line_that_is_being_written_is_left_out(folder: StudyFolder) -> None:
    with folder.journal.open("a") as file:
        file.write('{"op_code": 4, "worker')
    assert asked(pages(folder), "/api/studies/0")[0] == "200 OK"


@pytest.mark.parametrize("line", [b"{]", b"[]", b'{"op_code": 99}', b"[" * 10**5, b"\xff"])
def test_a_damaged_journal_is_told(folder: StudyFolder, line: bytes) -> None:
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join([*lines[:2], line, b"\n", *lines[2:]]))
    with pytest.raises(DataError, match=r"optuna\.journal is damaged \("):
        pages(folder)


def test_values_that_are_no_numbers_are_shown(folder: StudyFolder) -> None:
    text = folder.journal.read_text()
    folder.journal.write_text(
        re.sub(r'"intermediate_value":[0-9.]+', '"intermediate_value":NaN', text)
    )
    assert "NaN" in folder.journal.read_text()
    assert asked(pages(folder), "/api/studies/0")[0] == "200 OK"


def test_without_a_journal_there_is_nothing_to_show(folder: StudyFolder) -> None:
    folder.journal.unlink()
    with pytest.raises(MMStudyError, match=r"has no optuna\.journal"):
        pages(folder)


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_is_no_journal_is_not_opened(folder: StudyFolder, kind: str, tmp_path: Path) -> None:
    folder.journal.rename(tmp_path / "elsewhere")
    if kind == "link":
        folder.journal.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(folder.journal)
    with pytest.raises(DataError, match=r"optuna\.journal is a (link|FIFO)"):
        pages(folder)
