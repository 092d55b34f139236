"""A plot as a value: layers of points with names and colours. No Streamlit.

The browser's chart (`dashboards/echarts.py`), the notebook's picture and the file for a manuscript
(`file.py`) are made from the same value, so they cannot show different numbers. Colours after Okabe
and Ito, which people with colour-blindness can tell apart, on light and on dark ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmcaf.files.atomic import replacing
from mmcaf.files.home import home_path
from mmstudy.errors import UsageError

__all__ = [
    "AUROC",
    "BLUE",
    "CATEGORICAL",
    "COUNTED",
    "GREEN",
    "GREY",
    "LOW_TO_HIGH",
    "ORANGE",
    "PINK",
    "SKY",
    "STATE_COLOURS",
    "UNIT",
    "VERMILION",
    "Axis",
    "Layer",
    "Plot",
    "Rule",
]

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY = "#56B4E9", "#CC79A7", "#8A8A8A"
CATEGORICAL = (BLUE, ORANGE, GREEN, VERMILION, PINK, SKY)
# From blue to yellow, never so dark or so bright that it is lost on one of the two grounds.
LOW_TO_HIGH = ("#3B6FB6", "#2F9C95", "#74B05A", "#E0A420")
STATE_COLOURS = {"complete": BLUE, "pruned": ORANGE, "fail": VERMILION, "running": GREY}

AUROC = "validation AUROC"
COUNTED = ("epoch", "trial")  # names of axes without fractions
UNIT = (0.0, 1.0)

Kind = Literal["line", "step", "dots", "band", "spans", "cells", "paths"]
Format = Literal["pdf", "svg", "png"]
Range = tuple[float, float]
_FORMATS: dict[str, Format] = {".pdf": "pdf", ".svg": "svg", ".png": "png"}  # by a file's ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Points of one meaning.

    `line`, `step` and `dots` have x and y; `band` has x, y (its lower edge) and high (its upper);
    `spans` are horizontal bars from x to high at y. `cells` are squares at x and y, coloured by
    `shade`. `paths` cross all axes of a plot: each run of as many points as the plot has axes is
    one path, with the number of the axis as x, the value there as y, and one shade.
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
    shade: Sequence[float] = ()  # of cells and paths: a value, blue where low, yellow where high
    count: Sequence[int] = ()  # of cells: number of trials in each

    @property
    def shades(self) -> Range:
        """Where the colours begin and end; never the same value."""
        known = [value for value in self.shade if value == value] or [0.0, 1.0]
        low, high = min(known), max(known)
        return (low, high) if low < high else (low - 0.01, high + 0.01)


@dataclass(frozen=True, slots=True)
class Rule:
    """A dashed line across the plot, with its meaning."""

    axis: Literal["x", "y"]  # the axis it stands on
    at: float
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One of several upright axes: from `low` to `high`, or names of 0, 1, ..."""

    name: str
    low: float = 0.0
    high: float = 1.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plot:
    """What is drawn; `alt` says in a sentence what a reader would see.

    plot = mmstudy.plots.roc(study)
    plot                     # in a notebook: the picture
    plot.save("roc.pdf")     # for a manuscript; also .svg and .png
    plot.layers[0].y         # the numbers
    """

    name: str  # of files: lower case, hyphens
    x: str
    y: str
    layers: tuple[Layer, ...]
    alt: str
    x_range: Range | None = None
    y_range: Range | None = None
    x_log: bool = False
    rows: tuple[str, ...] = ()  # names of y = 0, 1, ..., from the top, where y is no number
    columns: tuple[str, ...] = ()  # names of x = 0, 1, ..., where x is no number
    axes: tuple[Axis, ...] = ()  # of paths, from the left
    shade: str = ""  # what the shade of cells or paths means
    rules: tuple[Rule, ...] = ()
    height: int = 320
    square: bool = False
    note: str = ""  # printed into files: of whose data it is

    def __repr__(self) -> str:
        """In words; the numbers would fill the screen."""
        return f"<Plot {self.name}: {self.alt}>"

    def save(self, path: str | Path) -> None:
        """Write the plot as PDF, SVG or PNG, by the ending of `path`; whole or not at all.

        Raises:
            UsageError: the ending is another one.
            StorageError: the file cannot be written.
        """
        path = home_path(path)
        how = _FORMATS.get(path.suffix.lower())
        if how is None:
            raise UsageError(
                f"A plot is saved as {', '.join(_FORMATS)}; got {path.name!r}. Change its ending."
            )
        from mmstudy.plots.file import draw  # matplotlib: half a second that a page need not wait

        content = draw(self, how)
        with replacing(path) as beside:
            beside.write_bytes(content)

    def _repr_html_(self) -> str:
        """The picture in a notebook, as SVG; `alt` is its title, which a screen reader says."""
        from mmstudy.plots.file import inline

        return inline(self)
