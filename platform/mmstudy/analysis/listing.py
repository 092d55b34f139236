"""How every study of a root stands, for a list of thousands: few files are opened, and those of
many studies in one scan.

A study that is not wholly in order is read by itself, as any reader reads it: it either stands or
is told with its fault. So no broken study hides another one, and none is judged by other rules.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmcaf.errors import DataError
from mmcaf.files.untrusted import all_checked, checked
from mmstudy.errors import MMStudyError
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.lock import may_be_held
from mmstudy.storage.schema import State
from mmstudy.storage.segments import table_files
from mmstudy.study import Found, Study, found_studies

__all__ = ["Listed", "Standing", "listed", "standing"]

_FILES_AT_ONCE = 4000
_FOLDERS = {"trials", "segments", "confirmations"}
_LOOSE = re.compile(r"\d{5,}\.parquet")
_SCHEMA = {"number": pl.Int32, "state": pl.String, "value": pl.Float64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one study stands."""

    study: Study
    counts: dict[str, int]  # state -> trials; every state has an entry
    trial: int | None = None  # the best one's number, as `Study.best_trial` says
    value: float | None = None  # its value
    live: bool = False  # whether a driver holds its lock


@dataclass(frozen=True, slots=True)
class Listed:
    """A study of a list, or why it cannot be read."""

    name: str
    standing: Standing | None
    fault: str | None = None  # such as: cannot be opened. There is no ...


def listed(root: Path) -> Iterator[Listed]:
    """Every study under `root` by name, those that cannot be read among them.

    Raises:
        DataError: the root is in a store that cannot be reached.
    """
    found = found_studies(root)
    quick = _Scan.of(
        [one.study for one in found if one.study is not None], stored=StudyFolder(root).stored
    )
    for one in found:
        yield _line(one, quick)


def _line(one: Found, quick: _Scan) -> Listed:
    if one.study is None:
        return Listed(one.folder.name, None, f"cannot be opened. {one.fault}")
    try:
        found = quick.standings.get(one.folder.name) or standing(one.study.read())
    except (MMStudyError, DataError, OSError, ValueError) as error:
        return Listed(one.folder.name, None, f"cannot be read. {error}")
    return Listed(one.folder.name, found)


def standing(study: Study) -> Standing:
    """How one study stands, read by itself.

    Raises:
        MMStudyError: a table cannot be read; names it.
        DataError: a link, folder or FIFO lies where a table belongs.
    """
    for file in study.folder.files(study.folder.trials, "[0-9]*.parquet"):
        checked(file, study.folder.root)
    counts, best = study.counts(), study.best_trial() or {}
    return Standing(
        study=study,
        counts=counts,
        trial=best.get("number"),
        value=best.get("value"),
        live=study.live(),
    )


class _Scan:
    """The standings of all studies whose tables are as they should be."""

    def __init__(self, *, stored: bool) -> None:
        self.standings: dict[str, Standing] = {}
        self._stored = stored

    @classmethod
    def of(cls, studies: Sequence[Study], *, stored: bool) -> _Scan:
        scan, group, size = cls(stored=stored), dict[str, Study](), 0
        owners = dict[str, str]()
        for study in studies:
            files = _files(study)
            if files is None:
                continue
            group[study.name] = study
            owners |= dict.fromkeys(files, study.name)
            size += len(files)
            if size >= _FILES_AT_ONCE:
                scan._read(group, owners)
                group, owners, size = {}, {}, 0
        scan._read(group, owners)
        return scan

    def _read(self, group: dict[str, Study], owners: dict[str, str]) -> None:
        """Scan one group; where that fails, its halves, down to the studies that are broken."""
        try:
            rows = _rows(owners)
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            if len(group) < 2:
                return
            names = [*group]
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                kept = {*half}
                files = {file: name for file, name in owners.items() if name in kept}
                self._read({name: group[name] for name in half}, files)
            return
        self._stand(group, rows)

    def _stand(self, group: dict[str, Study], rows: pl.DataFrame) -> None:
        known = [state.value for state in State]
        right = (
            pl.col("state").is_in(known)
            & (pl.col("number") == pl.coalesce("named", "number"))
            & pl.struct("study", "number").is_unique()
            & pl.col("value").is_finite().fill_null(value=True)
        )
        strange = {*rows.filter(~right.fill_null(value=False))["study"].to_list()}
        counted: dict[str, dict[str, int]] = {name: dict.fromkeys(known, 0) for name in group}
        rows = rows.filter(~pl.col("study").is_in([*strange]))
        for name, state, count in rows.group_by("study", "state").len().iter_rows():
            counted[name][state] = count
        complete = rows.filter(pl.col("state") == State.COMPLETE)
        first = complete.sort("value", "number", descending=[True, False], nulls_last=True)
        best = {
            name: (number, value)
            for name, number, value in first.unique("study", keep="first", maintain_order=True)
            .select("study", "number", "value")
            .iter_rows()
        }
        for name, study in group.items():
            if name not in strange:
                trial, value = best.get(name, (None, None))
                self.standings[name] = Standing(
                    study=study,
                    counts=counted[name],
                    trial=trial,
                    value=value,
                    live=self._live(study),
                )

    def _live(self, study: Study) -> bool:
        return (self._stored or may_be_held(study.folder)) and study.live()


def _rows(owners: dict[str, str]) -> pl.DataFrame:
    """Number, state and value of every trial in these files, and the study each belongs to."""
    if not owners:
        return pl.DataFrame(schema={**_SCHEMA, "study": pl.String, "named": pl.Int64})
    found = pl.scan_parquet(
        [*owners],
        schema=_SCHEMA,
        missing_columns="raise",
        extra_columns="ignore",
        include_file_paths="study",
        use_statistics=False,  # there is nothing to skip
        glob=False,
    ).collect()
    named = pl.col("study").str.extract(r"/(\d+)\.parquet$").cast(pl.Int64)  # of a segment: null
    found = found.with_columns(named=named)
    return found.with_columns(pl.Series("study", map(owners.__getitem__, found["study"])))


def _names(folder: str) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _files(study: Study) -> list[str] | None:
    """The files of the table of trials; None where the study must be read by itself."""
    root = str(study.folder.root)
    try:
        names = _names(root)
        if any(Path(root, name).is_symlink() for name in names & _FOLDERS):
            return None
        if "confirmations" in names and _names(f"{root}/confirmations"):
            return None  # the best trial is the best confirmed one
        if "segments" in names:
            files = table_files(study.folder, "trials")
            all_checked(files, study.folder.root)
            return [str(file) for file in files]
        if "trials" not in names:
            return []
        with os.scandir(f"{root}/trials") as listed_files:
            entries = [entry for entry in listed_files if _LOOSE.fullmatch(entry.name)]
    except (OSError, MMStudyError, DataError):
        return None
    plain = all(entry.is_file(follow_symlinks=False) for entry in entries)
    return [entry.path for entry in entries] if plain else None
