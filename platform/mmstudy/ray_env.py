"""What Ray reads from the environment once, when it is imported: who may talk to it, from where.

Without RAY_ADDRESS, Ray will be started for this process alone: it listens on 127.0.0.1 only, and
asks for a token that nobody else knows. With RAY_ADDRESS, the cluster has its own rules, and a
token that is at hand is shown to it.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from mmcaf.files.home import home_path
from mmstudy.errors import UsageError

__all__ = ["GROWTH_VARIABLE", "growth", "prepare", "token"]

GROWTH_VARIABLE = "MMCAF_CLUSTER_GROWS_TO"
"""What a cluster that buys nodes when asked may have in all: `CPU=64,GPU=8`. Ray does not tell."""


def prepare(*, joins: bool | None = None) -> None:
    """Set what was not set by the user; without effect once Ray is imported.

    Args:
        joins: whether an existing cluster is used; decided by RAY_ADDRESS unless given.
    """
    if "ray" in sys.modules:
        return
    environment = os.environ
    environment.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no request to anyone
    if bool(environment.get("RAY_ADDRESS")) if joins is None else joins:
        if "RAY_AUTH_MODE" not in environment and token() is not None:
            environment["RAY_AUTH_MODE"] = "token"
        return
    if environment.setdefault("RAY_AUTH_MODE", "token") == "token" and token() is None:
        environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # Read on Linux too, whatever its name says: with it every server binds to the loopback address.
    environment.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def growth(text: str | None = None) -> dict[str, float]:
    """Resource -> how much the cluster may grow to; read from the environment unless given.

    Raises:
        UsageError: it cannot be read.
    """
    given = os.environ.get(GROWTH_VARIABLE, "") if text is None else text
    pairs = [part.partition("=") for part in given.split(",") if part]
    try:
        return {{"CPU": "CPU", "GPU": "GPU"}[name]: float(count) for name, _, count in pairs}
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"What a cluster grows to is CPU=64,GPU=8 or the like, got {given!r}."
        ) from error


def token() -> str | None:
    """The token at hand, looked for where Ray looks for it; None where there is none.

    Raises:
        UsageError: RAY_AUTH_TOKEN_PATH names a file that cannot be read.
    """
    if given := os.environ.get("RAY_AUTH_TOKEN"):
        return given
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = home_path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError as error:
        if named:
            raise UsageError(f"RAY_AUTH_TOKEN_PATH: {error.strerror}: {path}") from error
        return None
