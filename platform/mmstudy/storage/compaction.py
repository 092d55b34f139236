"""Gathering the small files of ended trials into segments; readers never notice.

It writes the segments, then replaces `manifest.json`, then deletes the small files; so at every
moment each row is in one of the two (`mmstudy.storage.segments` reads them).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mmstudy.errors import MMStudyError
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import read_tables
from mmstudy.storage.schema import State
from mmstudy.storage.segments import (
    ORDER,
    SCHEMAS,
    Segment,
    Table,
    loose_files,
    loose_path,
    segments_of,
)

__all__ = ["SEGMENT_TRIALS", "compact", "find_segments", "release"]

SEGMENT_TRIALS = 500
"""Trials per segment, and how many ended ones a driver lets gather before it compacts."""


def compact(folder: StudyFolder) -> int:
    """Move the rows of ended trials into segments; the number of trials moved.

    Only the driver, or who holds its lock, may call this. Killed at any moment, it leaves every
    row readable; the next call takes up what is left.
    """
    table = folder.read_table("trials")
    ended = set(table.filter(pl.col("state") != State.RUNNING)["number"].to_list())
    known = {number for one in segments_of(folder, "trials") for number in one.numbers}
    fresh = sorted(ended - known)
    for start in range(0, len(fresh), SEGMENT_TRIALS):
        _move(folder, fresh[start : start + SEGMENT_TRIALS])
    # Also what a killed compaction has left.
    left = [path for name in SCHEMAS for n, path in loose_files(folder, name) if n in ended]
    folder.drop(*left)
    return len(fresh)


def _move(folder: StudyFolder, numbers: list[int]) -> None:
    segments = {name: [*segments_of(folder, name)] for name in SCHEMAS}
    for name, schema in SCHEMAS.items():
        covered = {number for one in segments[name] for number in one.numbers}
        moved = [number for number in numbers if number not in covered]
        if not moved:  # the segment of another table was lost
            continue
        loose = [loose_path(folder, name, number) for number in moved]
        if name != "trials":  # which the driver writes, and has
            folder.fetch(*loose)
        rows = read_tables([path for path in loose if path.exists()], schema, limit=folder.root)
        segments[name].append(_written(folder, name, moved, rows, segments[name]))
    _put_manifest(folder, segments)  # all tables change over in one step


def release(folder: StudyFolder, numbers: Collection[int], damaged: Collection[Path] = ()) -> None:
    """Take trials out of the segments, and leave out segments that cannot be read.

    The rows of `numbers` are in no table any more; the files that held them are put aside.

    Raises:
        StorageError: a segment cannot be written; readers then see what they saw before.
    """
    old = {name: [*segments_of(folder, name)] for name in SCHEMAS}
    new: dict[Table, list[Segment]] = {name: [] for name in SCHEMAS}
    replaced: list[Path] = []
    for name, schema in SCHEMAS.items():
        for one in old[name]:
            kept = sorted(one.numbers.difference(numbers))
            if one.file in damaged:
                continue
            if len(kept) == len(one.numbers):
                new[name].append(one)
                continue
            replaced.append(one.file)
            rows = read_tables([one.file], schema, limit=folder.root).filter(
                pl.col("number").is_in(kept)
            )
            if kept:
                new[name].append(_written(folder, name, kept, rows, old[name]))
    if new != old:
        _put_manifest(folder, new)
        for file in replaced:
            folder.put_aside(file, "some of its trials were begun anew")


def find_segments(folder: StudyFolder) -> None:
    """Write `manifest.json` anew from the segments that can be read.

    Raises:
        StorageError: it cannot be written.
    """
    found: dict[Table, list[Segment]] = {name: [] for name in SCHEMAS}
    for name, schema in SCHEMAS.items():
        known = set[int]()
        for file in folder.files(folder.segments, f"{name}-*.parquet"):
            try:
                numbers = read_tables([file], schema, limit=folder.root)["number"]
            except MMStudyError:
                continue
            here = frozenset(numbers.to_list()) - known
            if here:
                found[name].append(Segment(file, here))
                known |= here
    _put_manifest(folder, found)


def _written(
    folder: StudyFolder,
    name: Table,
    numbers: Sequence[int],
    rows: pl.DataFrame,
    known: list[Segment],
) -> Segment:
    """A new segment; never over one that is in use."""
    first, last = (numbers[0], numbers[-1]) if numbers else (0, 0)
    taken = {one.file.name for one in known}
    names = [f"{name}-{first:05d}-{last:05d}{again}.parquet" for again in _again(len(known))]
    file = folder.segments / next(one for one in names if one not in taken)
    folder.put_table(file, rows.sort(ORDER[name]).to_arrow().cast(SCHEMAS[name]))
    return Segment(file, frozenset(numbers))


def _again(known: int) -> list[str]:
    return ["", *(f"-{n}" for n in range(2, known + 3))]


def _put_manifest(folder: StudyFolder, segments: dict[Table, list[Segment]]) -> None:
    manifest: dict[str, Any] = {
        name: [{"file": one.file.name, "numbers": _as_ranges(sorted(one.numbers))} for one in found]
        for name, found in segments.items()
    }
    folder.put_json(folder.manifest, manifest)


def _as_ranges(numbers: list[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
