"""The tables of a study, wherever their rows lie: one file per trial, or segments of many.

Compaction (`mmstudy.storage.compaction`) writes segments, then replaces `manifest.json`, then
deletes the small files; so a reader that lists the small files first, then the manifest, finds
every row in one of the two. Should a listed file be gone when it is opened,
the reader begins again, and finds the rows in the segment. A trial that the manifest names is read
from its segment only: a small file of it that was not deleted in time is not counted twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
import pyarrow as pa

from mmstudy.errors import MMStudyError
from mmstudy.storage.parquet import read_json, read_tables
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.schema import METRICS, PREDICTIONS, TRIALS

__all__ = [
    "ORDER",
    "SCHEMAS",
    "Segment",
    "Table",
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
_SEGMENT = re.compile(r"[a-z][A-Za-z0-9._-]*\.parquet")
_MOST_TRIALS = 10_000_000
_LOOSE = re.compile(r"(\d{5,})\.(?:val\.)?parquet")
_READS = 5  # of files that vanish between listing and opening


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of many trials' rows, and of which."""

    file: Path
    numbers: frozenset[int]


def read_table(paths: StudyPaths, table: Table) -> pl.DataFrame:
    """All rows of a table.

    Raises:
        MMStudyError: a file cannot be read; names it.
    """
    for attempt in range(_READS):
        files = table_files(paths, table)
        try:
            return read_tables(files, SCHEMAS[table])
        except MMStudyError:
            if attempt == _READS - 1 or all(file.exists() for file in files):
                raise
    raise AssertionError("unreachable")


def rows_of(paths: StudyPaths, table: Table, number: int) -> pl.DataFrame:
    """The rows of one trial; no rows where there are none.

    Raises:
        MMStudyError: a file cannot be read; names it.
    """
    loose = loose_path(paths, table, number)
    if loose.exists():
        try:
            return read_tables([loose], SCHEMAS[table])
        except MMStudyError:
            if loose.exists():
                raise
    for segment in segments_of(paths, table):
        if number in segment.numbers:
            return read_tables([segment.file], SCHEMAS[table], number)
    return read_tables([], SCHEMAS[table])


def table_files(paths: StudyPaths, table: Table) -> list[Path]:
    """The files that together hold each row once, now."""
    loose = dict(loose_files(paths, table))  # before the manifest: see above
    segments = list(segments_of(paths, table))
    covered = frozenset[int]().union(*(segment.numbers for segment in segments))
    small = [path for number, path in loose.items() if number not in covered]
    return [*(segment.file for segment in segments), *small]


def segments_of(paths: StudyPaths, table: Table) -> Iterator[Segment]:
    """The segments of a table that the manifest names."""
    if not paths.manifest.exists():
        return
    entries = read_json(paths.manifest).get(table, ())
    try:
        yield from [_segment(paths, table, entry) for entry in entries]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MMStudyError(
            f"{paths.manifest} is damaged ({type(error).__name__}: {error}); copy the study's "
            "segments/ folder again from where it was made."
        ) from error


def _segment(paths: StudyPaths, table: Table, entry: Mapping[str, Any]) -> Segment:
    name, ranges = str(entry["file"]), [(int(first), int(last)) for first, last in entry["numbers"]]
    if _SEGMENT.fullmatch(name) is None or not name.startswith(table):
        raise ValueError(f"a segment is a file {table}*.parquet in segments/, got {name!r}")
    if any(not 0 <= first <= last < _MOST_TRIALS for first, last in ranges):
        raise ValueError(f"trials are numbered from 0 to {_MOST_TRIALS - 1}, got {ranges!r}")
    numbers = frozenset(n for first, last in ranges for n in range(first, last + 1))
    return Segment(paths.segments / name, numbers)


def loose_files(paths: StudyPaths, table: Table) -> Iterator[tuple[int, Path]]:
    """The small files of a table, each with its trial's number."""
    folder = loose_path(paths, table, 0).parent
    for path in sorted(folder.glob("[0-9]*.parquet")):
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
