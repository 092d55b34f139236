"""The tables of a study, wherever their rows lie: one file per trial, or segments of many.

Compaction moves the rows of ended trials into segments. It writes the segments, then replaces
`manifest.json`, then deletes the small files; so a reader that lists the small files first, then
the manifest, finds every row in one of the two. Should a listed file be gone when it is opened,
the reader begins again, and finds the rows in the segment. A trial that the manifest names is read
from its segment only: a small file of it that was not deleted in time is not counted twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa

from mmcaf.files.atomic import write_json
from mmstudy.errors import MMStudyError
from mmstudy.storage import mirror as copies
from mmstudy.storage.parquet import read_json, read_tables, write_table
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.schema import METRICS, PREDICTIONS, TRIALS, State

__all__ = ["SEGMENT_TRIALS", "compact", "read_table", "rows_of", "table_files"]

Table = Literal["trials", "metrics", "predictions"]
SEGMENT_TRIALS = 500
"""Trials per segment, and how many ended ones a driver lets gather before it compacts."""

_SCHEMAS: Mapping[Table, pa.Schema] = {
    "trials": TRIALS,
    "metrics": METRICS,
    "predictions": PREDICTIONS,
}
_ORDER: Mapping[Table, tuple[str, ...]] = {
    "trials": ("number",),
    "metrics": ("number", "fold", "epoch"),
    "predictions": ("number", "fold", "epoch", "case"),
}
_LOOSE = re.compile(r"(\d{5,})\.(?:val\.)?parquet")
_READS = 5  # of files that vanish between listing and opening


@dataclass(frozen=True, slots=True)
class _Segment:
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
            return read_tables(files, _SCHEMAS[table])
        except MMStudyError:
            if attempt == _READS - 1 or all(file.exists() for file in files):
                raise
    raise AssertionError("unreachable")


def rows_of(paths: StudyPaths, table: Table, number: int) -> pl.DataFrame:
    """The rows of one trial; no rows where there are none.

    Raises:
        MMStudyError: a file cannot be read; names it.
    """
    loose = _loose_path(paths, table, number)
    if loose.exists():
        try:
            return read_tables([loose], _SCHEMAS[table])
        except MMStudyError:
            if loose.exists():
                raise
    for segment in _segments(paths, table):
        if number in segment.numbers:
            return read_tables([segment.file], _SCHEMAS[table], number)
    return read_tables([], _SCHEMAS[table])


def table_files(paths: StudyPaths, table: Table) -> list[Path]:
    """The files that together hold each row once, now."""
    loose = dict(_loose(paths, table))  # before the manifest: see above
    segments = list(_segments(paths, table))
    covered = frozenset[int]().union(*(segment.numbers for segment in segments))
    small = [path for number, path in loose.items() if number not in covered]
    return [*(segment.file for segment in segments), *small]


def compact(paths: StudyPaths) -> int:
    """Move the rows of ended trials into segments; the number of trials moved.

    Only the driver, or who holds its lock, may call this. Killed at any moment, it leaves every
    row readable; the next call takes up what is left.
    """
    table = read_table(paths, "trials")
    ended = set(table.filter(pl.col("state") != State.RUNNING)["number"].to_list())
    known = {number for segment in _segments(paths, "trials") for number in segment.numbers}
    fresh = sorted(ended - known)
    for start in range(0, len(fresh), SEGMENT_TRIALS):
        _move(paths, fresh[start : start + SEGMENT_TRIALS])
    left: list[Path] = []
    for name in _SCHEMAS:  # also what a killed compaction has left
        for number, path in _loose(paths, name):
            if number in ended:
                left.append(path)
    copies.withdraw(paths, *left)
    return len(fresh)


def _move(paths: StudyPaths, numbers: list[int]) -> None:
    manifest = read_json(paths.manifest) if paths.manifest.exists() else {}
    for name, schema in _SCHEMAS.items():
        loose = [_loose_path(paths, name, number) for number in numbers]
        if name != "trials":  # which the driver writes, and has
            copies.fetch(paths, *loose)
        rows = read_tables([path for path in loose if path.exists()], schema).sort(_ORDER[name])
        file = paths.segments / f"{name}-{numbers[0]:05d}-{numbers[-1]:05d}.parquet"
        write_table(file, rows.to_arrow().cast(schema))
        copies.publish(paths, file)
        entry = {"file": file.name, "numbers": _as_ranges(numbers)}
        manifest.setdefault(name, []).append(entry)
    write_json(paths.manifest, manifest)  # all tables change over in one step
    copies.publish(paths, paths.manifest)


def _segments(paths: StudyPaths, table: Table) -> Iterator[_Segment]:
    if not paths.manifest.exists():
        return
    for entry in read_json(paths.manifest).get(table, ()):
        numbers = frozenset(n for first, last in entry["numbers"] for n in range(first, last + 1))
        yield _Segment(paths.segments / entry["file"], numbers)


def _loose(paths: StudyPaths, table: Table) -> Iterator[tuple[int, Path]]:
    folder = _loose_path(paths, table, 0).parent
    for path in sorted(folder.glob("[0-9]*.parquet")):
        if found := _LOOSE.fullmatch(path.name):
            yield int(found[1]), path


def _loose_path(paths: StudyPaths, table: Table, number: int) -> Path:
    of = {
        "trials": paths.trial,
        "metrics": paths.trial_metrics,
        "predictions": paths.trial_predictions,
    }
    return of[table](number)


def _as_ranges(numbers: list[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
