"""The command lines that serve dashboards: this machine only unless asked, no request to others."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from mmstudy.errors import MMStudyError, UsageError
from mmstudy.storage.folder import StudyFolder

__all__ = ["SIGN_IN_MARK", "app_path", "command", "optuna_command"]

SIGN_IN_MARK = "--sign-in"
"""Tells the app, on its command line, that nobody may look who has not signed in."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_OKABE_ITO = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"]


def app_path() -> Path:
    """`app.py` of a checkout, or of an installed wheel."""
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "dashboards" / "app.py"
    return checkout if checkout.is_file() else here.parent / "_dashboards" / "app.py"


def command(
    root: Path, port: int, *, listen: str = "127.0.0.1", sign_in: Path | None = None
) -> list[str]:
    """Arguments that run Streamlit on `listen`:`port` for the studies under `root`.

    Args:
        root: folder of studies.
        port: where it listens.
        listen: the address it listens on. On this machine's own, a request must name this machine
            or the host of the sign-in; on others any name will do unless there is a sign-in.
        sign_in: Streamlit secrets with `[auth]` and `[mmstudy] allowed = [...]`; who is not on the
            list sees nothing. Others reach the server through a proxy or tunnel on this machine.

    Raises:
        UsageError: no such file, it lacks a table, or what signs in is not installed.
    """
    settings = {
        "server.address": listen,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": "1",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "type",
        "client.showErrorLinks": "false",  # they would hand the error to other sites
        "client.toolbarMode": "viewer",
        "theme.chartCategoricalColors": json.dumps(_OKABE_ITO),
        "theme.light.primaryColor": _OKABE_ITO[0],
        "theme.dark.primaryColor": _OKABE_ITO[5],
    }
    # Other names are refused, since a page elsewhere may name us as its own.
    hosts = ["127.0.0.1", "localhost"] if listen in _LOOPBACK or sign_in is not None else []
    if sign_in is not None:
        hosts.append(_public_host(sign_in))
        settings["secrets.files"] = str(sign_in.resolve())
    pairs = [*settings.items(), *(("server.allowedHosts", host) for host in hosts)]
    flags = [part for name, value in pairs for part in (f"--{name}", value)]
    streamlit = [sys.executable, "-m", "streamlit", "run", str(app_path())]
    mark = [SIGN_IN_MARK] if sign_in is not None else []
    return [*streamlit, *flags, "--", str(root.resolve()), *mark]


def _public_host(secrets: Path) -> str:
    """Under which name the sign-in sends people back here."""
    if secrets.suffix != ".toml":  # Streamlit would not read it
        raise UsageError(f"The sign-in file's name must end in .toml, got {secrets.name}.")
    if find_spec("authlib") is None:
        raise UsageError("Sign-in needs Authlib: pip install 'mmcaf-study[auth]'.")
    try:
        found = tomllib.loads(secrets.read_text(encoding="utf-8"))
        back, allowed = found["auth"]["redirect_uri"], found["mmstudy"]["allowed"]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError(
            f"{secrets} is no sign-in file ({type(error).__name__}: {error}). It needs [auth] with "
            "redirect_uri, cookie_secret, client_id, client_secret and server_metadata_url, and "
            '[mmstudy] with allowed = ["somebody@hospital.example"].'
        ) from error
    host = urlsplit(str(back)).hostname
    if not host or not isinstance(allowed, list):
        raise UsageError(
            f"{secrets}: auth.redirect_uri must be a whole address, got {back!r}, and "
            f"mmstudy.allowed a list, got {allowed!r}."
        )
    return host


@contextmanager
def optuna_command(folder: StudyFolder, port: int) -> Iterator[list[str]]:
    """Arguments that run Optuna's dashboard on 127.0.0.1:`port` on a copy of the journal.

    A copy, because it can rename and delete what it shows, and knows no read-only mode. The copy is
    deleted afterwards, with whatever was done to it.

    Raises:
        UsageError: it is not installed; says how to.
        MMStudyError: the study has no journal.
    """
    if find_spec("optuna_dashboard") is None:
        raise UsageError(
            "optuna-dashboard is not installed: pip install 'mmcaf-study[optuna]'. "
            "`mmstudy dashboard` needs nothing more."
        )
    folder.fetch_journal()
    if not folder.journal.exists():
        raise MMStudyError(f"{folder.name} has no {folder.journal.name}: it was copied in part.")
    with tempfile.TemporaryDirectory(prefix="mmstudy-") as scratch:
        copy = Path(scratch) / "optuna.journal"
        shutil.copyfile(folder.journal, copy)
        program = "from optuna_dashboard._cli import main; main()"
        address = ["--host", "127.0.0.1", "--port", str(port)]
        storage = ["--storage-class", "JournalFileStorage", str(copy)]
        yield [sys.executable, "-c", program, *address, *storage]
