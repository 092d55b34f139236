"""One truth: a study's journal, tables and checkpoints held against each other, and put in order.

Records are the truth, the journal is what the sampler knows of them. A driver judges before it runs
anything, and `mmstudy check` says the same; both change only what is damaged. Nothing is deleted:
what cannot be used lies in `quarantine/` afterwards, each file beside a note that says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mmstudy.search.journal import Storage, open_journal
from mmstudy.search.rebuild import Known, disagreement, rebuild_journal, unrecorded
from mmstudy.spec.study_spec import StudySpec
from mmstudy.storage.examination import Records, examine, put_in_order
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.schema import TRIALS, EpochRow, State, TrialRow
from mmstudy.trial.compute import derive_seed
from mmstudy.trial.state import trial_state

__all__ = ["Finding", "Mended", "judge", "mend"]

_ROUNDS = 4  # what was put aside may show more: a manifest, then its segments, then their trials


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a study's folder, and what mending does about it."""

    what: str  # a file of the folder, or a trial
    reason: str
    remedy: str

    def __str__(self) -> str:
        """One line for humans."""
        return f"{self.what}: {self.reason}; {self.remedy}."


@dataclass(frozen=True, slots=True)
class Mended:
    """A study that a driver can go on with.

    Attributes:
        journal: opened, and in agreement with the rows.
        rows: of every recorded trial, by number, as they lie in the folder now.
    """

    journal: Storage
    rows: Mapping[int, TrialRow]


def judge(folder: StudyFolder, spec: StudySpec, folds: int) -> list[Finding]:
    """All that is wrong in the study; nothing is changed, and a driver may be at work.

    Args:
        folder: of the study, brought up to date.
        spec: of the study.
        folds: that every trial goes through.

    Raises:
        UsageError: the journal is no regular file.
    """
    records = examine(folder, folds, deep=True)  # before the journal, which is written first
    storage = open_journal(folder.journal)
    lost = unrecorded(storage, spec, records.rows)
    found = [*_of_records(folder, records), *_of_lost(lost)]
    fault = _disagreement(folder, storage, spec, folds, records.rows)
    if records.whole and fault is not None:
        found.append(_of_journal(folder, fault))
    for row in records.rows.values():
        if row.state is State.RUNNING:
            for damage in trial_state(folder, row.number).damages:
                name = damage.file.relative_to(folder.root).as_posix()
                found.append(Finding(name, damage.reason, f"trial {row.number} begins anew"))
    return found


def mend(
    folder: StudyFolder,
    spec: StudySpec,
    folds: int,
    *,
    say: Callable[[Finding], None],
    adopted: Sequence[Known] = (),
    deep: bool = False,
) -> Mended:
    """Put the study in order, and open its journal.

    Checkpoints of trials that run are looked at when these go on, by their own processes.

    Args:
        folder: of the study, whose lock this process holds.
        spec: of the study.
        folds: that every trial goes through.
        say: called with each thing that was wrong.
        adopted: trials of another study that came first, where the journal is lost.
        deep: look at every value of every table, which takes longer.

    Raises:
        StorageError: a file cannot be moved or written.
        UsageError: the journal is no regular file.
    """
    for _ in range(_ROUNDS):
        records = examine(folder, folds, deep=deep)
        if records.whole:
            break
        for finding in _of_records(folder, records):
            say(finding)
        put_in_order(folder, records)
    else:
        records = examine(folder, folds, deep=deep)
    storage = open_journal(folder.journal)
    lost = unrecorded(storage, spec, records.rows)
    for finding in _of_lost(lost):
        say(finding)
    rows = {**records.rows} | {number: _begun(spec, number, of) for number, of in lost.items()}
    for number in lost:
        folder.put_rows(folder.trial(number), TRIALS, [rows[number].as_dict()])
    fault = _disagreement(folder, storage, spec, folds, rows)
    if fault is None:
        return Mended(storage, rows)
    say(_of_journal(folder, fault))
    folder.put_aside(folder.journal, fault, keep=True)
    rebuild_journal(folder.journal, spec, rows, _epochs(folder), storage, adopted)
    return Mended(open_journal(folder.journal), rows)


def _disagreement(
    folder: StudyFolder, storage: Storage, spec: StudySpec, folds: int, rows: Mapping[int, TrialRow]
) -> str | None:
    epochs = FolderLedger(folder).epochs
    return disagreement(storage, spec, rows.values(), folds=folds, epochs=epochs)


def _of_records(folder: StudyFolder, records: Records) -> list[Finding]:
    damaged = [
        Finding(damage.file.relative_to(folder.root).as_posix(), damage.reason, "it is put aside")
        for damage in records.damages
    ]
    return damaged + [
        Finding(f"trial {number}", reason, "it begins anew")
        for number, reason in records.unbacked.items()
    ]


def _of_lost(lost: Mapping[int, Mapping[str, Any]]) -> list[Finding]:
    reason = "it ended, but its row is lost"
    return [Finding(f"trial {number}", reason, "it begins anew") for number in lost]


def _of_journal(folder: StudyFolder, fault: str) -> Finding:
    return Finding(folder.journal.name, fault, "it is written anew from the records")


def _begun(spec: StudySpec, number: int, params: Mapping[str, Any]) -> TrialRow:
    return TrialRow(
        number=number,
        state=State.RUNNING,
        params=json.dumps(params),
        seed=derive_seed(spec.search.seed, number),
        attempts=1,
        started=datetime.now(UTC),
    )


def _epochs(folder: StudyFolder) -> dict[int, list[EpochRow]]:
    table = folder.read_table("metrics").sort("number", "fold", "epoch")
    found: dict[int, list[EpochRow]] = {}
    for row in table.to_dicts():
        found.setdefault(row["number"], []).append(EpochRow.from_dict(row))
    return found
