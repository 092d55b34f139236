"""The rows that the paper published: counts, printed figures and flags."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from mmcaf.stats.metrics import ConfusionMatrix
from mmstudy.comparison.row import RATE_NAMES, MethodRow, row_of_counts

__all__ = ["published"]

_PRINTED = {name: {"accuracy": "acc"}.get(name, name) for name in ("auroc", *RATE_NAMES, "f1")}


@cache
def published() -> tuple[MethodRow, ...]:
    """All published rows; each one's counts reproduce its printed figures, or it has a flag."""
    text = (Path(__file__).parent / "paper_tables.yaml").read_text(encoding="utf-8")
    return tuple(
        row_of_counts(
            ConfusionMatrix(**{key: row[key] for key in ("tp", "fp", "fn", "tn")}),
            auroc=row["auroc"],
            method=row["method"],
            cases="the paper's test set" if "test set" not in row.get("flag", "") else "others",
            table=row["table"],
            flag=row.get("flag"),
            same_as=row.get("same_as"),
            printed={name: row[key] for name, key in _PRINTED.items()},
        )
        for row in YAML(typ="safe", pure=True).load(text)["rows"]
    )
