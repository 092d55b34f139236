"""Whether the records of a study are whole: every file readable, every complete trial backed.

A complete trial is backed when its epochs of every fold are there, give the value its row says, and
have a prediction for each validation case. What is damaged is put aside, never deleted; a trial
whose value nothing backs any more begins anew, with the params and the seed it had.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from mmstudy.errors import MMStudyError
from mmstudy.storage.compaction import find_segments, release
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import ask_tables, params_of, read_tables
from mmstudy.storage.schema import (
    CONFIRMATIONS,
    PREDICTIONS,
    TRIALS,
    Importances,
    Probe,
    State,
    TrialRow,
)
from mmstudy.storage.segments import SCHEMAS, Table, all_owners, loose_path

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


def examine(folder: StudyFolder, folds: int, *, deep: bool = False) -> Records:
    """Look at every table of the study; nothing is changed.

    Args:
        folder: of the study.
        folds: that every complete trial went through.
        deep: look at every value of every table, not only at what trials are backed by.

    Raises:
        MMStudyError: a folder of the study cannot be looked through, so nothing can be said.
    """
    folder.check_folders()
    try:
        owners = all_owners(folder)
    except MMStudyError as error:  # which files hold what cannot be said before it is mended
        return Records({}, (Damage(folder.manifest, str(error)),))
    look = partial(_looked, folder, deep=deep)
    with ThreadPoolExecutor(len(owners)) as pool:  # Polars reads small files on one core
        looked = dict(zip(owners, pool.map(look, owners, owners.values()), strict=True))
    asked = {table: found for table, (found, _) in looked.items()}
    damages = [*_notes(folder), *(one for _, damaged in looked.values() for one in damaged)]
    rows = {row["number"]: TrialRow.from_dict(row) for row in asked["trials"].to_dicts()}
    return Records(rows, tuple(damages), _unbacked(asked, rows, folds))


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


def _looked(
    folder: StudyFolder, table: Table, owners: Mapping[Path, Collection[int]], *, deep: bool
) -> tuple[pl.DataFrame, list[Damage]]:
    """What is judged of a table, and its files that cannot be used."""
    try:
        return _asked(folder, table, owners, deep=deep), []
    except MMStudyError:
        bad = {damage.file: damage for damage in _damages(folder, table, owners, deep=deep)}
        good = {file: numbers for file, numbers in owners.items() if file not in bad}
        return _asked(folder, table, good, deep=deep), [*bad.values()]


def _damages(
    folder: StudyFolder, table: Table, owners: Mapping[Path, Collection[int]], *, deep: bool
) -> Iterator[Damage]:
    """Files of a table that cannot be read, or hold rows that no study writes."""
    for file, numbers in owners.items():
        try:
            _asked(folder, table, {file: numbers}, deep=deep)
        except MMStudyError as error:
            yield Damage(file, str(error))


def _asked(
    folder: StudyFolder, table: Table, owners: Mapping[Path, Collection[int]], *, deep: bool
) -> pl.DataFrame:
    """What of a table is judged: all of trials, curves of metrics, numbers of predictions."""
    files, schema, limit = [*owners], SCHEMAS[table], folder.root
    if table == "trials":
        rows = read_tables(files, schema, limit=limit, of=owners).sort("number")
        for number, text in rows.select("number", "params").iter_rows():
            params_of(text, number)
        return rows
    if deep:
        read_tables(files, schema, limit=limit, of=owners)
    found = ask_tables(files, schema, _ASKED[table], limit=limit)
    allowed = {number for numbers in owners.values() for number in numbers}
    if strange := set(found["number"].unique().to_list()) - allowed:
        raise MMStudyError(f"it holds rows of trial {min(strange, key=str)}")
    return found


def _curves(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("number", "fold", "epoch", "n_val", "auroc")


def _counts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Counted by runs of one number first: rows lie in order of trials, millions of them."""
    runs = rows.select(pl.col("number").rle()).unnest("number")
    return runs.group_by(number="value").agg(predicted=pl.sum("len"))


_ASKED: Final[Mapping[Table, Callable[[pl.LazyFrame], pl.LazyFrame]]] = {
    "metrics": _curves,
    "predictions": _counts,
}


def _notes(folder: StudyFolder) -> Iterator[Damage]:
    """Damaged files that a study can do without: they are made again."""
    kept = (
        (folder.confirmations, "[0-9]*.parquet", CONFIRMATIONS),
        (folder.predictions, "confirmed-*.parquet", PREDICTIONS),
    )
    for place, pattern, schema in kept:
        for file in folder.files(place, pattern):
            try:
                read_tables([file], schema, limit=folder.root)
            except MMStudyError as error:
                yield Damage(file, str(error))
    kinds = ((folder.importance, Importances), (folder.probe, Probe))
    for file, kind in kinds:
        if file.exists() or file.is_symlink():
            try:
                folder.json(file, kind)
            except MMStudyError as error:
                yield Damage(file, str(error))


def _unbacked(
    asked: Mapping[Table, pl.DataFrame], rows: Mapping[int, TrialRow], folds: int
) -> dict[int, str]:
    """Complete trials whose metrics or predictions do not hold what their row says."""
    complete = [number for number, row in rows.items() if row.state is State.COMPLETE]
    told = asked["trials"].filter(pl.col("number").is_in(complete))
    told = told.select("number", "value", "best_epoch")
    metrics, predictions = asked["metrics"], asked["predictions"]
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
        places=(pl.col("fold").cast(pl.Int64) * 1_000_000 + pl.col("epoch")).n_unique(),
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
