"""What no command may do, so that a test sees each of it noticed."""

from __future__ import annotations

import pickle
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl

__all__ = ["does"]


def _follow(path: Path) -> None:
    Path("out/link").symlink_to(path)
    Path("out/link").read_bytes()


def _raise(path: Path) -> None:
    raise KeyError(path)


_DEEDS: dict[str, Callable[[Path], object]] = {
    "open": Path.read_bytes,
    "write": lambda path: path.write_text("x"),
    "remove": Path.unlink,
    "connect": lambda _: socket.create_connection(("127.0.0.1", 9), timeout=0.1),
    "start": lambda _: subprocess.run(["true"], check=False),
    "unpickle": lambda _: pickle.loads(b"cos\nsystem\n."),  # noqa: S301
    "follow": _follow,
    "raise": _raise,
    "natively": pl.read_parquet,
}


def does(what: str, path: Path) -> int:
    """Do it; what the system says to it does not matter."""
    try:
        _DEEDS[what](path)
    except OSError:
        return 0
    return 0
