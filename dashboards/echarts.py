"""Plots -> ECharts options: plain dictionaries, drawn by Streamlit's own element."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, isfinite, log10
from typing import Any

from mmstudy.plots.plot import COUNTED, GREY, LOW_TO_HIGH, Axis, Layer, Plot, Rule

__all__ = ["option"]

Option = dict[str, Any]


def option(plot: Plot) -> Option:
    """The whole chart."""
    if plot.axes:
        return _parallel(plot)
    if plot.columns:
        return _heatmap(plot)
    series = [one for layer in plot.layers for one in _series(layer, plot)]
    names = [layer.name for layer in plot.layers if layer.shown and layer.name]
    legend = len(set(names)) > 1
    if plot.rules and series:
        series[0]["markLine"] = _rules(plot.rules)
    return {
        "animation": False,
        "grid": {
            "left": 8 if plot.rows or not plot.y else 30,
            "right": 20,
            "top": 44 if legend else 16,
            "bottom": 28,
            "containLabel": True,
        },
        "legend": {"show": legend, "data": list(dict.fromkeys(names)), "type": "scroll", "top": 4},
        "tooltip": {"trigger": "item", "confine": True, "valueFormatter": "%.4g"},
        "xAxis": _axis(plot.x, plot.x_range, log=plot.x_log)
        | {"nameLocation": "middle", "nameGap": 26},
        "yAxis": _rows(plot) if plot.rows else _axis(plot.y, plot.y_range) | _upright(plot.y),
        "series": series,
    }


def _parallel(plot: Plot) -> Option:
    """Upright axes, on which a reader can mark ranges with the mouse."""
    (layer,) = plot.layers
    width = len(plot.axes)
    paths = [layer.y[start : start + width] for start in range(0, len(layer.y), width)]
    low, high = layer.shades
    return {
        "animation": False,
        "parallelAxis": [_upright_axis(dim, axis) for dim, axis in enumerate(plot.axes)],
        "parallel": {
            "left": 70,
            "right": 60,
            "top": 64,
            "bottom": 30,
            "parallelAxisDefault": {
                "nameLocation": "end",
                "nameRotate": 18 if width > 5 else 0,
                "nameTextStyle": {"fontSize": 11},
                "nameTruncate": {"maxWidth": 140},
            },
        },
        "visualMap": {
            "show": False,
            "dimension": width - 1,  # the last axis is the value
            "min": low,
            "max": high,
            "inRange": {"color": list(LOW_TO_HIGH)},
        },
        "tooltip": {"show": False},
        "series": [
            {
                "type": "parallel",
                "smooth": False,
                "lineStyle": {"width": layer.size, "opacity": 0.5 if len(paths) < 500 else 0.12},
                "progressive": 2000,
                "data": [[_r(value) for value in path] for path in paths],
            }
        ],
    }


def _upright_axis(dim: int, axis: Axis) -> Option:
    if axis.names:
        return {"dim": dim, "name": axis.name, "type": "category", "data": list(axis.names)}
    low, high = _outward(axis.low, axis.high)
    return {"dim": dim, "name": axis.name, "min": low, "max": high}


def _outward(low: float, high: float) -> tuple[float, float]:
    """Limits of few digits around a range, so that the labels at the ends of an axis are short.

    >>> _outward(0.7060606, 0.7893939), _outward(2.0, 2.0)
    ((0.705, 0.79), (2.0, 2.0))
    """
    if high <= low:
        return low, high
    step = 10.0 ** floor(log10(high - low)) / 2
    return round(floor(low / step) * step, 12), round(ceil(high / step) * step, 12)


def _heatmap(plot: Plot) -> Option:
    (layer,) = plot.layers
    low, high = layer.shades
    places = zip(layer.x, layer.y, layer.shade, layer.count, strict=True)
    return {
        "animation": False,
        "grid": {"left": 8, "right": 90, "top": 16, "bottom": 34, "containLabel": True},
        "xAxis": _category(plot.x, plot.columns) | {"nameLocation": "middle", "nameGap": 30},
        "yAxis": _category(plot.y, plot.rows)
        | {"inverse": True, "nameLocation": "middle", "nameRotate": 90, "nameGap": 62},
        "visualMap": {
            "min": low,
            "max": high,
            "dimension": 2,
            "precision": 3,
            "calculable": True,
            "right": 0,
            "top": "middle",
            "inRange": {"color": list(LOW_TO_HIGH)},
        },
        "tooltip": {"confine": True},
        "series": [
            {
                "type": "heatmap",
                "name": f"{plot.shade}, trials",
                "dimensions": ["x", "y", plot.shade, "trials"],
                "encode": {"x": 0, "y": 1, "value": 2, "tooltip": [2, 3]},
                "data": [[x, y, round(shade, 4), n] for x, y, shade, n in places],
            }
        ],
    }


def _category(name: str, labels: Sequence[str]) -> Option:
    return {
        "type": "category",
        "name": name,
        "data": list(labels),
        "splitArea": {"show": True},
        "axisLabel": {"hideOverlap": True},
    }


def _axis(name: str, limits: tuple[float, float] | None, *, log: bool = False) -> Option:
    axis: Option = {"type": "log" if log else "value", "name": name, "scale": True}
    if name in COUNTED:
        axis["minInterval"] = 1
    if limits:
        axis |= {"min": limits[0], "max": limits[1]}
    return axis


def _upright(name: str) -> Option:
    gap = 26 if name in COUNTED else 42  # counts are short, rates have decimals
    return {"name": name, "nameLocation": "middle", "nameRotate": 90, "nameGap": gap}


def _rows(plot: Plot) -> Option:
    return {
        "type": "category",
        "data": list(plot.rows),
        "inverse": True,
        "axisTick": {"show": False},
        "splitLine": {"show": False},
        "axisLabel": {
            "width": 190,
            "overflow": "break",
            "interval": 0,
            "fontSize": 10,
            "lineHeight": 11,
        },
    }


def _series(layer: Layer, plot: Plot) -> list[Option]:
    base: Option = {"name": layer.name, "itemStyle": {"color": layer.colour}}
    if layer.kind == "dots":
        data = _points(layer.x, layer.y)
        return [base | {"type": "scatter", "symbolSize": 2 * layer.size, "data": data, "z": 4}]
    stroke = {"color": layer.colour, "width": layer.size}
    if layer.kind == "spans":
        ends = zip(layer.x, layer.high, layer.y, strict=True)
        bars: list[Any] = [
            point for a, b, y in ends for point in ([_r(a), y], [_r(b), y], [None, None])
        ]
        return [_line(base, bars, stroke)]
    if layer.kind == "band":
        return _band(layer, base)
    stroke |= {"type": "dashed" if layer.dashed else "solid"}
    line = _line(base, _points(layer.x, layer.y), stroke)
    if len(layer.x) == 1:  # a line of one point would be invisible
        line["showSymbol"] = True
    return [line | ({"step": "end"} if layer.kind == "step" else {})]


def _line(base: Option, data: list[Any], stroke: Option) -> Option:
    return base | {
        "type": "line",
        "data": data,
        "showSymbol": False,
        "lineStyle": stroke,
        "connectNulls": False,
        "z": 3,
    }


def _band(layer: Layer, base: Option) -> list[Option]:
    """Two stacked lines: an unseen one at the lower edge, and the height above it, filled."""
    height = [b - a for a, b in zip(layer.y, layer.high, strict=True)]
    hidden = {
        "type": "line",
        "stack": f"band {layer.name}",
        "stackStrategy": "all",
        "showSymbol": False,
        "lineStyle": {"opacity": 0},
        "silent": True,
        "z": 1,
    }
    area = {"areaStyle": {"color": layer.colour, "opacity": 0.22}}
    return [
        base | hidden | {"name": f"{layer.name}, lower edge", "data": _points(layer.x, layer.y)},
        base | hidden | area | {"data": _points(layer.x, height)},
    ]


def _rules(rules: Sequence[Rule]) -> Option:
    return {
        "silent": True,
        "symbol": "none",
        "lineStyle": {"color": GREY, "type": "dashed"},
        "label": {"color": GREY, "formatter": "{b}", "position": "insideEndTop", "fontSize": 11},
        "data": [{f"{rule.axis}Axis": rule.at, "name": rule.name} for rule in rules],
    }


def _points(x: Sequence[float], y: Sequence[float]) -> list[list[float | None]]:
    return [[_r(a), _r(b)] for a, b in zip(x, y, strict=True)]


def _r(value: float) -> float | None:
    """Six digits are more than a screen shows; NaN and infinity are no JSON."""
    return float(f"{value:.6g}") if isfinite(value) else None
