"""Gathering the small files of ended trials into segments; readers never notice.

It writes the segments, then replaces `manifest.json`, then deletes the small files; so at every
moment each row is in one of the two (`mmstudy.storage.segments` reads them).
"""

from __future__ import annotations

from typing import Any

import polars as pl

from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import read_tables
from mmstudy.storage.schema import State
from mmstudy.storage.segments import ORDER, SCHEMAS, loose_files, loose_path, segments_of

__all__ = ["SEGMENT_TRIALS", "compact"]

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
    manifest: dict[str, Any] = (
        folder.json(folder.manifest, dict[str, Any]) if folder.manifest.exists() else {}
    )
    for name, schema in SCHEMAS.items():
        loose = [loose_path(folder, name, number) for number in numbers]
        if name != "trials":  # which the driver writes, and has
            folder.fetch(*loose)
        rows = read_tables(
            [path for path in loose if path.exists()], schema, limit=folder.root
        ).sort(ORDER[name])
        file = folder.segments / f"{name}-{numbers[0]:05d}-{numbers[-1]:05d}.parquet"
        folder.put_table(file, rows.to_arrow().cast(schema))
        manifest.setdefault(name, []).append({"file": file.name, "numbers": _as_ranges(numbers)})
    folder.put_json(folder.manifest, manifest)  # all tables change over in one step


def _as_ranges(numbers: list[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
