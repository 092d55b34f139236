"""A plot as a value: layers of points with names and colours. No library, no Streamlit.

The browser's chart (`echarts.py`) and the file for a manuscript (`vector.py`) are made from the
same value, so they cannot show different numbers. Colours after Okabe and Ito, which people with
colour-blindness can tell apart, on light and on dark ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "AUROC",
    "BLUE",
    "CATEGORICAL",
    "GREEN",
    "GREY",
    "ORANGE",
    "PINK",
    "SKY",
    "STATE_COLOURS",
    "UNIT",
    "VERMILION",
    "Layer",
    "Plot",
    "Rule",
]

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY = "#56B4E9", "#CC79A7", "#8A8A8A"
CATEGORICAL = (BLUE, ORANGE, GREEN, VERMILION, PINK, SKY)
STATE_COLOURS = {"complete": BLUE, "pruned": ORANGE, "fail": VERMILION, "running": GREY}

AUROC = "validation AUROC"
UNIT = (0.0, 1.0)

Kind = Literal["line", "step", "dots", "band", "spans"]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Points of one meaning.

    `line`, `step` and `dots` have x and y; `band` has x, y (its lower edge) and high (its upper);
    `spans` are horizontal bars from x to high at y.
    """

    kind: Kind
    name: str
    x: Sequence[float]
    y: Sequence[float]
    high: Sequence[float] = ()
    colour: str = BLUE
    dashed: bool = False
    shown: bool = True  # in the legend
    size: float = 2.0  # line width, or radius of a dot, in pixels


@dataclass(frozen=True, slots=True)
class Rule:
    """A dashed line across the plot, with its meaning."""

    axis: Literal["x", "y"]  # the axis it stands on
    at: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What is drawn; `alt` says in a sentence what a reader would see."""

    name: str  # of files: lower case, hyphens
    x: str
    y: str
    layers: tuple[Layer, ...]
    alt: str
    x_range: Range | None = None
    y_range: Range | None = None
    x_log: bool = False
    rows: tuple[str, ...] = ()  # names of y = 0, 1, ..., from the top, where y is no number
    rules: tuple[Rule, ...] = ()
    height: int = 320
    square: bool = False
    note: str = ""  # printed into files, such as SYNTHETIC
