"""What an interrupted trial goes on from: its checkpoint, and the rows that belong to it.

A checkpoint is used only where every epoch before it is recorded with all its predictions. What is
damaged, or does not fit the rest, is put aside, and the trial begins anew; it never fails for that,
and computes the same numbers again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmcaf.errors import DataError
from mmcaf.files import checkpoint
from mmcaf.files.checkpoint import Checkpoint
from mmstudy.errors import MMStudyError
from mmstudy.storage.examination import Damage
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.schema import Claim, EpochRow
from mmstudy.trial.task import Reached

__all__ = ["TrialState", "trial_state"]


@dataclass(frozen=True, slots=True)
class TrialState:
    """What is there of a trial that runs, or ran.

    Attributes:
        checkpoint: to go on from; None where the trial begins.
        epochs: recorded up to the checkpoint.
        predictions: of these epochs, rows of `PREDICTIONS`.
        claim: of the last attempt.
        damages: files that are to be put aside.
    """

    checkpoint: Checkpoint | None = None
    epochs: list[EpochRow] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)
    claim: Claim | None = None
    damages: tuple[Damage, ...] = ()


def trial_state(folder: StudyFolder, number: int) -> TrialState:
    """What trial `number` can go on from; nothing is changed."""
    ledger, damages = FolderLedger(folder), list[Damage]()
    path = folder.checkpoint(number)
    folder.fetch(path)

    def tried(file: Path, read: Any, otherwise: Any) -> Any:
        try:
            return read()
        except (DataError, MMStudyError) as error:
            damages.append(Damage(file, str(error)))
            return otherwise

    there = path.exists() or path.is_symlink()
    start = tried(path, lambda: checkpoint.load(path, folder.root) if there else None, None)
    epochs = tried(folder.trial_metrics(number), lambda: ledger.epochs(number), [])
    predictions = tried(folder.trial_predictions(number), lambda: ledger.predictions(number), [])
    claim = tried(folder.claim(number), lambda: ledger.claim(number), None)
    reached = tried(path, lambda: start.told(Reached) if start else None, None)
    if reached is not None and (reason := _misfit(reached, epochs, predictions)) is not None:
        damages.append(Damage(path, reason))
        reached = None
    if reached is None:
        return TrialState(claim=claim, damages=tuple(damages))
    end = reached.fold, reached.epoch
    return TrialState(
        start,
        [row for row in epochs if (row.fold, row.epoch) <= end],
        [row for row in predictions if (row["fold"], row["epoch"]) <= end],
        claim,
        tuple(damages),
    )


def _misfit(
    reached: Reached, epochs: list[EpochRow], predictions: list[dict[str, Any]]
) -> str | None:
    """Why nothing can go on from this checkpoint with these rows, as a clause about it."""
    fold, epoch = reached.fold, reached.epoch
    rows = {(row.fold, row.epoch): row for row in epochs if (row.fold, row.epoch) <= (fold, epoch)}
    per_fold = [sum(place[0] == n for place in rows) for n in range(fold + 1)]
    before = {(n, e) for n, count in enumerate(per_fold) for e in range(count)}
    whole = per_fold[-1] == epoch + 1 and len({*per_fold[:-1]}) <= 1 and 0 not in per_fold
    if not whole or rows.keys() != before:
        return "the metrics of epochs before it are missing"
    counts = dict.fromkeys(rows, 0)
    for row in predictions:
        place = row["fold"], row["epoch"]
        if place in counts:
            counts[place] += 1
    if any(counts[place] != row.n_val for place, row in rows.items()):
        return "predictions of epochs before it are missing"
    return None
