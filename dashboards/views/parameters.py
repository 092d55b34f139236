"""What the searched settings do: importance, parallel coordinates, one, two, and cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import frame
import loading
import polars as pl
import screen_only as manyways
import streamlit as st

from mmstudy.analysis.filters import Setting, matching, settings
from mmstudy.errors import MMStudyError
from mmstudy.plots import study as charts
from mmstudy.study import Study
from views import filters

__all__ = ["show"]

_COSTS = {
    "seconds_per_epoch": "seconds per epoch",
    "parameters": "trainable weights",
    "seconds": "seconds in all",
    "gpu_seconds": "GPU seconds",
}


@frame.page
def show(study: Study) -> None:
    """The page."""
    trials = loading.trials(study)
    known = settings(study, trials)
    wanted = filters.ask(known)
    rows = matching(trials, wanted)
    done = rows.filter(pl.col("state") == "complete").drop_nulls("value")
    st.caption(f"{done.height} complete trials of {trials.height} are drawn")
    if done.is_empty() or not known:
        frame.tell("info", "No complete trial to draw; wait for one, or ask for less above.")
        return
    st.subheader("All settings at once")
    st.echarts_chart(
        manyways.parallel(done, known),
        height=420,
        key="parallel",
        alt=f"Parallel coordinates of {done.height} trials over {len(known)} settings and AUROC",
    )
    st.caption(
        "One line per trial, from blue (lowest AUROC) to yellow. The filters above take lines away."
    )
    left, right = st.columns(2)
    with left:
        _slice(study, done, known)
    with right:
        _importance(study, trials)
    left, right = st.columns(2)
    with left:
        _contour(study, done, known)
    with right:
        _pareto(study, done)


def _slice(study: Study, done: pl.DataFrame, known: Sequence[Setting]) -> None:
    st.subheader("One setting")
    named = {setting.path: setting for setting in known}
    path = st.selectbox("Setting", list(named), key="slice", bind="query-params")
    setting = named[path]
    if setting.numeric:
        plot = charts.slices(done, setting.column, path, log=setting.log)
    else:
        plot = charts.options(done, setting.column, path, setting.options)
    frame.chart(plot, study)


def _importance(study: Study, trials: pl.DataFrame) -> None:
    st.subheader("Importance")
    said = st.session_state.get(f"_importance {study.folder.root}") or study.importances()
    if said is None:
        frame.tell("info", "The driver writes it when it ends; or compute it now.")
    elif "fault" in said:
        frame.tell("info", said["fault"])
    else:
        rows: list[dict[str, Any]] = said["rows"]
        frame.chart(charts.importances(rows), study)
    complete = trials.filter(pl.col("state") == "complete").height
    if said is not None:
        st.caption(
            f"Of {said['complete']} complete trials; there are {complete} now. Pruned ones have no "
            "value and do not count. The filters above do not change it."
        )
    if st.button("Compute now", key="importance", help="mmstudy importance"):
        with st.spinner("Computing importance"):
            text = loading.recomputed_importance(study)
        fresh = {"rows": json.loads(text), "complete": complete}
        st.session_state[f"_importance {study.folder.root}"] = fresh
        st.rerun()


def _contour(study: Study, done: pl.DataFrame, known: Sequence[Setting]) -> None:
    st.subheader("Two settings")
    if len(known) < 2:
        frame.tell("info", "The study searches one setting.")
        return
    named = {setting.path: setting for setting in known}
    paths = list(named)
    a, b = st.columns(2)
    x = a.selectbox("Across", paths, key="across", bind="query-params")
    y = b.selectbox("Up", paths, index=1, key="up", bind="query-params")
    if x == y:
        frame.tell("info", "Choose two different settings.")
        return
    table = manyways.binned(done, named[x], named[y])
    st.echarts_chart(
        manyways.heatmap(table, named[x], named[y]),
        height=360,
        key="contour",
        alt=f"Mean AUROC by {x} and {y}, {table.height} cells with trials",
    )
    st.caption("Mean of the trials in each cell; cells without a trial stay empty.")
    st.download_button(
        "Save as CSV",
        data=lambda: frame.csv_of(table, study),
        file_name=f"{study.name}-contour.csv",
        mime="text/csv",
        on_click="ignore",
        key="csv-contour",
    )


def _pareto(study: Study, done: pl.DataFrame) -> None:
    st.subheader("Value and cost")
    costs = {
        column: name for column, name in _COSTS.items() if done[column].null_count() < done.height
    }
    if not costs:
        frame.tell("info", "This study did not record what its trials cost.")
        return
    column = st.selectbox(
        "Cost", list(costs), format_func=lambda one: costs[one], key="cost", bind="query-params"
    )
    try:
        best = study.front() if column in study.about.objectives else _two(done, column)
    except MMStudyError as error:
        frame.tell("info", str(error))
        return
    frame.chart(charts.front(done, best, column, costs[column]), study)


def _two(done: pl.DataFrame, column: str) -> pl.DataFrame:
    """The trials that none is better than and as cheap: going up the cost, each new best."""
    ordered = done.drop_nulls(column).sort([column, "value"], descending=[False, True])
    before = ordered["value"].cum_max().shift(1, fill_value=-1.0)
    return ordered.filter(ordered["value"] > before)
