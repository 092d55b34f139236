"""The one door to a study's files: where they lie, how they are read, and what goes to a store.

A study in an object store is worked with through local copies. The store is the study; a copy only
lets the same code work on files. Readers look at a copy that `refresh` brings up to date. Drivers
and trials write into a copy of their own (`working`, `at(address, "trial")`), and each file is
stored as soon as it is whole. On a plain folder a file is written, and that is all.

No other module knows of the mirror, so none can forget it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import polars as pl
import pyarrow as pa

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError, replacing, write_json
from mmcaf.files.home import home_path
from mmcaf.files.remote import address_of, origin, place
from mmcaf.files.untrusted import straight
from mmstudy.storage import mirror, segments
from mmstudy.storage.parquet import append_rows, read_json, read_rows, write_rows, write_table
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.segments import Table

__all__ = ["StudyFolder", "refresh_root", "working_root"]

T = TypeVar("T")
Use = Literal["read", "work", "trial"]


def working_root(root: Path) -> Path:
    """The folder in which this machine's drivers work on the studies of `root`: itself, or a copy.

    Readers have another copy, which they bring up to date whenever they like.
    """
    return place(address_of(root), "work") if origin(root) else root


def refresh_root(root: Path) -> None:
    """Make a folder for each study of the store that `root` is a copy of."""
    mirror.pull_studies(root)


@dataclass(frozen=True, slots=True)
class StudyFolder(StudyPaths):
    """The files of one study, in a folder or in an object store.

    >>> folder = StudyFolder(Path("studies/heads"))
    >>> folder.trial(3).as_posix()
    'studies/heads/trials/00003.parquet'

    `read_table` and `rows_of` give tables, `put_rows`, `put_json` and `put_text` write small files,
    `put` has any other file written, `drop` deletes. All of them do the same on a study in a store,
    and none follows a link in the folder.
    """

    @classmethod
    def at(cls, address: str, use: Use = "read") -> Self:
        """The study at a path or an address; `use` says whose local copy it is.

        Raises:
            DataError: an address that cannot be opened.
        """
        if "://" not in address:
            return cls(home_path(address))
        head, mark, query = address.partition("?")
        above, _, name = head.rstrip("/").rpartition("/")
        return cls(place(above + mark + query, use) / name)

    @property
    def address(self) -> str:
        """How another machine finds it: an address, or an absolute path."""
        return address_of(self.root)

    @property
    def stored(self) -> bool:
        """Whether it is the copy of a study in an object store."""
        return origin(self.root) is not None

    def working(self) -> StudyFolder:
        """The folder to write into: itself, or the copy that drivers of this machine have."""
        return StudyFolder(working_root(self.root.parent) / self.name) if self.stored else self

    def refresh(self, *, at_once: bool = False) -> None:
        """Bring tables and study.json of a copy up to date, unless that was done a moment ago.

        Raises:
            DataError: the store cannot be reached.
        """
        mirror.pull(self, at_once=at_once)

    def refresh_files(self, folder: Path) -> None:
        """Bring every file of one folder of a copy up to date; what the store lacks is deleted."""
        mirror.pull_folder(self, folder)

    def fetch(self, *files: Path) -> None:
        """Bring single files of a copy up to date; those that the store lacks are deleted."""
        mirror.fetch(self, *files)

    def read_table(self, table: Table) -> pl.DataFrame:
        """All rows of a table, whether its files are gathered or not.

        Raises:
            MMStudyError: a file cannot be read; names it.
        """
        return segments.read_table(self, table)

    def rows_of(self, table: Table, number: int) -> pl.DataFrame:
        """The rows of trial `number`; no rows where there are none.

        Raises:
            MMStudyError: a file cannot be read; names it.
        """
        return segments.rows_of(self, table, number)

    def rows(self, path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
        """The rows of one file; none where there is no file.

        Raises:
            MMStudyError: it cannot be read, or holds what no study writes; names it.
        """
        return read_rows(path, schema, limit=self.root)

    def json(self, path: Path, kind: type[T]) -> T:
        """The JSON in one file as a value of `kind`.

        Raises:
            MMStudyError: missing, half-copied or something else; names file and field.
        """
        return read_json(path, kind, limit=self.root)

    def put_rows(self, path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write one table file, whole or not at all.

        Raises:
            StorageError: it cannot be written; an older file is unchanged.
        """
        write_rows(self.writable(path), schema, rows)
        self.store(path)

    def add_rows(self, path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write what a file holds, then `rows`; for short tables with one writer at a time.

        Raises:
            StorageError: it cannot be written; an older file is unchanged.
        """
        append_rows(self.writable(path), schema, rows, limit=self.root)
        self.store(path)

    def put_table(self, path: Path, table: pa.Table) -> None:
        """Write an Arrow table as one file, whole or not at all.

        Raises:
            StorageError: it cannot be written; an older file is unchanged.
        """
        write_table(self.writable(path), table)
        self.store(path)

    def put_json(self, path: Path, value: Mapping[str, Any]) -> None:
        """Write one JSON file, whole or not at all.

        Raises:
            StorageError: it cannot be written; an older file is unchanged.
        """
        write_json(self.writable(path), value)
        self.store(path)

    def put_text(self, path: Path, text: str) -> None:
        """Write one text file, whole or not at all.

        Raises:
            StorageError: it cannot be written; an older file is unchanged.
        """
        with replacing(self.writable(path)) as beside:
            beside.write_text(text, encoding="utf-8")
        self.store(path)

    def put(self, path: Path, write: Callable[[Path], None]) -> None:
        """Have `write` make the file `path`, whole or not at all, then store it.

        Raises:
            StorageError: it cannot be written or stored.
        """
        write(self.writable(path))
        self.store(path)

    def hand_over(self, path: Path, write: Callable[[Path], None]) -> None:
        """Have a large file written and stored; a copy then keeps none, and `fetch` brings it back.

        Raises:
            StorageError: it cannot be written or stored.
        """
        write(self.writable(path))
        mirror.hand_over(self, path)

    def writable(self, path: Path) -> Path:
        """`path`, a file of the study that may be written or deleted: no link leads there.

        Raises:
            StorageError: a folder on the way is a link, which may lead out of the study.
        """
        try:
            return straight(path, self.root)
        except DataError as error:
            raise StorageError(None, f"Nothing is written or deleted there: {error}") from error

    def store(self, *files: Path) -> None:
        """Store files of a copy, in this order.

        Raises:
            StorageError: one cannot be stored.
        """
        mirror.publish(self, *files)

    def drop(self, *files: Path) -> None:
        """Delete files, here and in the store.

        Raises:
            StorageError: one cannot be deleted there.
        """
        mirror.withdraw(self, *(self.writable(file) for file in files))

    def put_aside(self, path: Path, reason: str, *, keep: bool = False) -> None:
        """Move a file that cannot be used into `quarantine/`, beside a note that says why.

        Nothing happens where there is no such file. A link is moved itself, not what it leads to;
        what lies behind a link is not moved.
        With `keep` a copy is put aside, and the file stays until it is written anew.

        Raises:
            StorageError: it cannot be moved, here or in the store.
        """
        if not path.is_symlink() and not path.exists():
            return
        self.writable(self.quarantine / path.name)
        way = self.writable(path).relative_to(self.root)
        name = "-".join(way.parts)
        taken = (self.quarantine / f"{n:04d}-{name}" for n in count(1))
        there = next(place for place in taken if not place.is_symlink() and not place.exists())
        note = there.with_name(f"{there.name}.why.txt")
        with replacing(self.writable(note)) as beside:
            beside.write_text(f"{way.as_posix()}: {reason}\n", encoding="utf-8")
        try:
            shutil.copyfile(path, there, follow_symlinks=False) if keep else path.rename(there)
        except OSError as error:
            raise StorageError(error.errno, f"Cannot move {path}: {error.strerror}.") from error
        if self.stored:
            self.store(note, *([there] if there.is_file() and not there.is_symlink() else ()))
            if not keep:
                self.drop(path)

    def delete(self) -> None:
        """Delete everything in the study, in its store, and in all of this machine's copies.

        `study.json` goes last, so that an interrupted deletion can go on. The empty folder stays:
        whoever holds the lock deletes it when the lock is closed.
        """
        if (remote := origin(self.root)) is not None:
            remote.delete_all()
            copies = {StudyFolder.at(remote.address, use).root for use in get_args(Use)}
            for copy in copies - {self.root}:
                shutil.rmtree(copy, ignore_errors=True)
        for path in sorted(self.root.iterdir(), key=lambda path: path == self.study):
            linked = path.is_symlink()  # what a link leads to stays
            shutil.rmtree(path) if path.is_dir() and not linked else path.unlink()

    def store_journal(self) -> None:
        """Store what was added to the journal since the last time."""
        mirror.publish_journal(self)

    def fetch_journal(self) -> None:
        """Put the journal of a copy together from its parts.

        Raises:
            StorageError: a part is missing.
        """
        mirror.pull_journal(self)

    def store_stages(self) -> None:
        """Store what earlier stages of training have learnt here."""
        mirror.publish_stages(self)

    def fetch_stages(self) -> None:
        """Fetch what earlier stages of training have learnt on other machines."""
        mirror.pull_stages(self)
