"""A ledger without a disk: the folder's twin under one contract, and quick enough to simulate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from mmstudy.storage.ledger import Ledger
from mmstudy.storage.schema import Claim, EpochRow, TrialRow

__all__ = ["MemoryLedger"]


class MemoryLedger(Ledger):
    """The same rows, kept only as long as this object."""

    def __init__(self) -> None:
        self._trials: dict[int, TrialRow] = {}
        self._epochs: dict[int, list[EpochRow]] = {}
        self._predictions: dict[int, list[dict[str, Any]]] = {}
        self._claims: dict[int, Claim] = {}

    def trials(self) -> list[TrialRow]:
        return [self._trials[number] for number in sorted(self._trials)]

    def trial(self, number: int) -> TrialRow | None:
        return self._trials.get(number)

    def put_trial(self, row: TrialRow) -> None:
        self._trials[row.number] = row

    def epochs(self, number: int) -> list[EpochRow]:
        return [*self._epochs.get(number, ())]

    def put_epochs(self, number: int, rows: Sequence[EpochRow]) -> None:
        self._epochs[number] = sorted(rows, key=lambda row: (row.fold, row.epoch))

    def predictions(self, number: int) -> list[dict[str, Any]]:
        return deepcopy(self._predictions.get(number, []))

    def put_predictions(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        self._predictions[number] = [dict(row) for row in rows]

    def claim(self, number: int) -> Claim | None:
        return self._claims.get(number)

    def put_claim(self, number: int, claim: Claim) -> None:
        self._claims[number] = claim

    def drop_checkpoint(self, number: int) -> None:
        """Nothing: there is none."""

    def compact(self) -> None:
        """Nothing: nothing is scattered."""
