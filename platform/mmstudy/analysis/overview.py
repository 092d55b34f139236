"""How a study stands, and its learning curves, as small tables; pure functions of big ones.

They take the tables a reader already has, so that a page that is drawn every few seconds reads
each file once. Undefined is None or null, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from mmstudy.storage.schema import INFEASIBLE, State
from mmstudy.study import Study, best_first

__all__ = ["Overview", "band", "mean_curves", "overview", "running", "timeline"]

_RECENT = 20  # ended trials that say how fast a study goes
_ENDED = [State.COMPLETE.value, State.PRUNED.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One study in one line."""

    asked: int
    counts: dict[str, int]  # state -> trials; `fail` without the infeasible ones
    infeasible: int  # broke a constraint and never ran
    best: int | None  # the best trial (`mmstudy.study.best_first`)
    best_value: float | None  # its value in the search
    confirmed: float | None  # its confirmed value, where it has one
    hours: float
    gpu_hours: float | None  # null where no trial says
    wasted_hours: float  # on pruned and failed trials
    seconds_left: float | None  # at the pace of the latest trials; None where unknown

    @property
    def shown(self) -> tuple[str, float | None]:
        """The best trial's AUROC with what it is: confirmed, where it was."""
        if self.confirmed is not None:
            return "Best AUROC, confirmed", self.confirmed
        return "Best AUROC of the search", self.best_value


def overview(study: Study, trials: pl.DataFrame) -> Overview:
    """How the study stands, from its table of trials (`Study.trials`)."""
    counts = {state.value: trials.filter(pl.col("state") == state).height for state in State}
    refused = trials.filter(pl.col("reason").fill_null("").str.starts_with(INFEASIBLE)).height
    best = best_first(trials.drop_nulls("value")).head(1).to_dicts()
    wasted = trials.filter(pl.col("state").is_in([State.PRUNED, State.FAIL]))["seconds"].sum()
    known = trials["gpu_seconds"].drop_nulls()
    due = study.asked - counts[State.COMPLETE] - counts[State.PRUNED]
    return Overview(
        asked=study.asked,
        counts=counts | {State.FAIL.value: counts[State.FAIL] - refused},
        infeasible=refused,
        best=best[0]["number"] if best else None,
        best_value=best[0]["value"] if best else None,
        confirmed=best[0].get("confirmed") if best else None,
        hours=float(trials["seconds"].sum() or 0.0) / 3600,
        gpu_hours=float(known.sum()) / 3600 if len(known) else None,
        wasted_hours=float(wasted or 0.0) / 3600,
        seconds_left=_left(trials, due),
    )


def _left(trials: pl.DataFrame, due: int) -> float | None:
    ended = trials.filter(pl.col("state").is_in(_ENDED)).drop_nulls("ended")
    if ended.is_empty() or due <= 0:
        return None
    latest = ended.sort("ended").tail(_RECENT)
    first, last = latest["started"].min(), latest["ended"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return None
    return (last - first).total_seconds() / latest.height * due


def running(study: Study, trials: pl.DataFrame, epochs: pl.DataFrame) -> pl.DataFrame:
    """Trials that run now: number, fold, epoch, share done (0 to 1), seconds left (null before the
    first epoch), mean AUROC of the latest epoch.

    Time left is that of all folds at the trial's own pace, so a trial that will be pruned ends
    sooner.
    """
    alive = trials.filter(pl.col("state") == State.RUNNING)
    planned = pl.lit(study.about.epochs, dtype=pl.Int64)
    if "param:train.epochs" in trials.columns:
        planned = pl.coalesce(pl.col("param:train.epochs").cast(pl.Int64), planned)
    seen = epochs.group_by("number").agg(
        done=pl.len(),
        pace=pl.mean("seconds"),
        fold=pl.col("fold").max(),
        epoch=pl.col("epoch").sort_by("fold", "epoch").last() + 1,
        auroc=pl.col("auroc").sort_by("fold", "epoch").last(),
    )
    joined = alive.with_columns(planned=planned * study.folds).join(seen, on="number", how="left")
    left = (pl.col("planned") - pl.col("done")).clip(0) * pl.col("pace")
    return joined.select(
        "number",
        "fold",
        "epoch",
        (pl.col("done").fill_null(0) / pl.col("planned")).clip(0, 1).alias("share"),
        left.alias("seconds_left"),
        "auroc",
        "started",
    ).sort("number")


def mean_curves(epochs: pl.DataFrame) -> pl.DataFrame:
    """Mean validation AUROC over the folds: number, epoch (from 1), auroc, folds."""
    means = epochs.group_by("number", "epoch").agg(pl.mean("auroc"), pl.len().alias("folds"))
    return means.with_columns(epoch=pl.col("epoch") + 1).sort("number", "epoch")


def band(means: pl.DataFrame, low: float = 0.1, high: float = 0.9) -> pl.DataFrame:
    """Quantiles over all trials by epoch: epoch, low, median, high, n (trials that reached it)."""
    return (
        means.drop_nulls("auroc")
        .group_by("epoch")
        .agg(
            low=pl.col("auroc").quantile(low, "linear"),
            median=pl.col("auroc").median(),
            high=pl.col("auroc").quantile(high, "linear"),
            n=pl.len(),
        )
        .sort("epoch")
    )


def timeline(trials: pl.DataFrame, now: datetime, most: int = 200) -> pl.DataFrame:
    """When the latest `most` trials ran: number, state, begin, end, in hours since the first."""
    if trials.is_empty():
        return pl.DataFrame(schema={"number": pl.Int32, "state": pl.String, "begin": pl.Float64})
    origin: Any = trials["started"].min()
    hours = {
        "begin": pl.col("started") - origin,
        "end": pl.coalesce("ended", pl.lit(now)) - origin,
    }
    placed = trials.sort("number").tail(most)
    return placed.select(
        "number",
        "state",
        *(span.dt.total_milliseconds().alias(name) / 3.6e6 for name, span in hours.items()),
    )
