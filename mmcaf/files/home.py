"""`~` as a shell reads it, wherever a user gives a path: no shell writes out that of `--out=~/x`.

For what a user gave only: a folder that is found somewhere may be called `~`.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["from_home", "home_path"]


def from_home(text: str) -> str:
    """A path or an address as a user writes it, a `~` at its start written out."""
    return os.path.expanduser(text)  # noqa: PTH111 - Path's own raises for an unknown user


def home_path(given: str | os.PathLike[str]) -> Path:
    """The path that a user gave, a `~` at its start written out; given again, it stays the same.

    A folder that is called `~` is given as `./~`.
    """
    path = Path(from_home(os.fspath(given)))
    return path.absolute() if str(path).startswith("~") else path
