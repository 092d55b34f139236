"""Plots -> PDF or SVG for a manuscript, by matplotlib; text stays text.

Matplotlib is there for the KAN layer anyway; the exporter of Vega charts would be 84 MB more.
"""

from __future__ import annotations

import io
from threading import Lock
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmstudy.plots.plot import GREY, Layer, Plot

__all__ = ["draw"]

_DPI = 100
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
_ONE = Lock()  # matplotlib's settings are the whole process's


def draw(plot: Plot, how: Literal["pdf", "svg"]) -> bytes:
    """The file's content."""
    with _ONE, mpl.rc_context(_STYLE):
        width = 3.5 if plot.square else 5.5
        height = width if plot.square else max(2.6, plot.height / _DPI)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        for layer in plot.layers:
            _layer(axes, layer)
        _frame(axes, plot)
        if plot.note:
            figure.text(0.99, 0.995, plot.note, ha="right", va="top", fontsize=7, color=GREY)
        out = io.BytesIO()
        dates: dict[str, Any] = {"CreationDate": None} if how == "pdf" else {"Date": None}
        figure.savefig(out, format=how, metadata=dates)
        return out.getvalue()


def _layer(axes: Axes, layer: Layer) -> None:
    name = layer.name if layer.shown else f"_{layer.name}"
    style: dict[str, Any] = {"color": layer.colour, "linewidth": layer.size * 0.6, "label": name}
    if layer.kind == "dots":
        area = (1.4 * layer.size) ** 2
        axes.scatter(layer.x, layer.y, s=area, color=layer.colour, label=name, zorder=4)
    elif layer.kind == "band":
        axes.fill_between(
            layer.x, layer.y, layer.high, color=layer.colour, alpha=0.2, linewidth=0, label=name
        )
    elif layer.kind == "spans":
        axes.hlines(layer.y, layer.x, layer.high, **style)
    else:
        dash = "--" if layer.dashed else "-"
        draw_style = "steps-post" if layer.kind == "step" else "default"
        axes.plot(layer.x, layer.y, linestyle=dash, drawstyle=draw_style, **style)


def _frame(axes: Axes, plot: Plot) -> None:
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    if plot.x_log:
        axes.set_xscale("log")
    if plot.x_range:
        axes.set_xlim(*plot.x_range)
    if plot.y_range:
        axes.set_ylim(*plot.y_range)
    if plot.rows:
        axes.set_yticks(range(len(plot.rows)), labels=list(plot.rows))
        axes.set_ylim(len(plot.rows) - 0.5, -0.5)
    for rule in plot.rules:
        line = axes.axvline if rule.axis == "x" else axes.axhline
        line(rule.at, color=GREY, linestyle="--", linewidth=0.8, label=rule.name)
    if len({layer.name for layer in plot.layers if layer.shown}) + len(plot.rules) > 1:
        axes.legend(fontsize=7, loc="best")
