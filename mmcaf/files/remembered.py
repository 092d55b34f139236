"""What was found out of a file's content, once per state of the file.

A state is size, times and inode: whoever writes to a file changes it. What is remembered lies in
this program's own cache and nowhere else; beside the files, a stranger could have put it there.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from mmcaf.errors import DataError
from mmcaf.files.atomic import locked, write_json
from mmcaf.files.remote import cache_folder
from mmcaf.files.untrusted import open_regular, read_json

__all__ = ["Remembered", "State", "remembered", "state_of"]

State = tuple[int, int, int, int]  # size in bytes, mtime and ctime in ns, inode

_SETTLED_NS = 2_000_000_000
"""A file written so lately may be written once more within one tick of its file system's clock."""


class _Kept(msgspec.Struct):
    files: dict[str, tuple[State, str]]


@dataclass(slots=True)
class Remembered:
    """Of the files of one folder: name -> state and what was found; the caller names its files."""

    files: dict[str, tuple[State, str]] = field(default_factory=dict)
    changed: bool = False

    def get(self, name: str, state: State) -> str | None:
        """What was found of the file `name` in this state; None where it was not looked at."""
        known = self.files.get(name)
        return known[1] if known is not None and known[0] == state else None

    def keep(self, name: str, state: State, found: str) -> None:
        """Remember it, unless the file is so young that its state could stay while it changes."""
        if abs(time.time_ns() - state[2]) > _SETTLED_NS:  # whatever the clocks say
            self.files[name] = state, found
            self.changed = True


@contextmanager
def remembered(folder: Path) -> Iterator[Remembered]:
    """What is remembered of files in `folder`; kept when the block ends without a fault.

    One process of this machine at a time, the others wait: they then find what it found. Where the
    cache cannot be written nothing is remembered, and nobody waits.
    """
    with ExitStack() as stack:
        path = None
        with suppress(OSError, RuntimeError):  # no home folder, a read-only one, no locks there
            path = _place(folder)
            stack.enter_context(locked(path))
        found = Remembered(_read(path))
        yield found
        if found.changed and path is not None:
            with suppress(OSError):
                write_json(path, {"files": found.files})


def state_of(path: Path) -> State:
    """The state of a file, by one look at it.

    Raises:
        OSError: there is none.
    """
    now = path.lstat()
    return now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino


def _place(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_folder() / "remembered" / f"{name[:32]}.json"


def _read(path: Path | None) -> dict[str, tuple[State, str]]:
    """What is kept; nothing where that is damaged, or another user could have written it."""
    if path is None:
        return {}
    try:
        with open_regular(path) as file:
            now = os.fstat(file.fileno())
        if now.st_uid != os.geteuid() or now.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return {}
        return read_json(path, _Kept, remedy="").files
    except (DataError, OSError):
        return {}
