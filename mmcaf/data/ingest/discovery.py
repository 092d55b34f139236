"""Every file under a source folder, sorted, with what it may be. Nothing is opened here.

Links are never followed to a folder or out of the source: a downloaded tree is untrusted. What is
neither a file nor a folder (a pipe would block whoever opens it) is listed, with a reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmcaf.data.ingest.rules import MAX_BYTES
from mmcaf.errors import DataError

__all__ = ["Found", "Kind", "find_files"]

Kind = Literal["image", "annotation", "sheet", "download_list"]


@dataclass(frozen=True, slots=True)
class Found:
    """One file of a source; `kind` goes by name, and is certain only once it is read."""

    source: int  # index of the source folder
    path: str  # relative to it, with forward slashes
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
        DataError: no such folder, or nothing in it.
    """
    if not source.is_dir():
        raise DataError(f"No folder {source}; give the one the collection was downloaded to.")
    root = Path(os.path.realpath(source))
    skipped = os.path.realpath(without) if without is not None else ""
    found = sorted(_walk(root, root, index, skipped), key=lambda file: file.path)
    if not found:
        raise DataError(f"The folder {source} holds no files.")
    return found


def _walk(folder: Path, root: Path, index: int, skipped: str) -> Iterator[Found]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.path == skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), root, index, skipped)
            else:
                yield _found(entry, root, index)


def _found(entry: os.DirEntry[str], root: Path, index: int) -> Found:
    path = Path(entry.path).relative_to(root).as_posix()
    try:
        path.encode()
    except UnicodeEncodeError:  # no table can hold it; shown as Python writes it
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        return Found(index, shown, "image", 0, 0, "E_UNREADABLE")
    reason = None
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if not (target.is_file() and target.is_relative_to(root)):
            return Found(index, path, _kind(path), 0, 0, "E_SYMLINK")
    elif not entry.is_file():
        return Found(index, path, _kind(path), 0, 0, "E_NOT_REGULAR")
    status = entry.stat()
    if status.st_size > MAX_BYTES:
        reason = "E_TOO_LARGE"
    return Found(index, path, _kind(path), status.st_size, status.st_mtime_ns, reason)


def _kind(path: str) -> Kind:
    name = path.rsplit("/", 1)[-1].lower()
    if name.endswith(".xml"):
        return "annotation"
    if name.endswith(".xlsx") and "clinical" in name:
        return "sheet"
    return "download_list" if name == "metadata.csv" else "image"
