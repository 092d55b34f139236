"""Two charts that only a screen can show: parallel coordinates, and the mean over two settings.

ECharts options, made of tables; the files of these are their numbers as CSV.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

import numpy as np
import polars as pl

from mmstudy.analysis.filters import Setting, text_of

__all__ = ["binned", "heatmap", "parallel"]

# From blue to yellow, never so dark or so bright that it is lost on one of the two grounds.
_LOW_TO_HIGH = ["#3B6FB6", "#2F9C95", "#74B05A", "#E0A420"]
_BINS = 10


def parallel(trials: pl.DataFrame, settings: Sequence[Setting]) -> dict[str, Any]:
    """A line per complete trial over all its settings, coloured by value; the best drawn last."""
    done = trials.drop_nulls("value").sort("value")
    value = done["value"]
    columns = [_column(done, setting) for setting in settings] + [value]
    axes = [_axis(i, setting, done) for i, setting in enumerate(settings)]
    axes.append({"dim": len(settings), "name": "AUROC", "scale": True})
    low, high = _ends(value)
    return {
        "animation": False,
        "parallelAxis": axes,
        "parallel": {
            "left": 70,
            "right": 60,
            "top": 64,
            "bottom": 30,
            "parallelAxisDefault": {
                "nameLocation": "end",
                "nameRotate": 18 if len(axes) > 5 else 0,
                "nameTextStyle": {"fontSize": 11},
                "nameTruncate": {"maxWidth": 140},
            },
        },
        "visualMap": {
            "show": False,
            "dimension": len(settings),
            "min": low,
            "max": high,
            "inRange": {"color": _LOW_TO_HIGH},
        },
        "tooltip": {"show": False},
        "series": [
            {
                "type": "parallel",
                "smooth": False,
                "lineStyle": {"width": 1.5, "opacity": 0.5 if done.height < 500 else 0.12},
                "progressive": 2000,
                "data": [list(row) for row in zip(*(c.to_list() for c in columns), strict=True)],
            }
        ],
    }


def _column(trials: pl.DataFrame, setting: Setting) -> pl.Series:
    if setting.numeric:
        values = trials[setting.column].cast(pl.Float64)
        return values.log10() if setting.log else values
    return trials.select(text_of(setting.column).fill_null("-"))[setting.column]


def _axis(place: int, setting: Setting, trials: pl.DataFrame) -> dict[str, Any]:
    name = setting.path.rpartition(".")[2]
    if not setting.numeric:
        there = set(_column(trials, setting))
        options = [*setting.options, *sorted(there - set(setting.options))]
        return {"dim": place, "name": name, "type": "category", "data": options}
    low, high = setting.low or 0.0, setting.high or 0.0
    if setting.log:
        ends = {"min": floor(10 * log10(low)) / 10, "max": ceil(10 * log10(high)) / 10}
        return {"dim": place, "name": f"log10 {name}", **ends}
    return {"dim": place, "name": name, "min": low, "max": high}


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


def heatmap(table: pl.DataFrame, x: Setting, y: Setting) -> dict[str, Any]:
    """`binned` as coloured cells."""
    low, high = _ends(table["mean"])
    columns, rows = _labels(x), _labels(y)
    data = [
        [columns.index(a), rows.index(b), round(mean, 4), n] for a, b, mean, n in table.iter_rows()
    ]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 90, "top": 16, "bottom": 34, "containLabel": True},
        "xAxis": _category(x, columns) | {"nameLocation": "middle", "nameGap": 30},
        "yAxis": _category(y, rows) | {"nameLocation": "middle", "nameRotate": 90, "nameGap": 62},
        "visualMap": {
            "min": low,
            "max": high,
            "dimension": 2,
            "precision": 3,
            "calculable": True,
            "right": 0,
            "top": "middle",
            "inRange": {"color": _LOW_TO_HIGH},
        },
        "tooltip": {"confine": True},
        "series": [
            {
                "type": "heatmap",
                "name": "mean AUROC, trials",
                "dimensions": ["x", "y", "mean AUROC", "trials"],
                "encode": {"x": 0, "y": 1, "value": 2, "tooltip": [2, 3]},
                "data": data,
            }
        ],
    }


def _category(setting: Setting, labels: list[str]) -> dict[str, Any]:
    return {
        "type": "category",
        "name": setting.path,
        "data": labels,
        "splitArea": {"show": True},
        "axisLabel": {"hideOverlap": True},
    }


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


def _ends(values: pl.Series) -> tuple[float, float]:
    known = values.drop_nulls()
    if known.is_empty():
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]
    return (low, high) if low < high else (low - 0.01, high + 0.01)
