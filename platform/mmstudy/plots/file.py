"""Plots -> PDF, SVG or PNG by matplotlib, for manuscripts and notebooks; text stays text.

Matplotlib is there for the KAN layer anyway; the exporter of Vega charts would be 84 MB more.
"""

from __future__ import annotations

import io
from threading import Lock
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from mmstudy.plots.plot import COUNTED, GREY, LOW_TO_HIGH, Axis, Format, Layer, Plot

__all__ = ["draw", "inline"]

_DPI = 100
_PRINT_DPI = 300  # of PNG, and of what is drawn as points of colour in the other formats
_SCREEN_DPI = 120  # of the latter in a notebook, which keeps all it shows
_MANY = 5000  # points; as shapes they would be megabytes that no viewer scrolls
_STYLE: Any = {
    "pdf.fonttype": 42,  # journals refuse type 3
    "svg.fonttype": "none",
    "svg.hashsalt": "mmstudy",  # the same plot is the same file
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,  # a study's name is text, whatever signs it has
}
_SHADES = LinearSegmentedColormap.from_list("mmstudy", LOW_TO_HIGH)
_NO_DATE: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
    "png": {},
}
_ONE = Lock()  # matplotlib's settings are the whole process's


def draw(plot: Plot, how: Format, dpi: int = _PRINT_DPI) -> bytes:
    """The file's content; its title is what `alt` says."""
    with _ONE, mpl.rc_context(_STYLE):
        width = 3.5 if plot.square else 5.5
        height = width if plot.square else max(2.6, plot.height / _DPI)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        for layer in plot.layers:
            _layer(axes, layer, plot)
        _frame(axes, plot)
        axes.set_title(plot.note, loc="right", fontsize=7, color=GREY)
        out = io.BytesIO()
        metadata = {"Title": plot.alt} | _NO_DATE[how]
        figure.savefig(out, format=how, metadata=metadata, dpi=dpi)
        return out.getvalue()


def inline(plot: Plot) -> str:
    """The plot as an SVG element of a page, with `alt` as its title."""
    text = draw(plot, "svg", _SCREEN_DPI).decode("utf-8")
    element = text[text.index("<svg") :]  # a page has no second head
    return element.replace("<svg", '<svg role="img"', 1)


def _layer(axes: Axes, layer: Layer, plot: Plot) -> None:
    name = layer.name if layer.shown else f"_{layer.name}"
    style: dict[str, Any] = {"color": layer.colour, "linewidth": layer.size * 0.6, "label": name}
    style["rasterized"] = len(layer.x) > _MANY
    if layer.kind == "dots":
        del style["linewidth"]
        axes.scatter(layer.x, layer.y, s=(1.4 * layer.size) ** 2, zorder=4, **style)
    elif layer.kind == "band":
        style["linewidth"] = 0
        axes.fill_between(layer.x, layer.y, layer.high, alpha=0.2, **style)
    elif layer.kind == "spans":
        axes.hlines(layer.y, layer.x, layer.high, **style)
    elif layer.kind == "cells":
        _cells(axes, layer, plot)
    elif layer.kind == "paths":
        _paths(axes, layer, plot.axes)
    else:
        dash = "--" if layer.dashed else "-"
        draw_style = "steps-post" if layer.kind == "step" else "default"
        mark = "o" if len(layer.x) == 1 else None  # a line of one point would be invisible
        axes.plot(layer.x, layer.y, linestyle=dash, drawstyle=draw_style, marker=mark, **style)


def _cells(axes: Axes, layer: Layer, plot: Plot) -> None:
    """Squares with the number of trials in each; what has none stays empty."""
    grid = np.full((len(plot.rows), len(plot.columns)), np.nan)
    grid[np.array(layer.y, int), np.array(layer.x, int)] = layer.shade
    low, high = layer.shades
    edges = (np.arange(size + 1) - 0.5 for size in (grid.shape[1], grid.shape[0]))
    mesh = axes.pcolormesh(*edges, np.ma.masked_invalid(grid), cmap=_SHADES, vmin=low, vmax=high)
    axes.figure.colorbar(mesh, ax=axes, label=plot.shade)
    for x, y, count in zip(layer.x, layer.y, layer.count, strict=True):
        axes.text(x, y, str(count), ha="center", va="center", fontsize=5, color="black")


def _paths(axes: Axes, layer: Layer, scales: tuple[Axis, ...]) -> None:
    """Lines over upright axes, each of its own scale, the last shaded ones on top."""
    width = len(scales)
    values = np.array(layer.y, float).reshape(-1, width)
    low = np.array([0.0 if scale.names else scale.low for scale in scales])
    high = np.array([len(scale.names) - 1.0 if scale.names else scale.high for scale in scales])
    span = np.where(high > low, high - low, 1.0)
    places = np.broadcast_to(np.arange(width), values.shape)
    many = len(layer.x) > _MANY
    lines = LineCollection(
        [*np.stack([places, (values - low) / span], axis=2)],
        cmap=_SHADES,
        linewidths=0.7,
        alpha=0.6 if len(values) < 500 else 0.15,
        rasterized=many,
        antialiased=not many,  # it takes most of the time, and nobody sees it
    )
    lines.set_array(np.array(layer.shade[::width], float))
    lines.set_clim(*layer.shades)
    axes.add_collection(lines)
    for place, scale in enumerate(scales):
        axes.axvline(place, color=GREY, linewidth=0.6)
        for at, text in _marks(scale):
            axes.text(place + 0.03, at, text, fontsize=6, va="center")


def _marks(scale: Axis) -> list[tuple[float, str]]:
    """Where an axis from 0 to 1 is written at, and what."""
    if not scale.names:
        return [(0.0, f"{scale.low:.3g}"), (1.0, f"{scale.high:.3g}")]
    return [(i / max(1, len(scale.names) - 1), name) for i, name in enumerate(scale.names)]


def _frame(axes: Axes, plot: Plot) -> None:
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    for axis, name in ((axes.xaxis, plot.x), (axes.yaxis, plot.y)):
        if name in COUNTED:
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if plot.x_log:
        _log(axes)
    if plot.x_range:
        axes.set_xlim(*plot.x_range)
    if plot.y_range:
        axes.set_ylim(*plot.y_range)
    _named(axes, plot)
    for rule in plot.rules:
        line = axes.axvline if rule.axis == "x" else axes.axhline
        line(rule.at, color=GREY, linestyle="--", linewidth=0.8, label=rule.name)
    if len({layer.name for layer in plot.layers if layer.shown}) + len(plot.rules) > 1:
        axes.legend(fontsize=7, loc="best")


def _log(axes: Axes) -> None:
    """A log axis with plain numbers: those of matplotlib are formulae, and text is no formula."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _named(axes: Axes, plot: Plot) -> None:
    """Names in the place of numbers, where a plot has such."""
    if plot.rows:
        axes.set_yticks(range(len(plot.rows)), labels=list(plot.rows))
        axes.set_ylim(len(plot.rows) - 0.5, -0.5)
    if plot.columns:
        axes.set_xticks(range(len(plot.columns)), labels=list(plot.columns), rotation=45)
    if plot.axes:
        names = [axis.name for axis in plot.axes]
        axes.set_xticks(range(len(names)), labels=names, rotation=18, ha="right")
        axes.set_xlim(-0.1, len(names) - 0.6)
        axes.set_ylim(-0.05, 1.05)
        axes.yaxis.set_visible(False)
        axes.spines["left"].set_visible(False)
