"""A row of the record, with what a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mmstudy.storage.schema import RATES, EpochRow


def epoch_row(auroc: float = 0.5, **changes: Any) -> EpochRow:
    """The first epoch of trial 0."""
    given: dict[str, Any] = {
        "number": 0,
        "fold": 0,
        "epoch": 0,
        "attempt": 1,
        "n_train": 8,
        "n_val": 4,
        "n_val_positive": 2,
        "train_loss": 0.5,
        "val_loss": 0.5,
        "rates": dict.fromkeys(RATES) | {"auroc": auroc},
        "lr": 0.1,
        "seconds": 0.1,
        "written": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return EpochRow(**given | changes)
