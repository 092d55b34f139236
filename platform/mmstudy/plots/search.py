"""What a search found: tables -> plots. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import polars as pl

from mmstudy.analysis.filters import text_of
from mmstudy.plots.plot import (
    AUROC,
    BLUE,
    CATEGORICAL,
    GREEN,
    GREY,
    ORANGE,
    STATE_COLOURS,
    UNIT,
    VERMILION,
    Layer,
    Plot,
)

__all__ = [
    "cheapest",
    "front",
    "history",
    "importances",
    "learning_curves",
    "options",
    "slices",
    "timeline",
]


def history(trials: pl.DataFrame) -> Plot:
    """The value of every complete trial in order, and the highest value of the search so far."""
    done = trials.filter(pl.col("value").is_not_null()).sort("number")
    number, value = done["number"].to_list(), done["value"].to_list()
    best = done["value"].cum_max().to_list()
    size = 4.0 if len(number) < 500 else 2.0
    return Plot(
        name="history",
        x="trial",
        y=AUROC,
        layers=(
            Layer(kind="dots", name="trial", x=number, y=value, size=size),
            Layer(kind="step", name="best of the search so far", x=number, y=best, colour=GREEN),
        ),
        alt=f"Validation AUROC of {len(number)} complete trials by number, and the highest so far.",
    )


def learning_curves(means: pl.DataFrame, band: pl.DataFrame, numbers: Sequence[int]) -> Plot:
    """Mean AUROC by epoch of chosen trials, over the middle 80 % of all trials."""
    layers = []
    if band.height > 1:
        layers.append(
            Layer(
                kind="band",
                name="10 % to 90 % of all trials",
                x=band["epoch"].to_list(),
                y=band["low"].to_list(),
                high=band["high"].to_list(),
                colour=GREY,
            )
        )
    for number, colour in zip(numbers, cycle(CATEGORICAL), strict=False):
        of = means.filter(pl.col("number") == number).drop_nulls("auroc")
        x, y = of["epoch"].to_list(), of["auroc"].to_list()
        layers.append(Layer(kind="line", name=f"trial {number}", x=x, y=y, colour=colour))
    return Plot(
        name="learning-curves",
        x="epoch",
        y=f"mean {AUROC}",
        layers=tuple(layers),
        alt=f"Learning curves of trials {', '.join(map(str, numbers))} over a band of all trials.",
    )


def timeline(rows: pl.DataFrame) -> Plot:
    """When trials ran, by state; in hours, or in minutes where the study is short."""
    last = float(rows["end"].max() or 0.0)  # type: ignore[arg-type]
    unit, times = ("hours", 1.0) if last > 2 else ("minutes", 60.0)
    layers = []
    for state, colour in STATE_COLOURS.items():
        of = rows.filter(pl.col("state") == state)
        if of.height:
            layers.append(
                Layer(
                    kind="spans",
                    name=state,
                    x=(of["begin"] * times).to_list(),
                    high=(of["end"] * times).to_list(),
                    y=of["number"].to_list(),
                    colour=colour,
                    size=5.0 if rows.height < 40 else 2.0,
                )
            )
    return Plot(
        name="timeline",
        x=f"{unit} since the first trial began",
        y="trial",
        layers=tuple(layers),
        alt=f"When each of the latest {rows.height} trials ran, coloured by state.",
    )


def importances(rows: Sequence[Mapping[str, Any]]) -> Plot:
    """Both measures of importance per setting, each named for what it shares out."""
    names = {"fanova": "fANOVA: of the value", "ped_anova": "PED-ANOVA: of the best tenth"}
    layers = []
    for column, colour in zip(names, (BLUE, ORANGE), strict=True):
        known = [(i, float(row[column] or 0)) for i, row in enumerate(rows) if row.get(column)]
        layers.append(
            Layer(
                kind="dots",
                name=names[column],
                x=[value for _, value in known],
                y=[place for place, _ in known],
                colour=colour,
                size=5,
            )
        )
    return Plot(
        name="importance",
        x="share among the settings",
        y="",
        rows=tuple(
            f"{row['setting']} (n={row['n']}{', ' * bool(row.get('says'))}{row.get('says') or ''})"
            for row in rows
        ),
        x_range=UNIT,
        layers=tuple(layers),
        alt="Each setting's share in how the value varies, and in what the best trials have.",
        height=90 + 34 * len(rows),
    )


def slices(trials: pl.DataFrame, column: str, label: str, *, log: bool) -> Plot:
    """Value against one numeric setting."""
    done = trials.drop_nulls(["value", column])
    return Plot(
        name="setting",
        x=label,
        y=AUROC,
        x_log=log,
        layers=(
            Layer(
                kind="dots",
                name="complete trial",
                x=done[column].cast(pl.Float64).to_list(),
                y=done["value"].to_list(),
                size=4 if done.height < 500 else 2,
            ),
        ),
        alt=f"Validation AUROC of {done.height} trials against {label}.",
    )


def front(trials: pl.DataFrame, best: pl.DataFrame, column: str, label: str) -> Plot:
    """Value against a cost, and the trials that no other beats in both."""
    done = trials.drop_nulls(["value", column])
    kept = best.drop_nulls(["value", column]).sort(column)
    return Plot(
        name="pareto",
        x=label,
        y=AUROC,
        layers=(
            Layer(
                kind="dots",
                name="complete trial",
                x=done[column].to_list(),
                y=done["value"].to_list(),
                colour=GREY,
                size=3,
            ),
            Layer(
                kind="step",
                name="no trial is better in both",
                x=kept[column].to_list(),
                y=kept["value"].to_list(),
                colour=VERMILION,
            ),
            Layer(
                kind="dots",
                name="no trial is better in both",
                x=kept[column].to_list(),
                y=kept["value"].to_list(),
                colour=VERMILION,
                size=5,
                shown=False,
            ),
        ),
        alt=f"Validation AUROC against {label}; {kept.height} trials are on the front.",
    )


def cheapest(trials: pl.DataFrame, cost: str) -> pl.DataFrame:
    """The trials that none is better than and as cheap: going up the cost, each new best."""
    ordered = trials.drop_nulls(cost).sort([cost, "value"], descending=[False, True])
    before = ordered["value"].cum_max().shift(1, fill_value=-1.0)
    return ordered.filter(ordered["value"] > before)


def options(trials: pl.DataFrame, column: str, label: str, known: Sequence[str]) -> Plot:
    """Value against one setting with options: every trial, and the mean of each option."""
    done = trials.drop_nulls("value").select(
        "value", text_of(column).fill_null("-").alias("option")
    )
    names = [*known, *sorted(set(done["option"]) - set(known))]
    place = {name: i for i, name in enumerate(names)}
    mean = dict(done.group_by("option").agg(pl.mean("value")).iter_rows())
    count = dict(done.group_by("option").len().iter_rows())
    there = [name for name in names if name in mean]
    return Plot(
        name="setting",
        x=AUROC,
        y="",
        rows=tuple(f"{name}  (n={count.get(name, 0)})" for name in names),
        layers=(
            Layer(
                kind="dots",
                name="complete trial",
                x=done["value"].to_list(),
                y=[place[name] for name in done["option"]],
                size=4 if done.height < 500 else 2,
            ),
            Layer(
                kind="dots",
                name="mean",
                x=[mean[name] for name in there],
                y=[place[name] for name in there],
                colour=VERMILION,
                size=6,
            ),
        ),
        alt=f"Validation AUROC of {done.height} trials by {label}.",
    )
