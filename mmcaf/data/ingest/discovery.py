"""Every file under a source folder, sorted, with what it may be. Nothing is opened here.

Links are never followed to a folder or out of the source: a downloaded tree is untrusted. What is
neither a file nor a folder (a pipe would block whoever opens it) is listed, with a reason, and so
is whatever another program left beside the data, is empty, or may not be read. Nothing stops the
others from being listed.

A name that is no UTF-8 fits in no table: it is kept with `\\xNN` for the bytes in question, and
`located` finds the file by it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmcaf.data.ingest.rules import MAX_BYTES
from mmcaf.errors import DataError

__all__ = ["Found", "Kind", "find_files", "located"]

Kind = Literal["image", "annotation", "sheet", "download_list", "companion", "folder"]

# Beside every file on a foreign disk (macOS), beside an open document (Office, LibreOffice), and
# what is deleted but still open somewhere (NFS, FUSE).
_COMPANION_STARTS = ("._", "~$", ".~lock.", ".nfs0", ".fuse_hidden")
_COMPANIONS = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", ".directory"}
_COMPANIONS |= {"dicomdir", "dicomdir;1"}  # a list of images, no image
_COMPANION_FOLDERS = {  # of unpackers, file servers and waste bins; what lies in them is no data
    "__macosx",
    ".appledouble",
    "@eadir",
    "$recycle.bin",
    "system volume information",
    ".spotlight-v100",
    ".fseventsd",
    ".trashes",
}
_EFFECTIVE = os.access in os.supports_effective_ids
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Found:
    """One file of a source; `kind` goes by name, and is certain only once it is read.

    A folder is listed only where it is empty or cannot be looked into.
    """

    source: int  # index of the source folder
    path: str  # relative to it, with forward slashes; `located` finds it
    kind: Kind
    bytes: int
    mtime_ns: int
    reason: str | None = None  # why it must not be opened


def find_files(source: Path, index: int = 0, *, without: Path | None = None) -> list[Found]:
    """All files under `source`, in the order of their paths.

    Args:
        source: the folder to look through.
        index: its number among the sources.
        without: a folder to leave out, if it lies within: the one that is being written.

    Raises:
        DataError: no such folder, or nothing in it that may be read.
    """
    if not _is_folder(source):
        raise DataError(f"No folder {source}; give the one the collection was downloaded to.")
    root = os.path.realpath(source)
    skipped = os.path.realpath(without) if without is not None else ""
    found = sorted(_walk(root, index, skipped), key=lambda file: file.path)
    closed = [file for file in found if file.reason == "E_NO_ACCESS"]
    if all(file.kind == "folder" for file in found):
        if closed:
            first = os.path.normpath(Path(source, closed[0].path))
            raise DataError(
                f"The folder {first} cannot be read, and there is nothing else in {source}. "
                "Look whose it is; copy it there as your own, or have its rights changed."
            )
        raise DataError(f"The folder {source} holds no files.")
    return found


def located(source: Path, path: str) -> Path:
    r"""The file that is listed as `path` of the folder `source`.

    >>> located(Path("data"), r"a\xb2/1.dcm") == Path(os.fsdecode(b"data/a\xb2/1.dcm"))
    True
    """
    if "\\" not in path:
        return source / path
    pieces = _ESCAPED.split(path)  # text, two digits, text, ...
    raw = [bytes.fromhex(one) if at % 2 else os.fsencode(one) for at, one in enumerate(pieces)]
    return source / os.fsdecode(b"".join(raw))


def _listed(path: str) -> str:
    """A relative path as tables hold it; what already looks like an escape is escaped itself."""
    plain = path.replace(os.sep, "/")
    if "\\" in plain:
        plain = _ESCAPED.sub(r"\\x5cx\1", plain)
    try:
        plain.encode()
    except UnicodeEncodeError:
        return os.fsencode(plain).decode("utf-8", "backslashreplace")
    return plain


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a folder above it may not be searched
        raise DataError(f"Cannot look into {path}: {error.strerror}.") from error


def _walk(root: str, index: int, skipped: str) -> Iterator[Found]:
    """Files and the folders that have none; deep trees need no deep recursion."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        entries, whole = _entries(folder)
        if not whole or not entries:
            reason = "E_EMPTY" if whole else "E_NO_ACCESS"
            yield Found(index, _listed(os.path.relpath(folder, root)), "folder", 0, 0, reason)
        for entry in entries:
            if entry.path == skipped:
                continue
            if _is_real_folder(entry):
                waiting.append(entry.path)
            else:
                yield _found(entry, root, index)


def _entries(folder: str) -> tuple[list[os.DirEntry[str]], bool]:
    """What a folder holds, and whether that is all of it."""
    found: list[os.DirEntry[str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.append(entry)
    except OSError:
        return found, False
    return found, True


def _is_real_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _found(entry: os.DirEntry[str], root: str, index: int) -> Found:
    path = _listed(entry.path[len(root) :].lstrip(os.sep))
    kind = _kind(path)
    try:
        reason = "E_COMPANION" if kind == "companion" else _closed(entry, root)
        if reason is not None:
            return Found(index, path, kind, 0, 0, reason)
        status = entry.stat()
    except OSError:  # it vanished, its folder may not be searched, the disk fails
        return Found(index, path, kind, 0, 0, "E_NO_ACCESS")
    if status.st_size > MAX_BYTES:
        reason = "E_TOO_LARGE"
    elif not status.st_size:
        reason = "E_EMPTY"
    return Found(index, path, kind, status.st_size, status.st_mtime_ns, reason)


def _closed(entry: os.DirEntry[str], root: str) -> str | None:
    """Why an entry must not be opened, whatever its size."""
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if not (target.is_file() and target.is_relative_to(root)):
            return "E_SYMLINK"
    elif not entry.is_file():
        return "E_NOT_REGULAR"
    return None if os.access(entry.path, os.R_OK, effective_ids=_EFFECTIVE) else "E_NO_ACCESS"


def _kind(path: str) -> Kind:
    *folders, name = path.lower().split("/")
    if (
        name.startswith(_COMPANION_STARTS)
        or name in _COMPANIONS
        or any(folder in _COMPANION_FOLDERS or folder.startswith(".trash-") for folder in folders)
    ):
        return "companion"
    if name.endswith(".xml"):
        return "annotation"
    if name.endswith((".xlsx", ".csv", ".tsv")) and "clinical" in name:
        return "sheet"
    return "download_list" if name == "metadata.csv" else "image"
