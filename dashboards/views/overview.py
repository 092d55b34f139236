"""One study: how it stands, what runs, how values and learning curves went."""

from __future__ import annotations

import frame
import loading
import polars as pl
import streamlit as st

from mmstudy import plots
from mmstudy.analysis.overview import Overview, overview, running
from mmstudy.study import Study

__all__ = ["show"]


@frame.page
def show(study: Study) -> None:
    """The page."""
    top = st.slider("Learning curves of the best", 1, 20, 5, key="top", bind="query-params")
    frame.follow(study, lambda: _body(study, top))


def _body(study: Study, top: int) -> None:
    trials = loading.trials(study)
    now = overview(study, trials)
    _strip(study, now)
    if trials.is_empty():
        frame.tell("info", _nothing_yet(study))
        return
    if now.counts["running"]:
        _running(study, trials)
    left, right = st.columns(2)
    with left:
        st.subheader("Value by trial")
        if now.best is None:
            frame.tell("info", "No trial is complete yet.")
        else:
            frame.chart(plots.history(study, trials=trials), study)
    with right:
        st.subheader("Learning curves")
        means = loading.means(study)
        frame.chart(plots.learning_curves(study, top=top, trials=trials, means=means), study)
    left, right = st.columns(2)
    with left:
        st.subheader("When trials ran")
        frame.chart(plots.timeline(study, trials=trials), study)
    with right:
        _failed(study, trials)


def _strip(study: Study, now: Overview) -> None:
    live, (label, value) = study.live(), now.shown
    frame.facts(
        (label, "–" if value is None else f"{value:.3f}"),
        ("Complete", f"{now.counts['complete']} of {now.asked}"),
        ("Pruned", str(now.counts["pruned"])),
        ("Running", str(now.counts["running"])),
        ("Failed", str(now.counts["fail"])),
        ("Time left", frame.shown_duration(now.seconds_left) if live else "–"),
    )
    parts = [
        "running now" if live else "no driver is running",
        f"{study.about.n_cases} patients, {study.folds} folds",
        f"{now.hours:.2f} hours of computing, {now.wasted_hours:.2f} of them on pruned and failed "
        "trials",
    ]
    if now.gpu_hours:
        parts.append(f"{now.gpu_hours:.2f} GPU hours")
    if now.infeasible:
        parts.append(f"{now.infeasible} broke a constraint and never ran")
    st.caption(" · ".join(parts))
    if now.best is not None:
        st.text(loading.selection(study).sentence)
    if now.counts["running"] and not live:
        frame.tell(
            "warning",
            f"{now.counts['running']} trials were running when the driver ended; the same "
            "`mmstudy run` takes them up.",
        )


def _nothing_yet(study: Study) -> str:
    if study.live():
        return "No trial has begun yet; this page fills by itself."
    return "No trial has begun. The `mmstudy run` that made this study goes on with it."


def _running(study: Study, trials: pl.DataFrame) -> None:
    st.subheader("Running now" if study.live() else "Not ended")
    alive = trials.filter(pl.col("state") == "running")["number"].to_list()
    rows = running(study, trials, loading.epochs_of(study, alive))
    left = pl.col("seconds_left").map_elements(
        frame.shown_duration, return_dtype=pl.String, skip_nulls=True
    )
    shown = rows.select(
        "number",
        (pl.col("fold") + 1).alias("fold"),
        "epoch",
        (100 * pl.col("share")).alias("done"),
        left.fill_null("–").alias("time left"),
        pl.col("auroc").alias("latest AUROC"),
    )
    frame.table(
        shown,
        study,
        key="running",
        column_config={
            "done": st.column_config.ProgressColumn(format="%.0f %%", min_value=0, max_value=100),
            "latest AUROC": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="Trials that run now, with their progress",
    )


def _failed(study: Study, trials: pl.DataFrame) -> None:
    failed = trials.filter(pl.col("state") == "fail").select("number", "reason").sort("number")
    st.subheader("Why trials failed")
    if failed.is_empty():
        st.caption("None failed.")
        return
    frame.table(failed, study, key="failed", alt="Failed trials with their reasons")
