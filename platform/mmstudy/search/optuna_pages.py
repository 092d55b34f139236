"""Optuna's own dashboard on a study: of a copy of the journal in memory, on this machine only.

A copy, because the dashboard can rename and delete what it shows, and knows no read-only mode. In
this process, so that whatever ends the command ends the server and the copy with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna_dashboard import wsgi

from mmcaf.errors import DataError
from mmcaf.files.untrusted import open_regular
from mmstudy.errors import MMStudyError
from mmstudy.serving import HEADERS, names_host
from mmstudy.storage.folder import StudyFolder

__all__ = ["pages", "serve"]

_HERE = "127.0.0.1"
_NAMES = (_HERE, "localhost")


def serve(folder: StudyFolder, port: int) -> None:
    """Serve `pages` on 127.0.0.1:`port` until the process ends.

    Raises:
        MMStudyError: the study has no journal.
        DataError: the journal is a link or no regular file, or damaged.
        OSError: the port is taken.
    """
    with make_server(_HERE, port, pages(folder), server_class=_Server) as server:
        server.serve_forever()


def pages(folder: StudyFolder) -> WSGIApplication:
    """Optuna's dashboard on a copy of the study's journal, for who calls this machine by its name.

    Raises:
        MMStudyError: the study has no journal.
        DataError: the journal is a link or no regular file, or damaged.
    """
    folder.fetch_journal()
    try:
        with open_regular(folder.journal) as file:
            lines = file.readlines()
    except FileNotFoundError:
        raise MMStudyError(
            f"{folder.name} has no {folder.journal.name}: it was copied in part."
        ) from None
    try:
        # The last line has no end while the driver is writing it.
        logs = [json.loads(line) for line in lines if line.endswith(b"\n")]
        storage = JournalStorage(_Copy(logs))
    except Exception as error:  # whatever Optuna says to a line that it did not write
        raise DataError(
            f"{folder.journal} is damaged ({type(error).__name__}: {error}). `mmstudy dashboard` "
            "shows the study without it."
        ) from error
    return _guarded(wsgi(storage))


class _Server(ThreadingMixIn, WSGIServer):
    """Answers a browser's parallel requests; a slow one does not hold up the end."""

    daemon_threads = True


class _Copy(BaseJournalBackend):
    """A journal that lives as long as the process."""

    def __init__(self, logs: list[dict[str, Any]]) -> None:
        self._logs = logs

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """See Optuna."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """See Optuna."""
        self._logs += json.loads(json.dumps(logs))


def _guarded(app: WSGIApplication) -> WSGIApplication:
    """The pages for who calls this machine by its name; a page elsewhere may name us as its own."""

    def guarded(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        host, origin = environ.get("HTTP_HOST"), environ.get("HTTP_ORIGIN")
        if not names_host(host, _NAMES) or origin not in (None, f"http://{host}"):
            start("403 Forbidden", [("Content-Type", "text/plain"), *HEADERS.items()])
            return [b"This server answers to 127.0.0.1 and localhost only.\n"]
        return app(environ, _with_headers(start))

    return guarded


def _with_headers(start: StartResponse) -> StartResponse:
    def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[..., object]:
        return start(status, [*headers, *HEADERS.items()], *more)

    return begin
