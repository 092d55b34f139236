"""What the searched settings do: importance, parallel coordinates, one, two, and cost."""

from __future__ import annotations

import json
from collections.abc import Sequence

import frame
import loading
import polars as pl
import streamlit as st

from mmstudy import plots
from mmstudy.analysis.filters import Setting, matching, settings
from mmstudy.analysis.reach import foreign_probe, probed, probed_rows
from mmstudy.storage.schema import LEAST_TRIALS, too_few
from mmstudy.study import Study
from views import filters

__all__ = ["show"]


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
    frame.chart(plots.parallel(study, trials=done), study)
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
    paths = [setting.path for setting in known]
    path = st.selectbox("Setting", paths, key="slice", bind="query-params")
    frame.chart(plots.setting(study, path, trials=done), study)


def _importance(study: Study, trials: pl.DataFrame) -> None:
    st.subheader("Importance")
    complete = trials.filter(pl.col("state") == "complete").height
    said = st.session_state.get(f"_importance {study.folder.root}") or study.importances()
    if said is None and complete < LEAST_TRIALS:
        frame.tell("info", too_few(complete))
    elif said is None:
        frame.tell("info", "The driver writes it when it ends; or compute it now.")
    elif "fault" in said:
        frame.tell("info", said["fault"])
    else:
        frame.chart(plots.importance(study, said["rows"]), study)
    if said is not None:
        st.caption(
            f"Of {said['complete']} complete trials; there are {complete} now. Pruned ones have no "
            "value and do not count. The filters above do not change it."
        )
    _probe(study)
    ready = complete >= LEAST_TRIALS
    if ready and st.button("Compute now", key="importance", help="mmstudy importance"):
        with st.spinner("Computing importance"):
            rows = json.loads(loading.recomputed_importance(study))
        weighed = [row for row in rows if "fanova" in row]  # else it has what a probe says alone
        fresh = {"rows": weighed, "complete": complete}
        st.session_state[f"_importance {study.folder.root}"] = fresh
        st.rerun()


def _probe(study: Study) -> None:
    """What each setting can move, where `mmstudy probe` has measured it."""
    found = study.probe()
    if found is None:
        return
    if words := foreign_probe(study):
        frame.tell("warning", words)
    shown = ("setting", "low", "high", "share", "share_low", "share_high", "says")
    rows = pl.DataFrame([{name: row[name] for name in shown} for row in probed_rows(found)])
    frame.table(rows, study)
    st.caption(frame.plain(" ".join(probed(found))))


def _contour(study: Study, done: pl.DataFrame, known: Sequence[Setting]) -> None:
    st.subheader("Two settings")
    if len(known) < 2:
        frame.tell("info", "The study searches one setting.")
        return
    paths = [setting.path for setting in known]
    a, b = st.columns(2)
    x = a.selectbox("Across", paths, key="across", bind="query-params")
    y = b.selectbox("Up", paths, index=1, key="up", bind="query-params")
    if x == y:
        frame.tell("info", "Choose two different settings.")
        return
    frame.chart(plots.contour(study, x, y, trials=done), study)
    st.caption("Mean of the trials in each cell; cells without a trial stay empty.")


def _pareto(study: Study, done: pl.DataFrame) -> None:
    st.subheader("Value and cost")
    known = [one for one in plots.COSTS if done[one].null_count() < done.height]
    if not known:
        frame.tell("info", "This study did not record what its trials cost.")
        return
    column = st.selectbox(
        "Cost", known, format_func=lambda one: plots.COSTS[one], key="cost", bind="query-params"
    )
    frame.chart(plots.pareto(study, column, trials=done), study)
