"""One row of a comparison: a method on some patients, every figure with its interval and counts.

Rows of this project are made from every case's probability, published ones from counts. Pure:
nothing is read, nothing is drawn. Undefined is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from mmcaf.stats.areas import auroc, auroc_interval
from mmcaf.stats.bootstrap import (
    Weighted,
    bootstrap_interval,
    weighted_auprc,
    weighted_brier,
    weighted_f1,
)
from mmcaf.stats.metrics import ConfusionMatrix, Proportion, auprc, brier
from mmcaf.stats.paired import Scored
from mmcaf.stats.thresholds import FIXED
from mmcaf.stats.unpaired import hanley_mcneil
from mmstudy.storage.origin import Origin
from mmstudy.study import per_case

__all__ = [
    "RATE_NAMES",
    "Figure",
    "Kind",
    "MethodRow",
    "limited_to",
    "row_of",
    "row_of_counts",
]

Kind = Literal["ours", "baseline", "published"]
_PUBLISHED = Origin()  # of patients
RATE_NAMES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
"""In the order they are shown: a clinician asks for the first two first."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval; None where undefined."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: float, interval: tuple[float, float] | None) -> Figure:
        """A figure from a value that may be NaN, which has no interval either."""
        if value != value:
            return cls()
        return cls(float(value), *(interval or (None, None)))

    def __str__(self) -> str:
        """For a human: `0.786 [0.64, 0.89]`, or a dash."""
        if self.value is None:
            return "-"
        known = self.low is not None and self.high is not None
        return f"{self.value:.3f}" + (f" [{self.low:.2f}, {self.high:.2f}]" if known else "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MethodRow:
    """A method, what it was scored on, and what came out."""

    kind: Kind
    table: str  # ours, baseline, or where it was published: 1, 2, 3, readme
    method: str
    cases: str  # which patients
    threshold: str  # by which rule a case is called squamous
    counts: ConfusionMatrix
    auroc: Figure
    f1: Figure
    auprc: Figure = Figure()
    brier: Figure = Figure()
    flag: str | None = None  # why it is marked, not ranked and not tested
    same_as: str | None = None  # of published rows: the one printed before that this one repeats
    origin: Origin = _PUBLISHED
    printed: Mapping[str, float] = field(default_factory=dict)  # as published
    # case, label, fold, probability, call, and corrected where that is known; by case, fold
    predictions: pl.DataFrame | None = None
    among: NDArray[np.float64] | None = None  # (configurations, rows) it was chosen from, by fold

    @property
    def rates(self) -> dict[str, Proportion]:
        """Name -> proportion, in the order of `RATE_NAMES`."""
        return self.counts.rates()

    @property
    def n(self) -> int:
        """Number of patients."""
        return self.counts.n

    @property
    def positives(self) -> int:
        """Number of squamous ones among them."""
        return self.counts.tp + self.counts.fn

    @property
    def networks(self) -> int:
        """How many networks share the patients; where folds are repeated, in one repeat."""
        if self.predictions is None or not self.n:
            return 1
        repeats = self.predictions.height / self.n
        return round(self.predictions["fold"].n_unique() / repeats)

    @property
    def ranked(self) -> bool:
        """Whether it may stand in an order with others."""
        return self.flag is None

    @property
    def scored(self) -> Scored:
        """Probabilities and calls, for tests on the same cases.

        Raises:
            ValueError: the row was made from counts.
        """
        if self.predictions is None:
            raise ValueError(f"{self.method} is known by its counts alone; it has no cases.")
        return Scored(
            self.predictions["probability"].to_numpy(),
            self.predictions["call"].to_numpy(),
            self.among,
        )

    @property
    def per_case(self) -> pl.DataFrame:
        """Each case once, by case: case, label, probability, and corrected where that is known (the
        means where folds are repeated).

        Raises:
            ValueError: the row was made from counts.
        """
        if self.predictions is None:
            raise ValueError(f"{self.method} is known by its counts alone; it has no cases.")
        return per_case(self.predictions)

    def called(self, calls: ArrayLike, *, threshold: str) -> MethodRow:
        """The same cases and probabilities with other calls (cases,), in the order of `per_case`;
        `threshold` is the rule behind them, in words."""
        if self.predictions is None:
            raise ValueError(f"{self.method} is known by its counts alone; it has no cases.")
        decided = self.per_case.select("case", call=pl.Series(np.asarray(calls, dtype=bool)))
        known = self.predictions.drop("call").join(decided, on="case", maintain_order="left")
        counts = _counts(known)
        return replace(self, predictions=known, counts=counts, f1=_f1(counts), threshold=threshold)

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values, without the cases."""
        figures = {name: getattr(self, name) for name in ("auroc", "f1", "auprc", "brier")}
        return {
            "origin": self.origin.column,
            "kind": self.kind,
            "table": self.table,
            "method": self.method,
            "cases": self.cases,
            "threshold": self.threshold,
            "n": self.n,
            "squamous": self.positives,
            "adenocarcinoma": self.n - self.positives,
            "counts": {name: getattr(self.counts, name) for name in ("tp", "fn", "fp", "tn")},
            **{name: _as_dict(rate) for name, rate in self.rates.items()},
            "majority": _as_dict(self.counts.majority),
            **{
                name: {"value": one.value, "low": one.low, "high": one.high}
                for name, one in figures.items()
            },
            "ranked": self.ranked,
            "flag": self.flag,
            "same_as": self.same_as,
            "printed": dict(self.printed),
        }


def row_of(
    predictions: pl.DataFrame,
    *,
    method: str,
    cases: str,
    origin: Origin,
    kind: Kind = "ours",
    table: str = "ours",
    flag: str | None = None,
) -> MethodRow:
    """A row of cases whose probabilities are known; squamous are those with at least 0.5.

    AUROC, AUPRC and Brier are means over folds, with intervals stratified by fold, for networks of
    different folds have scales of their own. Rates count each case once. The Brier score is of
    corrected probabilities where they are known, calls are made on the raw ones
    (`mmstudy.analysis.probabilities`).

    Args:
        predictions: case, label, probability, in any order; each case once, or once per `fold`
            (int, the network that scored it), if that column is there; and `corrected`, if known.
        method: its name.
        cases: which patients these are, in words.
        origin: whether they are synthetic, and whether the method was told where the lesion is.
        kind: whose row it is.
        table: under which heading it stands.
        flag: why it must not be ranked or tested, if so.

    Raises:
        ValueError: a case twice, probabilities that are none, labels other than 0 and 1.
    """
    if "fold" not in predictions.columns:
        predictions = predictions.with_columns(fold=pl.lit(0))  # one network
    if predictions.select("case", "fold").is_duplicated().any():
        raise ValueError(f"Need each case once per fold, got some of {method} several times.")
    columns = ["case", "label", "fold", "probability"]
    if "corrected" in predictions.columns and not predictions["corrected"].null_count():
        columns.append("corrected")
    known = predictions.select(columns).sort("case", "fold")
    known = known.with_columns(call=pl.mean("probability").over("case") >= FIXED)
    labels, scores = known["label"].to_numpy(), known["probability"].to_numpy()
    folds, case = known["fold"].to_numpy(), known["case"].to_numpy()
    own = known[columns[-1]].to_numpy()  # corrected, or else raw
    counts = _counts(known)

    def figure(value: float, metric: Weighted, of: NDArray[np.float64]) -> Figure:
        interval = bootstrap_interval(metric, labels, of, folds=folds, cases=case)
        return Figure.of(value, interval)

    return MethodRow(
        kind=kind,
        table=table,
        method=method,
        cases=cases,
        threshold=f"{FIXED}",
        counts=counts,
        auroc=_area(known),
        f1=_f1(counts),
        auprc=figure(auprc(labels, scores, folds), weighted_auprc, scores),
        brier=figure(brier(labels, own), weighted_brier, own),
        flag=flag,
        origin=origin,
        predictions=known,
    )


def limited_to(row: MethodRow, cases: pl.Series) -> MethodRow:
    """The row on those of its patients that are among `cases`; only what tests read is defined.

    Raises:
        ValueError: the row was made from counts.
    """
    if row.predictions is None:
        raise ValueError(f"{row.method} is known by its counts alone; it has no cases.")
    kept = row.predictions["case"].is_in(cases.unique().implode())
    if kept.all():
        return row
    known = row.predictions.filter(kept)
    return replace(
        row,
        cases=f"{row.cases}, {known['case'].n_unique()} of them",
        counts=_counts(known),
        auroc=_area(known),
        f1=Figure(),
        auprc=Figure(),
        brier=Figure(),
        predictions=known,
        among=None if row.among is None else row.among[:, kept.to_numpy()],
    )


def _area(rows: pl.DataFrame) -> Figure:
    labels, scores = rows["label"].to_numpy(), rows["probability"].to_numpy()
    folds, case = rows["fold"].to_numpy(), rows["case"].to_numpy()
    interval = auroc_interval(labels, scores, folds=folds, cases=case)
    return Figure.of(auroc(labels, scores, folds), interval)


def _counts(rows: pl.DataFrame) -> ConfusionMatrix:
    once = rows.unique("case", keep="first", maintain_order=True)
    return ConfusionMatrix.from_calls(once["label"].to_numpy(), once["call"].to_numpy())


def row_of_counts(
    counts: ConfusionMatrix,
    *,
    auroc: float,
    method: str,
    cases: str,
    table: str,
    threshold: str = "not published",
    flag: str | None = None,
    same_as: str | None = None,
    printed: Mapping[str, float] | None = None,
) -> MethodRow:
    """A published row: its AUROC as printed, with Hanley and McNeil's interval."""
    positives, negatives = counts.tp + counts.fn, counts.fp + counts.tn
    return MethodRow(
        kind="published",
        table=table,
        method=method,
        cases=cases,
        threshold=threshold,
        counts=counts,
        auroc=Figure.of(auroc, hanley_mcneil(auroc, positives, negatives)),
        f1=_f1(counts),
        flag=flag,
        same_as=same_as,
        printed=printed or {},
    )


def _f1(counts: ConfusionMatrix) -> Figure:
    labels, calls = counts.expanded()
    return Figure.of(counts.f1, bootstrap_interval(weighted_f1, labels, calls, kind="percentile"))


def _as_dict(rate: Proportion) -> dict[str, Any]:
    counts = {"hits": rate.hits, "total": rate.total}
    if not rate.total:
        return {"value": None, "low": None, "high": None, **counts}
    low, high = rate.wilson()
    return {"value": float(rate), "low": low, "high": high, **counts}
