"""All studies of the folder: how each stands. A click on a row opens it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import frame
import loading
import polars as pl
import streamlit as st

from mmstudy.analysis.overview import overview
from mmstudy.errors import MMStudyError
from mmstudy.study import Study

__all__ = ["show"]

_REFRESH = timedelta(seconds=5)


def show() -> None:
    """The page; it refreshes by itself while any study runs."""
    found = loading.found(frame.root())
    if not found:
        frame.tell("info", "No study here yet. `mmstudy run smoke --cohort COHORT` begins one.")
        return
    live = any(one.study.live() for one in found if one.study)
    st.fragment(_body, run_every=_REFRESH if live else None)()
    st.caption(
        "`best` is the best trial's validation AUROC in the search, optimistic where it was chosen "
        "among several; the overview of a study says among how many."
    )


def _body() -> None:
    if "_going" in st.session_state:
        st.rerun()
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    for one in loading.found(frame.root()):
        try:
            if one.study is None:
                raise MMStudyError(one.fault)
            rows.append(_row(one.study))
        except frame.FAULTS as error:
            faults.append(f"{one.folder.name}: {error}")
    if rows:
        st.session_state["_studies"] = [row["study"] for row in rows]
        st.dataframe(
            pl.DataFrame(rows, infer_schema_length=None),
            hide_index=True,
            key="studies",
            on_select=_open,
            selection_mode="single-row",
            column_config=_columns(),
            placeholder="–",
            alt="Studies with their counts and best values",
        )
        st.caption("Select a row to open the study.")
    for fault in faults:
        frame.tell("warning", f"Cannot be opened: {fault}")


def _open() -> None:
    chosen = st.session_state["studies"]["selection"]["rows"]
    if chosen:
        frame.go("study", study=st.session_state["_studies"][chosen[0]])


def _row(study: Study) -> dict[str, Any]:
    now = overview(study, loading.trials(study))
    return {
        "study": study.name,
        "state": "running" if study.live() else "ended" if sum(now.counts.values()) else "empty",
        "origin": study.origin.column,
        "best": now.best_value,
        "confirmed": now.confirmed,
        "n": study.about.n_cases,
        "asked": now.asked,
        "complete": now.counts["complete"],
        "pruned": now.counts["pruned"],
        "running": now.counts["running"],
        "failed": now.counts["fail"],
        "hours": now.hours,
        "question": study.question,
        "begun": study.about.created[:16].replace("T", " "),
    }


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "best": number(
            "best AUROC", format="%.3f", help="the best trial's validation AUROC in the search"
        ),
        "confirmed": number("confirmed", format="%.3f", help="its AUROC over new splits and seeds"),
        "n": number("patients", help="patients of the cohort"),
        "hours": number("hours", format="%.2f", help="of computing, all trials"),
        "question": st.column_config.TextColumn(width="large"),
    }
