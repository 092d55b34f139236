"""One study: how it stands, its best trials, learning curves, and the paper's rows beside ours."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import charts
import loading
import polars as pl
import streamlit as st

from mmstudy.errors import MMStudyError
from mmstudy.paper import Comparison
from mmstudy.results import Study

__all__ = ["show"]

_REFRESH = timedelta(seconds=3)


def show(study: Study) -> None:
    """The whole page; it refreshes by itself while a driver is alive."""
    if study.synthetic:
        st.warning("**SYNTHETIC DATA** — these numbers say nothing about patients.", icon="⚠️")
    st.text(study.question)  # plain text: a spec is untrusted
    st.fragment(_body, run_every=_REFRESH if study.live() else None)(study)


def _body(study: Study) -> None:
    try:
        seen = loading.fingerprint(study)
        trials, epochs = loading.tables(str(study.paths.root), seen)
    except MMStudyError as error:
        st.error(f"This study cannot be read now: {error}")
        return
    trials, epochs = cast("pl.DataFrame", trials), cast("pl.DataFrame", epochs)
    _strip(study, trials)
    if trials.is_empty():
        st.info("No trial has begun yet; this page fills by itself.")
        return
    left, right = st.columns(2)
    with left:
        st.subheader("Objective by trial")
        st.altair_chart(charts.history(trials), width="stretch")
    with right:
        st.subheader("Learning curves: best and pruned trials")
        st.altair_chart(charts.learning_curves(trials, epochs), width="stretch")
    st.subheader("Trials, best first")
    hidden = ["seed", "device", "threads", "parameters", "started", "ended", "attempts"]
    hidden += ["hardware", "host", "versions", "code_version", "cohort_digest"]
    hidden += ["gpu_seconds", "seconds_per_epoch"]
    st.dataframe(trials.drop(hidden).rename(_plain_names(trials)), hide_index=True)
    _paper(study, seen)


def _strip(study: Study, trials: pl.DataFrame) -> None:
    count = study.counts()
    best = study.best()
    cells = st.columns(6)
    cells[0].metric("Asked", study.asked)
    cells[1].metric("Complete", count["complete"])
    cells[2].metric("Pruned", count["pruned"])
    cells[3].metric("Running", count["running"])
    cells[4].metric("Failed", count["fail"])
    cells[5].metric(
        f"Best AUROC (n={study.about['n_cases']})", f"{best['value']:.3f}" if best else "–"
    )
    seconds = trials["seconds"].sum() or 0.0
    wasted = trials.filter(pl.col("state") != "complete")["seconds"].sum() or 0.0
    st.caption(
        f"{seconds / 3600:.2f} hours of computing, of which {wasted / 3600:.2f} on pruned and "
        f"failed trials · {'running' if study.live() else 'not running'} · the best of many "
        "trials on validation patients is optimistic"
    )


def _paper(study: Study, seen: tuple[tuple[str, int, int], ...]) -> None:
    st.subheader("Beside the published rows")
    try:
        found = cast("Comparison", loading.comparison(str(study.paths.root), seen))
    except MMStudyError as error:
        st.info(str(error))
        return
    rows = tuple(row.as_dict() for row in found.rows)
    st.text(found.summary)
    st.altair_chart(charts.forest(rows), width="stretch")
    st.caption(" ".join(found.notes) + " Dashed: always answering adenocarcinoma.")
    table = pl.DataFrame(
        [
            {
                "table": row["table"],
                "method": row["method"],
                "n": row["n"],
                "AUROC": row["auroc"]["value"],
                **{
                    name: f"{row[name]['hits']}/{row[name]['total']}"
                    for name in ("sensitivity", "specificity", "ppv", "npv", "accuracy")
                },
                "flag": row["flag"] or "",
            }
            for row in rows
        ]
    )
    st.dataframe(table, hide_index=True)


def _plain_names(trials: pl.DataFrame) -> dict[str, str]:
    return {name: name.removeprefix("param:") for name in trials.columns if ":" in name}
