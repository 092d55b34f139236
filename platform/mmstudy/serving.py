"""How dashboards are served: the command line of ours, the names it answers to, safe headers.

This machine only unless asked. No request is sent to others but those of the sign-in.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import tomllib
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from mmstudy.errors import UsageError

__all__ = ["HEADERS", "SIGN_IN_MARK", "app_path", "become", "command", "is_loopback", "names_host"]

SIGN_IN_MARK = "--sign-in"
"""Tells the server, on its command line, that nobody may look who has not signed in."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer of every dashboard says; a policy of content comes on top."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:]*:[0-9a-f:.]*")
_SHORTEST_SECRET = 32
_AUTH = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
_OKABE_ITO = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"]


def app_path() -> Path:
    """`app.py`, the pages, of a checkout or of an installed wheel; `server.py` lies beside it."""
    here = Path(__file__).resolve()
    checkout = here.parents[2] / "dashboards" / "app.py"
    return checkout if checkout.is_file() else here.parent / "_dashboards" / "app.py"


def command(
    root: Path,
    port: int,
    *,
    listen: str = "127.0.0.1",
    hosts: Sequence[str] = (),
    sign_in: Path | None = None,
) -> list[str]:
    """Arguments that run our server on `listen`:`port` for the studies under `root`.

    Args:
        root: folder of studies.
        port: where it listens.
        listen: the address it listens on.
        hosts: names under which browsers find it, beside those of this machine and of the sign-in.
            A request that names another is refused: a page elsewhere may name us as its own.
        sign_in: Streamlit secrets with `[auth]` and `[mmstudy] allowed = [...]`; who is not on the
            list sees nothing. Others reach the server through a proxy or tunnel on this machine.

    Raises:
        UsageError: a host that is no name, no such file, it lacks a table, or what signs in is not
            installed.
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
        "logger.hideWelcomeMessage": "true",  # it asks others for this machine's address
        "theme.chartCategoricalColors": json.dumps(_OKABE_ITO),
        "theme.light.primaryColor": _OKABE_ITO[0],
        "theme.dark.primaryColor": _OKABE_ITO[5],
    }
    names = [*_LOOPBACK, *map(_checked_name, hosts)]
    if sign_in is not None:
        names.append(_public_host(sign_in))
        settings["secrets.files"] = str(sign_in.resolve())
    elif not is_loopback(listen):
        names += [socket.gethostname().lower(), listen]
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    # -P: nothing is imported from the folder in which the command is given.
    streamlit = [sys.executable, "-P", "-m", "streamlit", "run"]
    mark = [SIGN_IN_MARK] if sign_in is not None else []
    app = str(app_path().with_name("server.py"))
    return [*streamlit, app, *flags, "--", str(root.resolve()), *mark, *names]


def become(arguments: list[str]) -> NoReturn:
    """Turn this process into the server, so that whatever ends the one ends the other.

    It stands in the folder of the pages: Streamlit obeys a `.streamlit` where it stands, and the
    user may stand in a received study.
    """
    os.chdir(app_path().parent)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(arguments[0], arguments)  # noqa: S606 - our own


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return address in _LOOPBACK


def names_host(header: str | None, names: Collection[str], address: str | None = None) -> bool:
    """Whether a request's Host is one of `names`, or the `address` on which it came in.

    >>> names_host("localhost:8501", ["localhost"])
    True
    >>> names_host("localhost.evil.example", ["localhost"])
    False
    """
    if header is None:
        return False
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # checks it
    except ValueError:
        return False
    if parts.netloc != header or "@" in header:
        return False
    host = (parts.hostname or "").removesuffix(".")
    return bool(host) and (host in names or host == address)


def _checked_name(host: str) -> str:
    name = host.lower().removeprefix("[").removesuffix("]")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--host is the name or address in the browser's address line, without http:// and "
            f"port, such as results.hospital.example; got {host!r}."
        )
    return name


def _public_host(secrets: Path) -> str:
    """Under which name the sign-in sends people back here."""
    if secrets.suffix != ".toml":  # Streamlit would not read it
        raise UsageError(f"The sign-in file's name must end in .toml, got {secrets.name}.")
    if find_spec("authlib") is None:
        raise UsageError("Sign-in needs Authlib: pip install 'mmcaf-study[auth]'.")
    try:
        found = tomllib.loads(secrets.read_text(encoding="utf-8"))
        auth, allowed = {key: str(found["auth"][key]) for key in _AUTH}, found["mmstudy"]["allowed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{secrets} is no sign-in file ({type(error).__name__}: {error}). It needs [auth] with "
            "redirect_uri, cookie_secret, client_id, client_secret and server_metadata_url, and "
            '[mmstudy] with allowed = ["somebody@hospital.example"].'
        ) from error
    if not isinstance(allowed, list):
        raise UsageError(f"{secrets}: mmstudy.allowed must be a list of e-mails, got {allowed!r}.")
    if len(auth["cookie_secret"]) < _SHORTEST_SECRET:
        raise UsageError(
            f"{secrets}: auth.cookie_secret must have at least {_SHORTEST_SECRET} characters, "
            f"since who guesses it is signed in; got {len(auth['cookie_secret'])}. "
            'python -c "import secrets; print(secrets.token_hex(32))" makes one.'
        )
    return _host_of(auth["redirect_uri"], secrets)


def _host_of(back: str, secrets: Path) -> str:
    try:
        parts = urlsplit(back)
        host = parts.hostname
    except ValueError:
        host = None
    schemes = ("https", "http") if is_loopback(host or "") else ("https",)
    if host and parts.path == "/oauth2callback" and parts.scheme in schemes:
        return host
    raise UsageError(
        f"{secrets}: auth.redirect_uri must be the whole address of /oauth2callback here, such as "
        f"https://results.hospital.example/oauth2callback, got {back!r}. http:// is allowed on "
        "this machine only."
    )
