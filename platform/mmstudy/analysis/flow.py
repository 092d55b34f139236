"""From the patients an ingestion saw to those of each fold, as counts; and what crosses borders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
import polars as pl

from mmcaf.data.cohort import Cohort
from mmcaf.data.splits import Split
from mmcaf.errors import DataError
from mmcaf.files.untrusted import checked, decode, read_bytes

__all__ = ["Flow", "Group", "Ingested", "crossings", "flow_of", "ingested"]

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Code = Annotated[str, msgspec.Meta(max_length=100)]
_Text = Annotated[str, msgspec.Meta(max_length=1000)]


class _Excluded(msgspec.Struct, frozen=True):
    reason: _Code


class _Unknown(msgspec.Struct, frozen=True):
    files: _Count = 0
    studies: _Count = 0


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What `ingest_report.json` says of patients; the names in it are not read."""

    digest: str
    patients: _Count
    excluded: tuple[_Excluded, ...] = ()
    unknown_ids: _Unknown = _Unknown()
    flags: dict[_Code, _Count] = {}
    codes: dict[_Code, _Text] = {}


@dataclass(frozen=True, slots=True)
class Group:
    """Some patients; `positives` are the squamous ones, None where labels are not known."""

    n: int
    positives: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Counts of patients, each step a part of the one before.

    `seen` and `left_out` are None and empty where what was ingested is not known.
    """

    seen: int | None
    left_out: tuple[tuple[str, str, int], ...]  # code, what it means, patients; most first
    cohort: Group
    search: Group
    test: Group
    folds: tuple[tuple[Group, Group], ...]  # training and validation


def ingested(cohort: Cohort) -> Ingested | None:
    """What the ingestion of `cohort` saw; None where its report is not there, is damaged, or is of
    another content."""
    path = cohort.folder / "ingest_report.json"
    try:
        text = read_bytes(checked(path, cohort.folder))
        found = decode(text, Ingested, source=path.name, remedy="Ingest again.")
    except (DataError, FileNotFoundError):
        return None
    return found if found.digest == cohort.digest else None


def flow_of(
    split: Split, n_cases: int, labels: Mapping[str, int], seen: Ingested | None = None
) -> Flow:
    """The counts of a study.

    Args:
        split: its folds and its test set.
        n_cases: patients of its cohort.
        labels: case -> label, as far as known.
        seen: what the ingestion saw.
    """
    searched = {case for fold in split.folds for case in (*fold.train, *fold.val)}
    counts = Counter(who.reason for who in seen.excluded) if seen else Counter[str]()
    meanings = seen.codes if seen else {}
    everyone = {*searched, *split.test}
    known = Group(n_cases, _positives(everyone, labels) if len(everyone) == n_cases else None)
    return Flow(
        seen=seen.patients + len(seen.excluded) if seen else None,
        left_out=tuple(
            (code, meanings.get(code, ""), count)
            for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ),
        cohort=known,
        search=_group(searched, labels),
        test=_group(split.test, labels),
        folds=tuple((_group(f.train, labels), _group(f.val, labels)) for f in split.folds),
    )


def _group(cases: Iterable[str], labels: Mapping[str, int]) -> Group:
    once = {*cases}
    return Group(len(once), _positives(once, labels))


def _positives(cases: Iterable[str], labels: Mapping[str, int]) -> int | None:
    found = [labels.get(case) for case in cases]
    return None if None in found else sum(label == 1 for label in found)


def crossings(split: Split, patients: pl.DataFrame) -> int:
    """How many groups of patients stand on both sides of a border: of training and validation of
    one fold, or of the test set and the rest.

    Args:
        split: of the study.
        patients: the cohort's rows, with `case` and `group_id`.
    """
    of = dict(patients.select("case", "group_id").iter_rows())

    def groups(cases: Iterable[str]) -> set[str]:
        return {of.get(case, case) for case in cases}

    searched = groups(case for fold in split.folds for case in (*fold.train, *fold.val))
    crossed = groups(split.test) & searched
    for fold in split.folds:
        crossed |= groups(fold.train) & groups(fold.val)
    return len(crossed)
