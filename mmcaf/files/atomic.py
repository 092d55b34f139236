"""Files that appear whole or not at all, and are for their user alone.

A file is written beside its place under a name every reader ignores (leading dot, another
ending), flushed to disk, then moved into place in one step. Whatever this program makes has to do
with patients: files get mode 600, folders 700. With `MMCAF_SHARED=1` the umask decides, as usual.
What was there before keeps its mode, unless it is replaced.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

__all__ = [
    "SHARED_VARIABLE",
    "StorageError",
    "file_mode",
    "flocked",
    "is_shared",
    "is_temporary",
    "locked",
    "make_folder",
    "open_for_locking",
    "replacing",
    "sync_folder",
    "write_json",
]

SHARED_VARIABLE = "MMCAF_SHARED"
"""Unless empty or 0: files and folders are as open as the umask says."""


_TEMPORARY = re.compile(r"\..+\.tmp-.+-[0-9]+(-[0-9a-f]{8})?")  # without the last part: by 0.1.0


class StorageError(OSError):
    """A file could not be written: the disk is full, or the folder is read-only."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside `path`; on success it becomes `path`, on a fault it is removed.

    Raises:
        StorageError: the disk is full or the folder cannot be written; says what to do.
    """
    mark = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    beside = path.with_name(f".{path.name}.tmp-{mark}")  # nobody can put a link there beforehand
    try:
        make_folder(path.parent)
        yield beside
        with beside.open("rb") as file:
            if not is_shared():
                with suppress(OSError):  # a file system without modes
                    os.fchmod(file.fileno(), file_mode())
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            error.errno,
            f"Cannot write {path}: {error.strerror or error}. Free some space or choose another "
            "folder; what was there before is unchanged.",
        ) from error
    finally:
        # Its folder is a file or may not be searched, which the fault above says.
        with suppress(NotADirectoryError, PermissionError):
            beside.unlink(missing_ok=True)


def is_temporary(name: str) -> bool:
    """Whether `replacing` gives files such a name until they are whole.

    >>> is_temporary(".00003.parquet.tmp-host-812-0f3a9c1e"), is_temporary("00003.parquet")
    (True, False)
    """
    return _TEMPORARY.fullmatch(name) is not None


def is_shared() -> bool:
    """Whether the user wants others to read what is made, as far as the umask lets them."""
    return os.environ.get(SHARED_VARIABLE, "") not in ("", "0")


def file_mode() -> int:
    """The mode to create a file with; the umask takes its part off."""
    return 0o666 if is_shared() else 0o600


def make_folder(path: Path) -> None:
    """Make a folder and what is missing above it, for this user alone unless `is_shared`.

    A power cut takes none of them away again.

    Raises:
        OSError: it cannot be made, or a file is in its place.
    """
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent)
    path.mkdir(0o777 if is_shared() else 0o700, exist_ok=True)  # another may have been first
    sync_folder(path.parent)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON, keys in the order given."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def open_for_locking(path: Path) -> TextIO:
    """A lock file, made if missing, open for reading and writing; its content is left as it is.

    A link is refused, and so is whatever is no regular file: it could be a file of somebody else.

    Raises:
        StorageError: it cannot be opened, or is no regular file; says what to do.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, file_mode())
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise StorageError(error.errno, _no_lock(path)) from error
        raise StorageError(
            error.errno, f"Cannot write {path}: {error.strerror or error}."
        ) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StorageError(None, _no_lock(path))
    return open(path, "r+", encoding="utf-8", opener=lambda *_: handle)  # named as its path is


def flocked(file: TextIO, *, wait: bool) -> bool:
    """Whether the open file is locked now; without `wait` another process may have the lock.

    Raises:
        StorageError: its file system has no locks; says what to do.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise StorageError(
            error.errno,
            f"{file.name} cannot be locked: {error.strerror}. Without locks two processes could "
            "write at once, so nothing is done. Have the file system mounted with locks, or choose "
            "a folder on another one.",
        ) from error
    return True


def _no_lock(path: Path) -> str:
    return (
        f"{path} is a link or no regular file, so it is not locked: it may lead to a file of "
        "somebody else. Look what it is, and delete it if it is not yours."
    )


def sync_folder(folder: Path) -> None:
    """Have the entries of `folder` on disk, where the file system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """One process at a time makes `path`; the others wait. The lock ends with the process.

    Yields whether the lock was taken, which without `wait` it may not be.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        make_folder(path.parent)
    except OSError as error:
        raise StorageError(error.errno, f"Cannot write beside {path}: {error.strerror}.") from error
    with open_for_locking(path.with_name(f".{path.name}.lock")) as file:
        yield flocked(file, wait=wait)
