"""Files that appear whole or not at all.

A file is written beside its place under a name every reader ignores (leading dot, another
ending), flushed to disk, then moved into place in one step.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["StorageError", "locked", "replacing", "write_json"]


class StorageError(OSError):
    """A file could not be written: the disk is full, or the folder is read-only."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside `path`; on success it becomes `path`, on a fault it is removed.

    Raises:
        StorageError: the disk is full or the folder cannot be written; says what to do.
    """
    beside = path.with_name(f".{path.name}.tmp-{socket.gethostname()}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise StorageError(
            error.errno,
            f"Cannot write {path}: {error.strerror or error}. Free some space or choose another "
            "folder; what was there before is unchanged.",
        ) from error
    finally:
        with suppress(NotADirectoryError):  # its folder is a file, which the fault above says
            beside.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON, keys in the order given."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """One process at a time makes `path`; the others wait. The lock ends with the process.

    Yields whether the lock was taken, which without `wait` it may not be.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("a")
    except OSError as error:
        raise StorageError(error.errno, f"Cannot write beside {path}: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
