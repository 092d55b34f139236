"""A plot in the browser and in a file are the same numbers."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from math import nan
from pathlib import Path
from typing import Any

import echarts
import frame
import pytest
from streamlit.testing.v1 import AppTest

from mmstudy import plots
from mmstudy.plots import file as vector
from mmstudy.plots.plot import Axis, Layer, Plot, Rule
from mmstudy.serving import app_path
from support.whole_study import EXPLAINED, whole_study

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


def test_paths_are_lines_over_upright_axes() -> None:
    paths = Layer(kind="paths", name="p", x=[0, 1] * 2, y=[1, 0.5, nan, 0.7], shade=[0.5] * 4)
    axes = (Axis(name="attention", names=("a", "b")), Axis(name="AUROC", low=0.5, high=0.7))
    option = echarts.option(Plot(name="p", x="", y="", axes=axes, layers=(paths,), alt="p"))
    assert option["parallelAxis"][0] == {
        "dim": 0, "name": "attention", "type": "category", "data": ["a", "b"],
    }  # fmt: skip
    assert option["parallelAxis"][1]["max"] == 0.7
    assert option["series"][0]["data"] == [[1, 0.5], [None, 0.7]]
    assert option["visualMap"]["dimension"] == 1
    json.dumps(option, allow_nan=False)


CELLS = Plot(
    name="contour",
    x="lr",
    y="tabular",
    columns=("0.1", "0.2"),
    rows=("kan", "mlp"),
    shade="mean AUROC",
    layers=(Layer(kind="cells", name="c", x=[0, 1], y=[1, 0], shade=[0.5, 0.7], count=[3, 4]),),
    alt="cells",
)


def test_cells_are_a_heatmap_whose_rows_begin_at_the_top() -> None:
    option = echarts.option(CELLS)
    assert option["series"][0]["data"] == [[0, 1, 0.5, 3], [1, 0, 0.7, 4]]
    assert (option["yAxis"]["data"], option["yAxis"]["inverse"]) == (["kan", "mlp"], True)
    assert (option["visualMap"]["min"], option["visualMap"]["max"]) == (0.5, 0.7)


def test_a_charts_table_has_names_values_and_counts() -> None:
    assert frame._points(CELLS).drop("layer", "upper edge").rows() == [
        ("0.1", "mlp", 0.5, 3),
        ("0.2", "kan", 0.7, 4),
    ]


VISITS: list[tuple[str, dict[str, Any]]] = [
    ("study", {}),
    ("parameters", {}),
    ("parameters", {"slice": "model.attention"}),
    ("trial", {}),
    ("compare", {"chosen": "0, 3"}),
    ("cases", {"case": EXPLAINED}),
    ("confirm", {}),
    ("paper", {}),
]


def drawn_by_the_pages(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Plot]:
    found: list[Plot] = []
    option = echarts.option

    def recorded(plot: Plot) -> Any:
        found.append(plot)
        return option(plot)

    monkeypatch.setattr(echarts, "option", recorded)
    monkeypatch.setattr(sys, "argv", ["app.py", str(root)])
    for name, values in VISITS:
        page = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
        for key, value in {"study": "whole", "_going": name, **values}.items():
            page.session_state[key] = value
        page.run()
        assert not page.exception
        assert not page.error
    return found


def test_every_chart_of_the_dashboard_is_one_of_the_public_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the same value, so that the notebook cannot show another number."""
    study = whole_study(tmp_path)
    drawn = {plot.name: plot for plot in drawn_by_the_pages(tmp_path, monkeypatch)}
    mine = {
        "history": plots.history(study),
        "timeline": plots.timeline(study),
        "parallel": plots.parallel(study),
        "setting": plots.setting(study, "model.attention"),
        "contour": plots.contour(study, "train.lr", "train.momentum"),
        "importance": plots.importance(study),
        "pareto": plots.pareto(study),
        "folds-auroc": plots.folds(study),
        "roc": plots.roc(study),
        "calibration": plots.calibration(study),
        "net-benefit": plots.net_benefit(study),
        "attribute-age": plots.attribute(study, "Age"),
        "learning-curves": plots.learning_curves(study, [0, 3]),
        "shap": plots.shap(study, EXPLAINED),
        "confirmed": plots.confirmed(study),
        "forest-sensitivity": plots.forest(study, "sensitivity"),
    }
    assert drawn == mine
    public = {name for name in plots.__all__ if name.islower()}
    assert len(mine) == len(public)


def test_pages_draw_charts_by_one_function_alone() -> None:
    """Streamlit's own charts have no file, and no public function."""
    charts = re.compile(r"\.(\w+_chart|pyplot|map|graphviz\w*)\(")
    files = [*app_path().parent.rglob("*.py")]
    assert {file.name for file in files if charts.search(file.read_text("utf-8"))} == {"frame.py"}
