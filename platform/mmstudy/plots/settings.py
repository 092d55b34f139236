"""All searched settings at once, and two of them against each other: tables -> plots."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10, nan
from typing import Any

import numpy as np
import polars as pl

from mmstudy.analysis.filters import Setting, text_of
from mmstudy.plots.plot import Axis, Layer, Plot

__all__ = ["binned", "contour", "parallel"]

_BINS = 10


def parallel(trials: pl.DataFrame, settings: Sequence[Setting]) -> Plot:
    """A line per complete trial over all its settings, coloured by value; the highest is last."""
    done = trials.drop_nulls("value").sort("value")
    axes = tuple(_axis(setting, done) for setting in settings)
    columns = [_places(done, setting, axis) for setting, axis in zip(settings, axes, strict=True)]
    value = done["value"].to_list()
    width = len(axes) + 1
    paths = Layer(
        kind="paths",
        name="complete trial",
        x=[*range(width)] * len(value),
        y=[at for path in zip(*columns, value, strict=True) for at in path],
        shade=[one for one in value for _ in range(width)],
        size=1.5,
    )
    low, high = paths.shades
    return Plot(
        name="parallel",
        x="",
        y="",
        axes=(*axes, Axis(name="AUROC", low=low, high=high)),
        shade="AUROC",
        layers=(paths,),
        alt=f"Parallel coordinates of {len(value)} trials over {len(axes)} settings and AUROC.",
        height=420,
    )


def _axis(setting: Setting, trials: pl.DataFrame) -> Axis:
    name = setting.path.rpartition(".")[2]
    if not setting.numeric:
        there = set(_texts(trials, setting))
        names = (*setting.options, *sorted(there - set(setting.options)))
        return Axis(name=name, names=names)
    low, high = setting.low or 0.0, setting.high or 0.0
    if setting.log:
        ends = floor(10 * log10(low)) / 10, ceil(10 * log10(high)) / 10
        return Axis(name=f"log10 {name}", low=ends[0], high=ends[1])
    return Axis(name=name, low=low, high=high)


def _places(trials: pl.DataFrame, setting: Setting, axis: Axis) -> list[float]:
    """Where each trial crosses an axis; NaN where it does not have the setting."""
    if not setting.numeric:
        return [float(axis.names.index(text)) for text in _texts(trials, setting)]
    values = trials[setting.column].cast(pl.Float64)
    return (values.log10() if setting.log else values).fill_null(nan).to_list()


def _texts(trials: pl.DataFrame, setting: Setting) -> list[str]:
    return trials.select(text_of(setting.column).fill_null("-"))[setting.column].to_list()


def binned(trials: pl.DataFrame, x: Setting, y: Setting) -> pl.DataFrame:
    """Mean value and number of complete trials by two settings: x, y (labels), mean, n.

    A range is cut into equal parts, on its log scale where it has one. Parts without a trial have
    no row: nothing is interpolated.
    """
    done = trials.drop_nulls(["value", x.column, y.column])
    labelled = done.select(
        "value",
        pl.Series("x", _bins(done, x), dtype=pl.String),
        pl.Series("y", _bins(done, y), dtype=pl.String),
    )
    found = labelled.group_by("x", "y").agg(mean=pl.mean("value"), n=pl.len())
    return found.sort("x", "y")


def contour(trials: pl.DataFrame, x: Setting, y: Setting) -> Plot:
    """Mean value by two settings, as coloured cells; a cell without a trial is empty."""
    table = binned(trials, x, y)
    columns, rows = _labels(x), _labels(y)[::-1]  # rows are counted from the top
    return Plot(
        name="contour",
        x=x.path,
        y=y.path,
        columns=tuple(columns),
        rows=tuple(rows),
        shade="mean AUROC",
        layers=(
            Layer(
                kind="cells",
                name="cell",
                x=[columns.index(label) for label in table["x"]],
                y=[rows.index(label) for label in table["y"]],
                shade=table["mean"].to_list(),
                count=table["n"].to_list(),
            ),
        ),
        alt=f"Mean AUROC by {x.path} and {y.path}, {table.height} cells with trials.",
        height=360,
    )


def _edges(setting: Setting) -> np.ndarray[Any, Any]:
    low, high = setting.low or 0.0, setting.high or 0.0
    ends = (log10(low), log10(high)) if setting.log else (low, high)
    edges = np.linspace(*ends, _BINS + 1)
    return 10**edges if setting.log else edges


def _labels(setting: Setting) -> list[str]:
    if not setting.numeric:
        return list(setting.options)
    edges = _edges(setting)
    middles = np.sqrt(edges[1:] * edges[:-1]) if setting.log else (edges[1:] + edges[:-1]) / 2
    return [f"{middle:.3g}" for middle in middles]


def _bins(trials: pl.DataFrame, setting: Setting) -> list[str]:
    if not setting.numeric:
        return trials.select(text_of(setting.column))[setting.column].to_list()
    values = trials[setting.column].cast(pl.Float64).to_numpy()
    place = np.clip(np.searchsorted(_edges(setting), values, side="right") - 1, 0, _BINS - 1)
    labels = _labels(setting)
    return [labels[i] for i in place]
