"""What the rows of a study's tables may hold; a file with anything else is damaged or made up.

Looked at whenever a table is read, all rows at once, so that no reader meets a value that no study
writes. What several tables say together is not judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final

import polars as pl
import pyarrow as pa

from mmstudy.storage.schema import (
    EVALUATIONS,
    METRICS,
    MOST_TEXT,
    MOST_TRIALS,
    PREDICTIONS,
    RATES,
    TRIALS,
    State,
)

__all__ = ["fault_of"]

Holds = Callable[[pl.Expr], pl.Expr]

_MOST_EPOCHS, _MOST_CASE = 1_000_000, 200
_TIMES: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
_KEYS: Final[Mapping[pa.Schema, tuple[str, ...]]] = {
    TRIALS: ("number",),
    METRICS: ("number", "fold", "epoch"),
    PREDICTIONS: ("number", "fold", "epoch", "case"),
    EVALUATIONS: ("look",),
}
"""What tells rows apart. Confirming runs may be there twice, when a driver was killed."""


def _up_to(high: int, low: int = 0) -> tuple[str, Holds]:
    return f"{low} to {high - 1}", lambda of: of.is_between(low, high - 1)


_COUNT: Final = ("0 or more", lambda of: of >= 0)
_AMOUNT: Final = ("0 or more, finite", lambda of: of.is_between(0, 1e300))
_SHARE: Final = ("0 to 1", lambda of: of.is_between(0, 1))
_FINITE: Final = ("a finite number", lambda of: of.is_finite())
_TIME: Final = ("a time from 1970 to 2200", lambda of: of.is_between(*_TIMES))
_TEXT: Final = (
    f"text of at most {MOST_TEXT} bytes without NUL",
    lambda of: (of.str.len_bytes() <= MOST_TEXT) & ~of.str.contains("\0", literal=True),
)
_COLUMNS: Final[Mapping[str, tuple[str, Holds]]] = {
    "number": _up_to(MOST_TRIALS),
    "state": (f"one of {', '.join(State)}", lambda of: of.is_in([*State])),
    "fold": _up_to(_MOST_EPOCHS, -1),  # -1 stands for test patients
    **dict.fromkeys(("epoch", "best_epoch"), _up_to(_MOST_EPOCHS)),
    **dict.fromkeys(("attempts", "attempt", "threads", "parameters", "accumulate"), _COUNT),
    **dict.fromkeys(("n_train", "n_val", "n_val_positive", "n", "n_positive", "run"), _COUNT),
    "look": ("1 or more", lambda of: of >= 1),
    "label": ("0 or 1", lambda of: of.is_between(0, 1)),
    "case": (
        f"a name of 1 to {_MOST_CASE} bytes",
        lambda of: of.str.len_bytes().is_between(1, _MOST_CASE),
    ),
    **dict.fromkeys((*RATES, "probability", "auroc_low", "auroc_high"), _SHARE),
    **dict.fromkeys(("seconds", "gpu_seconds", "seconds_per_epoch", "prepare_seconds"), _AMOUNT),
    **dict.fromkeys(("data_seconds", "data_wait_share", "gpu_utilisation", "lr"), _AMOUNT),
    **dict.fromkeys(("value", "train_loss", "val_loss"), _FINITE),
    **dict.fromkeys(("started", "ended", "written"), _TIME),
}


def fault_of(table: pl.DataFrame, schema: pa.Schema) -> str | None:
    """The first thing that is wrong with the rows of `table`, as a clause; None where nothing is.

    >>> from mmstudy.storage.schema import PREDICTIONS
    >>> row = {"number": 0, "fold": 0, "epoch": 3, "case": "a", "label": 7, "probability": 0.5}
    >>> fault_of(pl.DataFrame([row]), PREDICTIONS)
    'column label holds 7, allowed is 0 or 1'
    """
    if table.is_empty():
        return None
    rules = _rules(schema)
    (held,) = table.select(holds.all().alias(name) for name, (_, holds) in rules.items()).to_dicts()
    for name, (allowed, holds) in rules.items():
        if not held[name]:
            wrong = table.filter(~holds)[name.partition(" ")[0]][0]
            return f"column {name} holds {_shown(wrong)}, allowed is {allowed}"
    return _double(table, _KEYS.get(schema, ()))


@cache
def _rules(schema: pa.Schema) -> dict[str, tuple[str, pl.Expr]]:
    """Column -> what it may hold, in words and as an expression that is never null."""
    found: dict[str, tuple[str, pl.Expr]] = {}
    for field in schema:
        known = _COLUMNS.get(field.name, _TEXT if field.type == pa.string() else None)
        words, holds = known or ("a value", lambda of: of.is_not_null())
        found[field.name] = words, holds(pl.col(field.name)).fill_null(value=field.nullable)
    if schema == TRIALS:
        for name in ("value", "best_epoch"):
            holds_it = (pl.col("state") != State.COMPLETE) | pl.col(name).is_not_null()
            found[f"{name} of a complete trial"] = "a number", holds_it
    return found


def _double(table: pl.DataFrame, keys: tuple[str, ...]) -> str | None:
    """A row that is there twice; hashes are compared first, for they are quick."""
    if not keys or table.select(keys).hash_rows().n_unique() == table.height:
        return None
    twice = table.filter(table.select(keys).is_duplicated())
    if twice.is_empty():
        return None
    named = ", ".join(
        f"{key} {value}" for key, value in twice.select(keys).row(0, named=True).items()
    )
    return f"{named} is there twice"


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
