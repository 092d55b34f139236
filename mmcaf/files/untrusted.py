"""Files that may come from a stranger: opened without following links, read through a type.

A folder of a study or a cohort is data. Nothing in it may lead out of it, and nothing in it may
make a reader wait or fill its memory: whatever is no regular file, or is reached through a link, is
refused, and so is a file that is too large for what it is.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from functools import cache
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmcaf.errors import DataError

__all__ = [
    "all_checked",
    "checked",
    "decode",
    "open_array",
    "open_regular",
    "read_bytes",
    "read_if_small",
    "read_json",
    "straight",
    "within",
]

T = TypeVar("T")

MOST_BYTES = 1 << 26
"""A JSON file may have so many; the largest real one, of 10,000 cases, has some megabytes."""

_ARRAY = re.compile(  # the header that `numpy.save` writes, and no other literal
    r"\{'descr': '([<|][a-z][0-9]{1,2})', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n"
)
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def within(folder: Path, text: str) -> Path:
    """The file that `text`, read from a file, means in `folder`; it need not be there.

    Raises:
        DataError: it is absolute, climbs out with `..`, or passes through a link.
    """
    way = PurePosixPath(text)
    if not text or "\0" in text or way.is_absolute() or ".." in way.parts:
        raise DataError(
            f"{folder} names a file {text!r}. Only a way inside the folder is followed; the folder "
            "is damaged or not to be trusted."
        )
    return checked(folder / way, folder)


def checked(path: Path, folder: Path) -> Path:
    """`path`, which lies in `folder`, if no link leads to it and it is a regular file or missing.

    The folder itself may be a link, since its user chose it.

    Raises:
        DataError: a link on the way, or a folder, FIFO or device in the file's place.
    """
    _check_regular(straight(path, folder))
    return path


def all_checked(paths: Iterable[Path], folder: Path) -> None:
    """`checked` for many files; of each folder that they lie in, the way is looked at once.

    Raises:
        DataError: as `checked` says.
    """
    files = [*paths]
    for parent in {os.path.dirname(path) for path in files}:  # noqa: PTH120 - five times as fast
        straight(Path(parent, "any"), folder)
    for path in files:
        _check_regular(path)


def straight(path: Path, folder: Path) -> Path:
    """`path`, which lies in `folder`, if nothing on the way to it is a link, or no folder.

    What lies at `path` itself is not looked at: whoever replaces or deletes it does so to a link,
    not to what the link leads to.

    Raises:
        DataError: a link on the way, or something else that is no folder.
    """
    below = path.relative_to(folder)
    for part in [folder / one for one in reversed(below.parents)][1:]:
        try:
            mode = os.lstat(part).st_mode
        except FileNotFoundError:
            break
        except OSError as error:
            raise DataError(_unreadable(part, error)) from error
        if not stat.S_ISDIR(mode):
            raise DataError(_refusal(part, _kind(mode)))
    return path


def _check_regular(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:  # a file in a folder's place, a name that is too long
        raise DataError(_unreadable(path, error)) from error
    if not stat.S_ISREG(mode):
        raise DataError(_refusal(path, _kind(mode)))


def open_regular(path: Path) -> BinaryIO:
    """`path`, open for reading bytes; never waits for a FIFO, never follows a link.

    Raises:
        FileNotFoundError: there is none.
        DataError: no regular file, or it cannot be read.
    """
    try:
        handle = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise DataError(_refusal(path, "a link")) from error
        raise DataError(_unreadable(path, error)) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise DataError(_refusal(path, _kind(mode)))
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        FileNotFoundError: there is none.
        DataError: no regular file, larger, or it cannot be read.
    """
    with open_regular(path) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise DataError(_unreadable(path, error)) from error
    if len(content) > most:
        raise DataError(
            f"{path} is larger than {most} bytes, far more than such a file ever has, so it is not "
            "read. Look what it is; copy the file itself there."
        )
    return content


def read_if_small(path: Path | str, most: int) -> bytes | None:
    """The content of a regular file; None where that is more than `most` bytes.

    For thousands of files: nothing but the way to the file itself is looked at.

    Raises:
        OSError: there is none, a link, or it cannot be read.
        DataError: a folder, a FIFO or a device.
    """
    handle = os.open(path, _FLAGS)
    try:
        now = os.fstat(handle)
        if not stat.S_ISREG(now.st_mode):
            raise DataError(_refusal(Path(path), _kind(now.st_mode)))
        return os.read(handle, now.st_size) if now.st_size <= most else None
    finally:
        os.close(handle)


def open_array(path: Path, *, mode: Literal["r", "c"] = "r") -> NDArray[Any]:
    """The array that `numpy.save` wrote to `path`, mapped; no byte of it is read yet.

    Args:
        path: a regular file.
        mode: `r` to read only, `c` where changes stay in memory.

    Raises:
        FileNotFoundError: there is none.
        DataError: no regular file, or it holds no array of numbers as long as it says.
    """
    with open_regular(path) as file:
        start = file.read(10)
        length = int.from_bytes(start[8:], "little")
        header = _ARRAY.fullmatch(file.read(length).decode("latin-1"))
        if start[:8] != b"\x93NUMPY\x01\x00" or header is None:
            raise DataError(f"{path} is damaged: it is no array as this program writes them.")
        try:
            kind = np.dtype(header[1])
        except TypeError as error:
            raise DataError(f"{path} is damaged: it holds {header[1]}.") from error
        shape = tuple(int(size[:20]) for size in header[2].replace(" ", "").split(",") if size)
        size = os.fstat(file.fileno()).st_size
        if kind.kind not in "biuf" or size != 10 + length + prod(shape) * kind.itemsize:
            raise DataError(f"{path} is damaged: {size} bytes are no {kind} {list(shape)}.")
        if not prod(shape):  # nothing can be mapped
            return np.zeros(shape, kind)
        return np.memmap(file, kind, mode, 10 + length, shape)


def read_json(path: Path, kind: type[T], *, remedy: str) -> T:
    """The JSON in `path` as a value of `kind`, a `msgspec.Struct` or any type that msgspec knows.

    Args:
        path: a regular file.
        kind: what it must hold.
        remedy: what to do where it does not, a sentence.

    Raises:
        FileNotFoundError: there is none.
        DataError: no such file can be read, or it holds something else; names the field.
    """
    return decode(read_bytes(path), kind, source=str(path), remedy=remedy)


def decode(text: bytes | str, kind: type[T], *, source: str, remedy: str) -> T:
    """JSON text as a value of `kind`; `source` is its name in a fault.

    Raises:
        DataError: it holds something else; names the field.
    """
    try:
        found: T = _decoder(kind).decode(text)  # type: ignore[arg-type] # types are hashable
        return found
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{source} is damaged: {told}. {remedy}") from error


@cache  # msgspec 0.22 ends the process when it frees what it knows of a union with a list in it
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _refusal(path: Path, kind: str) -> str:
    return (
        f"{path} is {kind}, where a plain file or folder of this program belongs, so it is not "
        "read: it may lead to a file of somebody else. Look what it is; delete it, or copy the "
        "file itself there."
    )


def _unreadable(path: Path, error: OSError) -> str:
    return f"Cannot read {path}: {error.strerror}. Look whose it is; copy it there as your own."


def _kind(mode: int) -> str:
    names = {
        stat.S_IFLNK: "a link",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFREG: "a file",
    }
    return names.get(stat.S_IFMT(mode), "a device")
