"""The ledger of a study: the rows of every trial, and where they are kept.

`FolderLedger` is the study folder: one file per trial and table, or, for ended trials, a segment of
many (`mmstudy.storage.segments`). Rows given out are copies.

Who writes what: the driver writes trials; a trial's own process writes its epochs, predictions and
claim. Nothing is locked; a file has one writer at a time because an older attempt gives up when it
finds a newer claim.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmstudy.storage.compaction import compact
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.lock import check_held
from mmstudy.storage.schema import METRICS, PREDICTIONS, TRIALS, Claim, EpochRow, TrialRow

__all__ = ["FolderLedger", "Ledger"]


class Ledger(ABC):
    """What is known of every trial of one study."""

    @abstractmethod
    def trials(self) -> list[TrialRow]:
        """All trials, by number."""

    @abstractmethod
    def trial(self, number: int) -> TrialRow | None:
        """One trial, if it was ever written."""

    @abstractmethod
    def put_trial(self, row: TrialRow) -> None:
        """Write one trial over what was known of it.

        Raises:
            StorageError: it cannot be written; what was known is unchanged.
        """

    @abstractmethod
    def epochs(self, number: int) -> list[EpochRow]:
        """A trial's epochs, in the order they were trained."""

    @abstractmethod
    def put_epochs(self, number: int, rows: Sequence[EpochRow]) -> None:
        """Write all epochs of a trial.

        Raises:
            StorageError: it cannot be written; what was known is unchanged.
        """

    @abstractmethod
    def predictions(self, number: int) -> list[dict[str, Any]]:
        """A trial's validation cases of every epoch, as rows of `PREDICTIONS`."""

    @abstractmethod
    def put_predictions(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all predictions of a trial.

        Raises:
            StorageError: it cannot be written; what was known is unchanged.
        """

    @abstractmethod
    def claim(self, number: int) -> Claim | None:
        """Which attempt owns the trial's epochs and predictions, if any ever did."""

    @abstractmethod
    def put_claim(self, number: int, claim: Claim) -> None:
        """Make `claim` the owner.

        Raises:
            StorageError: it cannot be written; what was known is unchanged.
        """

    @abstractmethod
    def drop_checkpoint(self, number: int) -> None:
        """Delete what only serves to go on with the trial."""

    @abstractmethod
    def compact(self) -> None:
        """Gather the scattered rows of ended trials; readers never notice. For the driver only."""


class FolderLedger(Ledger):
    """The rows as they lie in a study folder, or in a store."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder

    def trials(self) -> list[TrialRow]:
        table = self._folder.read_table("trials")
        return [TrialRow.from_dict(row) for row in table.sort("number").to_dicts()]

    def trial(self, number: int) -> TrialRow | None:
        rows = self._folder.rows_of("trials", number).to_dicts()
        return TrialRow.from_dict(rows[0]) if rows else None

    def put_trial(self, row: TrialRow) -> None:
        check_held(self._folder)
        self._folder.store_journal()  # a trial that has a row is in the journal
        self._folder.put_rows(self._folder.trial(row.number), TRIALS, [row.as_dict()])

    def epochs(self, number: int) -> list[EpochRow]:
        self._folder.fetch(self._folder.trial_metrics(number))
        table = self._folder.rows_of("metrics", number).sort("fold", "epoch")
        return [EpochRow.from_dict(row) for row in table.to_dicts()]

    def put_epochs(self, number: int, rows: Sequence[EpochRow]) -> None:
        self._folder.put_rows(
            self._folder.trial_metrics(number), METRICS, [row.as_dict() for row in rows]
        )

    def predictions(self, number: int) -> list[dict[str, Any]]:
        self._folder.fetch(self._folder.trial_predictions(number))
        return self._folder.rows_of("predictions", number).to_dicts()

    def put_predictions(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._folder.put_rows(self._folder.trial_predictions(number), PREDICTIONS, rows)

    def claim(self, number: int) -> Claim | None:
        path = self._folder.claim(number)
        self._folder.fetch(path)
        return self._folder.json(path, Claim) if path.exists() else None

    def put_claim(self, number: int, claim: Claim) -> None:
        self._folder.put_json(self._folder.claim(number), asdict(claim))

    def drop_checkpoint(self, number: int) -> None:
        self._folder.drop(self._folder.checkpoint(number))

    def compact(self) -> None:
        compact(self._folder)
