"""Whether the records of a study are whole: every file readable, every complete trial backed.

A complete trial is backed when its epochs of every fold are there, give the value its row says, and
have a prediction for each validation case. What is damaged is put aside, never deleted; a trial
whose value nothing backs any more begins anew, with the params and the seed it had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import polars as pl
import pyarrow as pa

from mmstudy.errors import MMStudyError
from mmstudy.storage.compaction import find_segments, release
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import ask_tables, read_tables
from mmstudy.storage.schema import CONFIRMATIONS, TRIALS, State, TrialRow
from mmstudy.storage.segments import (
    SCHEMAS,
    Table,
    loose_files,
    loose_path,
    segments_of,
    table_files,
)

__all__ = ["Damage", "Records", "begun_anew", "examine", "put_in_order"]

_ROUNDING = 1e-9  # of a mean over folds that is taken in another order


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that cannot be used, and why, as a clause about it."""

    file: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Records:
    """What the tables of a study say, and what is wrong with them.

    Attributes:
        rows: of every trial whose row can be read, by number.
        damages: files that cannot be used.
        unbacked: complete trials whose value nothing backs, each with the reason.
    """

    rows: Mapping[int, TrialRow]
    damages: tuple[Damage, ...] = ()
    unbacked: Mapping[int, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damages and not self.unbacked


def examine(folder: StudyFolder, folds: int) -> Records:
    """Look at every table of the study; nothing is changed.

    Args:
        folder: of the study.
        folds: that every complete trial went through.
    """
    try:
        for table in SCHEMAS:
            list(segments_of(folder, table))
    except MMStudyError as error:  # which files hold what cannot be said before it is mended
        return Records({}, (Damage(folder.manifest, str(error)),))
    damages = [damage for table in SCHEMAS for damage in _damages(folder, table)]
    damages += _notes(folder)
    bad = {damage.file for damage in damages}
    rows = {row.number: row for row in _read_rows(_good(folder, "trials", bad))}
    return Records(rows, tuple(damages), _unbacked(folder, rows, folds, bad))


def put_in_order(folder: StudyFolder, records: Records) -> None:
    """Put aside what is damaged, and set unbacked trials back to their beginning.

    Only who holds the study's lock may call this.

    Raises:
        StorageError: a file cannot be moved or written.
    """
    damaged = {damage.file for damage in records.damages}
    if folder.manifest in damaged:
        (damage,) = records.damages
        folder.put_aside(folder.manifest, damage.reason)
        find_segments(folder)
        return
    release(folder, records.unbacked.keys(), damaged)
    for damage in records.damages:
        folder.put_aside(damage.file, damage.reason)
    for number, reason in records.unbacked.items():
        for table in SCHEMAS:
            folder.put_aside(loose_path(folder, table, number), reason)
        folder.drop(folder.checkpoint(number))
        folder.put_rows(folder.trial(number), TRIALS, [begun_anew(records.rows[number]).as_dict()])


def begun_anew(row: TrialRow) -> TrialRow:
    """The row of the same trial before its first epoch."""
    return TrialRow(
        number=row.number,
        state=State.RUNNING,
        params=row.params,
        seed=row.seed,
        attempts=row.attempts,
        started=row.started,
        device=row.device,
        threads=row.threads,
        cohort_digest=row.cohort_digest,
    )


def _damages(folder: StudyFolder, table: Table) -> Iterator[Damage]:
    """Files of a table that cannot be read, or hold rows that cannot be."""
    files = table_files(folder, table)
    try:
        if not _wrong(folder, table, files):
            return
    except MMStudyError:
        pass
    for file in files:
        try:
            wrong = _wrong(folder, table, [file])
        except MMStudyError as error:
            yield Damage(file, str(error))
        else:
            if wrong:
                yield Damage(file, wrong)


def _wrong(folder: StudyFolder, table: Table, files: list[Path]) -> str | None:
    """What is wrong with the rows of these files of a table, as a clause about them."""
    schema = SCHEMAS[table]
    found = ask_tables(files, schema, lambda rows: rows.group_by("number").len())
    expected = {n for numbers in _expected(folder, table, files).values() for n in numbers}
    if strange := set(found["number"].to_list()) - expected:
        return f"it holds rows of trial {min(strange)}, which do not belong there"
    if table != "trials":
        return None
    if found.filter(pl.col("len") > 1).height:
        return "it holds a trial twice"
    for row in read_tables(files, schema).to_dicts():
        try:
            if fault := _fault(TrialRow.from_dict(row)):
                return fault
        except (TypeError, ValueError) as error:
            return f"it holds no row of a trial ({error})"
    return None


def _expected(folder: StudyFolder, table: Table, files: list[Path]) -> dict[Path, frozenset[int]]:
    """Of which trials each of these files may hold rows."""
    places = {path: frozenset([number]) for number, path in loose_files(folder, table)}
    places |= {one.file: one.numbers for one in segments_of(folder, table)}
    return {file: places.get(file, frozenset()) for file in files}


def _fault(row: TrialRow) -> str | None:
    try:
        params = json.loads(row.params)
    except (ValueError, RecursionError):
        return f"the params of trial {row.number} are no JSON"
    if not isinstance(params, dict):
        return f"the params of trial {row.number} are no JSON object"
    if row.state is not State.COMPLETE:
        return None
    if row.value is None or not isfinite(row.value) or row.best_epoch is None or row.best_epoch < 0:
        return f"trial {row.number} is complete without a value and an epoch"
    return None


def _notes(folder: StudyFolder) -> Iterator[Damage]:
    """Damaged files that a study can do without: they are made again."""
    for file in sorted(folder.confirmations.glob("[0-9]*.parquet")):
        try:
            read_tables([file], CONFIRMATIONS)
        except MMStudyError as error:
            yield Damage(file, str(error))
    if folder.importance.exists() or folder.importance.is_symlink():
        try:
            folder.json(folder.importance)
        except MMStudyError as error:
            yield Damage(folder.importance, str(error))


def _good(folder: StudyFolder, table: Table, bad: set[Path]) -> tuple[list[Path], pa.Schema]:
    return [file for file in table_files(folder, table) if file not in bad], SCHEMAS[table]


def _read_rows(found: tuple[list[Path], pa.Schema]) -> list[TrialRow]:
    table = read_tables(*found).sort("number")
    return [TrialRow.from_dict(row) for row in table.to_dicts()]


def _unbacked(
    folder: StudyFolder, rows: Mapping[int, TrialRow], folds: int, bad: set[Path]
) -> dict[int, str]:
    """Complete trials whose metrics or predictions do not hold what their row says."""
    complete = [row for row in rows.values() if row.state is State.COMPLETE]
    told = pl.DataFrame(
        {
            "number": [row.number for row in complete],
            "value": [row.value for row in complete],
            "best_epoch": [row.best_epoch for row in complete],
        },
        schema={"number": pl.Int32, "value": pl.Float64, "best_epoch": pl.Int32},
    )
    metrics = ask_tables(
        *_good(folder, "metrics", bad),
        lambda rows: rows.select("number", "fold", "epoch", "n_val", "auroc"),
    )
    predictions = ask_tables(
        *_good(folder, "predictions", bad),
        lambda rows: rows.group_by("number").agg(pl.len().alias("predicted")),
    )
    at_best = (
        metrics.join(told, on="number")
        .filter(pl.col("epoch") == pl.col("best_epoch"))
        .group_by("number")
        .agg(pl.mean("auroc").alias("found"))
    )
    counts = metrics.group_by("number").agg(
        epochs=pl.max("epoch") + 1,
        folds=pl.n_unique("fold"),
        rows=pl.len(),
        places=pl.struct("fold", "epoch").n_unique(),
        cases=pl.sum("n_val"),
    )
    held = told.join(counts, on="number", how="left")
    held = held.join(at_best, on="number", how="left").join(predictions, on="number", how="left")
    reason = (
        pl.when(pl.col("rows").is_null())
        .then(pl.lit("its metrics are missing"))
        .when(
            (pl.col("folds") != folds)
            | (pl.col("rows") != folds * pl.col("epochs"))
            | (pl.col("places") != pl.col("rows"))
        )
        .then(pl.lit("its metrics do not hold every epoch of every fold once"))
        .when(((pl.col("found") - pl.col("value")).abs() <= _ROUNDING).fill_null(False).not_())
        .then(pl.lit("its metrics do not give the value in its row"))
        .when(pl.col("predicted").fill_null(0) != pl.col("cases"))
        .then(pl.lit("it does not have a prediction for each validation case of each epoch"))
    )
    faulty = held.select("number", reason.alias("reason")).drop_nulls().sort("number")
    return dict(faulty.iter_rows())
