"""How well a trial tells the classes apart within parts of the patients: exploratory, no test.

The AUROC of a part is the mean over folds, as that of all is. Of few patients it says nothing, so
below `LEAST` there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import polars as pl

from mmcaf.stats.areas import auroc, auroc_interval
from mmstudy.analysis.factors import FACTORS

__all__ = ["LEAST", "SUBGROUPS", "Subgroup", "subgroups"]

LEAST = 20
"""Patients from which on a part has an AUROC."""

UNKNOWN = "not known"
SUBGROUPS = tuple(factor for factor in FACTORS if factor.column != "smoker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """One level of one factor; without an AUROC, `reason` says why."""

    factor: str
    level: str
    n: int
    positives: int  # squamous
    auroc: float | None = None
    interval: tuple[float, float] | None = None  # 95 %
    reason: str = ""


def subgroups(found: pl.DataFrame, patients: pl.DataFrame) -> list[Subgroup]:
    """Every level that a validated patient has, by factor.

    Args:
        found: case, label, fold, probability, out of fold.
        patients: the cohort's rows.
    """
    parts: list[Subgroup] = []
    for factor in SUBGROUPS:
        levels = factor.levels(patients)
        if levels is None:
            continue
        of_case = pl.DataFrame({"case": patients["case"], "level": levels.fill_null(UNKNOWN)})
        rows = found.join(of_case, on="case", how="inner")
        there = set(rows["level"])
        named = [*(factor.order or sorted(there - {UNKNOWN})), UNKNOWN]
        parts += [
            _judged(factor.name, level, rows.filter(level=level))
            for level in named
            if level in there
        ]
    return parts


def _judged(factor: str, level: str, rows: pl.DataFrame) -> Subgroup:
    once = rows.unique("case")
    n, positives = once.height, int(once["label"].sum())
    if n < LEAST:
        reason = f"fewer than {LEAST} patients"
    elif not 0 < positives < n:
        reason = "one class alone"
    else:
        labels, scores = rows["label"].to_numpy(), rows["probability"].to_numpy()
        folds, cases = rows["fold"].to_numpy(), rows["case"].to_numpy()
        value, reason = auroc(labels, scores, folds), "no fold holds both classes"
        if not isnan(value):
            interval = auroc_interval(labels, scores, folds=folds, cases=cases)
            return Subgroup(
                factor=factor, level=level, n=n, positives=positives, auroc=value, interval=interval
            )
    return Subgroup(factor=factor, level=level, n=n, positives=positives, reason=reason)
