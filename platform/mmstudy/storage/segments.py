"""The tables of a study, wherever their rows lie: one file per trial, or segments of many.

Compaction (`mmstudy.storage.compaction`) writes segments, then replaces `manifest.json`, then
deletes the small files; so a reader that lists the small files first, then the manifest, finds
every row in one of the two. Should a listed file be gone when it is opened,
the reader begins again, and finds the rows in the segment. A trial that the manifest names is read
from its segment only: a small file of it that was not deleted in time is not counted twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import polars as pl
import pyarrow as pa
from msgspec import Meta

from mmstudy.errors import MMStudyError
from mmstudy.storage.parquet import read_json, read_tables
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.schema import METRICS, MOST_TRIALS, PREDICTIONS, TRIALS

__all__ = [
    "ORDER",
    "SCHEMAS",
    "Segment",
    "Table",
    "all_owners",
    "loose_files",
    "loose_path",
    "read_table",
    "rows_of",
    "segments_of",
    "table_files",
]

Table = Literal["trials", "metrics", "predictions"]
SCHEMAS: Final[Mapping[Table, pa.Schema]] = {
    "trials": TRIALS,
    "metrics": METRICS,
    "predictions": PREDICTIONS,
}
ORDER: Final[Mapping[Table, tuple[str, ...]]] = {
    "trials": ("number",),
    "metrics": ("number", "fold", "epoch"),
    "predictions": ("number", "fold", "epoch", "case"),
}
_LOOSE = re.compile(r"([0-9]{5,9})\.(?:val\.)?parquet")
_READS = 5  # of files that vanish between listing and opening


_Name = Annotated[str, Meta(pattern=r"^[a-z][A-Za-z0-9._-]{0,100}\.parquet$")]
_Number = Annotated[int, Meta(ge=0, lt=MOST_TRIALS)]


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A segment, and which trials' rows it holds: first and last of each run of numbers."""

    file: _Name
    numbers: Annotated[tuple[tuple[_Number, _Number], ...], Meta(max_length=MOST_TRIALS)]


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    trials: tuple[_Entry, ...] = ()
    metrics: tuple[_Entry, ...] = ()
    predictions: tuple[_Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of many trials' rows, and of which."""

    file: Path
    numbers: frozenset[int]


def read_table(paths: StudyPaths, table: Table) -> pl.DataFrame:
    """All rows of a table.

    Raises:
        MMStudyError: a file cannot be read, or holds what no study writes; names it.
    """
    for attempt in range(_READS):
        files = table_owners(paths, table)
        try:
            return read_tables([*files], SCHEMAS[table], limit=paths.root, of=files)
        except MMStudyError:
            if attempt == _READS - 1 or all(file.exists() for file in files):
                raise
    raise AssertionError("unreachable")


def rows_of(paths: StudyPaths, table: Table, number: int) -> pl.DataFrame:
    """The rows of one trial; no rows where there are none.

    Raises:
        MMStudyError: a file cannot be read, or holds what no study writes; names it.
    """
    schema, loose = SCHEMAS[table], loose_path(paths, table, number)
    if paths.has(loose):
        try:
            return read_tables([loose], schema, limit=paths.root, of={loose: (number,)})
        except MMStudyError:
            if loose.exists():
                raise
    for segment in segments_of(paths, table):
        if number in segment.numbers:
            return read_tables([segment.file], schema, number, limit=paths.root)
    return read_tables([], schema, limit=paths.root)


def table_files(paths: StudyPaths, table: Table) -> list[Path]:
    """The files that together hold each row once, now."""
    return [*table_owners(paths, table)]


def table_owners(paths: StudyPaths, table: Table) -> dict[Path, Collection[int]]:
    """The files that together hold each row once, now, each with the trials whose rows it holds."""
    loose = dict(loose_files(paths, table))  # before the manifest: see above
    return _owners(loose, segments_of(paths, table))


def all_owners(paths: StudyPaths) -> dict[Table, dict[Path, Collection[int]]]:
    """`table_owners` of every table, by one look at the manifest."""
    loose: dict[Table, dict[int, Path]] = {
        table: dict(loose_files(paths, table)) for table in SCHEMAS
    }
    manifest = _manifest(paths)
    return {table: _owners(loose[table], _segments(paths, manifest, table)) for table in SCHEMAS}


def _owners(loose: Mapping[int, Path], segments: Iterable[Segment]) -> dict[Path, Collection[int]]:
    found: dict[Path, Collection[int]] = {one.file: one.numbers for one in segments}
    covered = frozenset[int]().union(*found.values())
    found |= {path: (number,) for number, path in loose.items() if number not in covered}
    return found


def segments_of(paths: StudyPaths, table: Table) -> Iterator[Segment]:
    """The segments of a table that the manifest names.

    Raises:
        MMStudyError: the manifest is damaged; names it and the field.
    """
    yield from _segments(paths, _manifest(paths), table)


def _manifest(paths: StudyPaths) -> _Manifest:
    if not paths.has(paths.manifest):
        return _Manifest()
    return read_json(paths.manifest, _Manifest, limit=paths.root)


def _segments(paths: StudyPaths, manifest: _Manifest, table: Table) -> Iterator[Segment]:
    entries: tuple[_Entry, ...] = getattr(manifest, table)
    runs = sorted(run for entry in entries for run in entry.numbers)
    apart = all(before[1] < after[0] for before, after in pairwise(runs))
    names = {entry.file for entry in entries}
    if not apart or any(first > last for first, last in runs) or len(names) < len(entries):
        raise MMStudyError(_damaged(paths, f"it names trials or files of {table} twice"))
    for entry in entries:
        if not entry.file.startswith(table):
            raise MMStudyError(_damaged(paths, f"{entry.file} is no segment of {table}"))
        numbers = frozenset(n for first, last in entry.numbers for n in range(first, last + 1))
        yield Segment(paths.segments / entry.file, numbers)


def _damaged(paths: StudyPaths, why: str) -> str:
    return (
        f"{paths.manifest} is damaged: {why}. Copy the study's segments/ folder again from where "
        "it was made."
    )


def loose_files(paths: StudyPaths, table: Table) -> Iterator[tuple[int, Path]]:
    """The small files of a table, each with its trial's number.

    Raises:
        MMStudyError: their folder is a link, or cannot be listed.
    """
    for path in paths.files(loose_path(paths, table, 0).parent, "[0-9]*.parquet"):
        if found := _LOOSE.fullmatch(path.name):
            yield int(found[1]), path


def loose_path(paths: StudyPaths, table: Table, number: int) -> Path:
    """Where the rows of a trial lie until they are gathered."""
    of = {
        "trials": paths.trial,
        "metrics": paths.trial_metrics,
        "predictions": paths.trial_predictions,
    }
    return of[table](number)
