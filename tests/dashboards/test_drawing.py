"""A plot in the browser and in a file are the same numbers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from math import nan

import echarts
import pytest

from mmstudy.plots import file as vector
from mmstudy.plots.plot import Layer, Plot, Rule

PLOT = Plot(
    name="p",
    x="trial",
    y="AUROC",
    layers=(
        Layer(kind="band", name="band", x=[0, 1], y=[0.4, 0.5], high=[0.6, 0.9]),
        Layer(kind="step", name="best $x$ <b>", x=[0, 1], y=[0.5, nan]),
        Layer(kind="spans", name="span", x=[0.1], high=[0.7], y=[0.5]),
        Layer(kind="dots", name="dots", x=[0, 1], y=[0.5, 0.7]),
    ),
    alt="a plot",
    rules=(Rule("y", 0.5, "chance"),),
    note="SYNTHETIC",
)


def test_a_band_is_its_lower_edge_and_what_lies_above() -> None:
    low, above = echarts.option(PLOT)["series"][:2]
    assert low["data"] == [[0, 0.4], [1, 0.5]]
    assert above["data"] == [[0, 0.2], [1, 0.4]]
    assert low["stack"] == above["stack"]


def test_what_is_not_a_number_is_a_gap_and_json() -> None:
    option = echarts.option(PLOT)
    assert option["series"][2]["data"][1] == [1, None]
    json.dumps(option, allow_nan=False)


def test_a_span_ends_before_the_next_begins() -> None:
    assert echarts.option(PLOT)["series"][3]["data"] == [[0.1, 0.5], [0.7, 0.5], [None, None]]


def test_an_axis_of_trials_has_no_fractions() -> None:
    option = echarts.option(PLOT)
    assert option["xAxis"]["minInterval"] == 1
    assert "minInterval" not in option["yAxis"]


@pytest.mark.parametrize("how", ["pdf", "svg"])
def test_the_same_plot_is_the_same_file(how: str) -> None:
    assert vector.draw(PLOT, how) == vector.draw(PLOT, how)  # type: ignore[arg-type]


def test_a_file_has_text_as_text_and_says_what_is_synthetic() -> None:
    svg = ET.fromstring(vector.draw(PLOT, "svg"))  # noqa: S314 - our own
    text = {"".join(node.itertext()) for node in svg.iter() if node.tag.endswith("text")}
    assert {"AUROC", "trial", "SYNTHETIC", "best $x$ <b>", "chance"} <= text
    assert b"/Type3" not in vector.draw(PLOT, "pdf")
