"""What a disk may hold after the power was cut: rebuilt from the log of `shim.c`.

A disk keeps what was synced. Of the rest it may keep anything: entries of folders in their order up
to some point (ext4, xfs), or any of them (what POSIX allows); of a file's content nothing, a part,
or zeros of the right length.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

__all__ = ["MODES", "Change", "Mode", "read_log", "rebuild"]

_HEAD = struct.Struct("<c7xQQQII")
Mode = Literal["nothing", "names", "ordered", "any"]
MODES: Sequence[Mode] = ("nothing", "names", "ordered", "any")
"""What of the unsynced survives: nothing; all names and no content; names in their order up to some
point, with content or without; any names, with content or without. A synced file has its name in
all but `nothing` and `any`, where only a synced folder has names."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a file or of a folder's entries."""

    kind: str
    inode: int
    offset: int
    size: int
    path: str
    other: str
    data: bytes


@dataclass(slots=True, eq=False)
class _File:
    """A file or, without content, a folder."""

    folder: bool = False
    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


@dataclass(slots=True)
class _Entry:
    """A change of names: of `file` to `path`, or away from it."""

    path: str
    file: _File | None
    gone: str | None = None  # the name it had before, of a rename
    made: bool = False
    durable: bool = False


def read_log(path: Path) -> list[Change]:
    """The changes in their order.

    Raises:
        ValueError: something was done that the log does not hold.
    """
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        kind, inode, offset, size, n, m = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name, other = data[at : at + n].decode(), data[at + n : at + n + m].decode()
        at += n + m
        length = size if kind == b"W" else 0
        found.append(
            Change(kind.decode(), inode, offset, size, name, other, data[at : at + length])
        )
        at += length
    strange = [one for one in found if one.kind == "X"]
    if strange:
        raise ValueError(f"what cannot be replayed was done: {strange[:3]}")
    return found


class _Disk:
    """The files of a folder, and which of their changes are on the disk."""

    def __init__(self, root: str, *, files_bring_names: bool) -> None:
        self._root, self._files_bring_names = root, files_bring_names
        self.files: dict[int, _File] = {}
        self.names: dict[str, _File] = {root: _File(folder=True)}
        self.entries: list[_Entry] = []  # in order

    def apply(self, change: Change) -> None:
        path, other = change.path, change.other
        match change.kind:
            case "C" | "M":
                self.files[change.inode] = file = _File(folder=change.kind == "M")
                self._enter(_Entry(path, file, made=True))
            case "W":
                now, end = self.files[change.inode].now, change.offset + len(change.data)
                now.extend(bytes(max(0, end - len(now))))
                now[change.offset : end] = change.data
            case "T":
                now = self.files[change.inode].now
                del now[change.size :]
                now.extend(bytes(change.size - len(now)))
            case "R":
                self._enter(_Entry(other, self.names[path], gone=path))
            case "L":
                self._enter(_Entry(path, self.files[change.inode]))
            case "U":
                self._enter(_Entry(path, None))
            case "S":
                self._sync(self.files[change.inode])
            case "D":
                self._sync_folder(change.path)
            case "Z":
                for file in self.files.values():
                    self._sync(file)
                for entry in self.entries:
                    entry.durable = True

    def _enter(self, entry: _Entry) -> None:
        self.entries.append(entry)
        _take(self.names, entry)

    def _sync(self, file: _File) -> None:
        file.synced = bytes(file.now)
        if self._files_bring_names:  # and with them, in one journal, all changes of names so far
            last = max((i for i, one in enumerate(self.entries) if one.file is file), default=-1)
            for entry in self.entries[: last + 1]:
                entry.durable = True

    def _sync_folder(self, folder: str) -> None:
        mine = [
            i
            for i, one in enumerate(self.entries)
            if _parent(one.path) == folder or (one.gone and _parent(one.gone) == folder)
        ]
        upto = max(mine, default=-1) + 1 if self._files_bring_names else 0
        for i, entry in enumerate(self.entries):
            entry.durable = entry.durable or i < upto or i in mine


def _parent(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _take(names: dict[str, _File], entry: _Entry) -> None:
    """Bring `names` up to `entry`; where what it needs is not there, nothing happens."""
    if entry.file is None:
        names.pop(entry.path, None)
        return
    if _parent(entry.path) not in names:
        return
    if entry.gone is not None and names.get(entry.gone) is entry.file:
        del names[entry.gone]
        inside = [one for one in names if one.startswith(entry.gone + "/")]
        for one in inside:  # a folder takes along what lies in it
            names[entry.path + one.removeprefix(entry.gone)] = names.pop(one)
    names[entry.path] = entry.file


def rebuild(
    changes: Sequence[Change], root: Path, out: Path, mode: Mode, chance: random.Random | None
) -> None:
    """Write below `out` what the disk holds of `root` after `changes` and a power cut.

    Args:
        changes: all that were made, from an empty folder on.
        root: the folder they were made in.
        out: a new folder.
        mode: what of the unsynced survives.
        chance: decides; without it only that survives which is sure to.
    """
    disk = _Disk(str(root), files_bring_names=mode in ("names", "ordered"))
    for change in changes:
        disk.apply(change)
    names = {str(root): _File(folder=True)}
    for entry in _kept(disk.entries, mode, chance):
        _take(names, entry)
    out.mkdir()
    for path, file in sorted(names.items()):
        target = out / PurePosixPath(path).relative_to(str(root))
        if file.folder:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(_content(file, mode, chance))


def _kept(entries: Sequence[_Entry], mode: Mode, chance: random.Random | None) -> Iterator[_Entry]:
    if chance is None:
        yield from (entry for entry in entries if entry.durable)
        return
    durable = [i for i, entry in enumerate(entries) if entry.durable]
    upto = len(entries)
    if mode == "ordered":
        upto = chance.randint(durable[-1] + 1 if durable else 0, len(entries))
    for i, entry in enumerate(entries):
        match mode:
            case "nothing":
                kept = entry.durable
            case "names" | "ordered":
                kept = i < upto
            case "any":
                kept = entry.durable or chance.random() < 0.5
        if kept:
            yield entry


def _content(file: _File, mode: Mode, chance: random.Random | None) -> bytes:
    now = bytes(file.now)
    if chance is None or now == file.synced or mode in ("nothing", "names"):
        return file.synced
    match chance.randrange(4):
        case 0:
            return file.synced
        case 1:
            return now
        case 2:  # as far as it was written out
            return now[: chance.randint(len(file.synced), max(len(file.synced), len(now)))]
        case _:  # the length, and not yet the blocks
            common = _common(file.synced, now)
            return now[:common] + bytes(len(now) - common)


def _common(one: bytes, two: bytes) -> int:
    """Length of what both begin with."""
    pairs = enumerate(zip(one, two, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(two)))
