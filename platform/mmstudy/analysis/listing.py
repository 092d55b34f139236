"""How every study of a root stands, for a list of thousands: few files are opened, and those of
many studies in one scan.

A study that is not wholly in order is read by itself, as any reader reads it: it either stands or
is told with its fault. So no broken study hides another one, and none is judged by other rules.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import polars as pl

from mmcaf.errors import DataError
from mmcaf.files.untrusted import checked, read_if_small
from mmstudy.errors import MMStudyError
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.lock import may_be_held
from mmstudy.storage.schema import State
from mmstudy.storage.segments import table_files
from mmstudy.study import Found, Study, best_first, found_studies

__all__ = ["Listed", "Standing", "listed", "standing"]

_STUDIES_AT_ONCE, _FILES_AT_ONCE, _MOST_BYTES = 250, 2000, 1 << 20
_FOLDERS = {"trials", "segments", "confirmations"}
_LOOSE = re.compile(r"/trials/(\d{5,9})\.parquet$")
_SCHEMA = {"number": pl.Int32, "state": pl.String, "value": pl.Float64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one study stands."""

    study: Study
    counts: dict[str, int]  # state -> trials; every state has an entry
    trial: int | None = None  # the best one's number, as `Study.best_trial` says
    value: float | None = None  # its value in the search
    confirmed: float | None = None  # its confirmed value, where it has one
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
    found, stored, quick = list[Found](), StudyFolder(root).stored, dict[str, Standing]()
    studies = found_studies(root)
    with ThreadPoolExecutor(1) as pool:  # it reads tables while this thread finds more studies
        reads = list[Future[dict[str, Standing]]]()
        while some := [*islice(studies, _STUDIES_AT_ONCE)]:
            found += some
            readable = [one.study for one in some if one.study is not None]
            reads.append(pool.submit(_standings, readable, stored=stored))
        for read in reads:
            quick |= read.result()
    for one in found:
        yield _line(one, quick)


def _line(one: Found, quick: Mapping[str, Standing]) -> Listed:
    if one.study is None:
        return Listed(one.folder.name, None, f"cannot be opened. {one.fault}")
    try:
        found = quick.get(one.folder.name) or standing(one.study.read())
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
        confirmed=best.get("confirmed"),
        live=study.live(),
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """A study, and the files of its table of trials as they were read."""

    study: Study
    files: list[bytes]
    named: list[int]  # the trials of the first of these files, which hold one row each


def _standings(studies: Sequence[Study], *, stored: bool) -> dict[str, Standing]:
    """Of all studies whose tables are as they should be, by name."""
    found, group, size = dict[str, Standing](), list[_Opened](), 0
    for study in studies:
        if (opened := _opened(study)) is None:
            continue
        group.append(opened)
        size += len(opened.files)
        if size >= _FILES_AT_ONCE:
            found |= _read(group, stored=stored)
            group, size = [], 0
    return found | _read(group, stored=stored)


def _read(group: Sequence[_Opened], *, stored: bool) -> dict[str, Standing]:
    """Scan one group; where that fails, its halves, down to the studies that are broken."""
    if not group:
        return {}
    try:
        rows = _rows(group)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        half = len(group) // 2
        halves = (group[:half], group[half:]) if half else ()
        return {name: of for part in halves for name, of in _read(part, stored=stored).items()}
    return _stand(group, rows, stored=stored)


def _rows(group: Sequence[_Opened]) -> pl.DataFrame:
    """Number, state and value of every trial of the group, and `of` which of its studies it is.

    In memory, where Polars reads small files in half the time, rows do not tell their file. So each
    study begins with a row that no file can hold.
    """
    mark, begin = secrets.token_hex(16), BytesIO()
    row = pl.DataFrame({"number": [0], "state": [mark], "value": [None]}, _SCHEMA)
    row.write_parquet(begin, compression="uncompressed", statistics=False)
    found = pl.scan_parquet(
        [content for one in group for content in (begin.getvalue(), *one.files)],
        schema=_SCHEMA,
        missing_columns="raise",
        extra_columns="ignore",
        use_statistics=False,  # there is nothing to skip
        glob=False,
    ).collect()
    begins = (pl.col("state") == mark).fill_null(value=False)
    return found.with_columns(of=begins.cum_sum().cast(pl.Int64) - 1).filter(~begins)


def _stand(group: Sequence[_Opened], rows: pl.DataFrame, *, stored: bool) -> dict[str, Standing]:
    known = [state.value for state in State]
    gathered = [of for of, one in enumerate(group) if len(one.files) > len(one.named)]
    rows = _beside_names(group, rows)
    right = (
        pl.col("state").is_in(known)
        & (pl.col("number") == pl.coalesce("named", "number"))
        & (pl.col("named").is_not_null() | pl.col("of").is_in(gathered))
        & pl.struct("of", "number").is_unique()
        & pl.col("value").is_finite().fill_null(value=True)
    )
    strange = {*rows.filter(~right.fill_null(value=False))["of"].to_list()}
    counted = [dict.fromkeys(known, 0) for _ in group]
    for of, state, count in rows.group_by("of", "state").len().iter_rows():
        if of not in strange:
            counted[of][state] = count
    first = best_first(rows).unique("of", keep="first", maintain_order=True)
    best = dict(zip(first["of"], first.select("number", "value").iter_rows(), strict=True))
    return {
        one.study.name: Standing(
            study=one.study,
            counts=counted[of],
            trial=best.get(of, (None, None))[0],
            value=best.get(of, (None, None))[1],
            live=(stored or may_be_held(one.study.folder)) and one.study.live(),
        )
        for of, one in enumerate(group)
        if of not in strange
    }


def _beside_names(group: Sequence[_Opened], rows: pl.DataFrame) -> pl.DataFrame:
    """Each row beside the trial that its file is `named` after; null for those of segments.

    A name without a row gets a row of nothing.
    """
    named = {
        "of": [of for of, one in enumerate(group) for _ in one.named],
        "place": [place for one in group for place in range(len(one.named))],
        "named": [number for one in group for number in one.named],
    }
    whole = dict.fromkeys(named, pl.Int64)
    return rows.with_columns(place=pl.int_range(pl.len()).over("of")).join(
        pl.DataFrame(named, whole), on=["of", "place"], how="full", coalesce=True
    )


def _names(folder: str) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _opened(study: Study) -> _Opened | None:
    """The study with its table of trials; None where it must be read by itself."""
    try:
        files = _files(study)
        if files is None:
            return None
        loose = {file: int(found[1]) for file in files if (found := _LOOSE.search(file))}
        files = [*loose, *(file for file in files if file not in loose)]
        read = [content for file in files if (content := read_if_small(file, _MOST_BYTES))]
    except (OSError, MMStudyError, DataError):
        return None
    return _Opened(study, read, [*loose.values()]) if len(read) == len(files) else None


def _files(study: Study) -> list[str] | None:
    """The files of the table of trials; None where it does not say all."""
    root = str(study.folder.root)
    names = _names(root)
    if any(Path(root, name).is_symlink() for name in names & _FOLDERS):
        return None
    if "confirmations" in names and _names(f"{root}/confirmations"):
        return None  # the best trial is the best confirmed one
    if "segments" in names:
        return [str(file) for file in table_files(study.folder, "trials")]
    if "trials" not in names:
        return []
    files = (f"{root}/trials/{name}" for name in _names(f"{root}/trials"))
    return [file for file in files if _LOOSE.search(file)]
