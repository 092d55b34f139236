"""All trials as a table: sort by a column, filter, select some to open or compare."""

from __future__ import annotations

from typing import Any

import frame
import loading
import polars as pl
import streamlit as st

from mmstudy.analysis.filters import Filter, matching, settings
from mmstudy.study import Study
from views import filters

__all__ = ["show"]

_FIRST = ("number", "state", "value", "best_epoch")
_LAST = (
    "seconds",
    "seconds_per_epoch",
    "gpu_seconds",
    "data_wait_share",
    "gpu_utilisation",
    "parameters",
    "attempts",
    "reason",
)
_SELECTED = "chosen"


@frame.page
def show(study: Study) -> None:
    """The page."""
    wanted = filters.ask(settings(study, loading.trials(study)))
    frame.follow(study, lambda: _body(study, wanted))


def _body(study: Study, wanted: Filter) -> None:
    everything = loading.trials(study)
    rows = matching(everything, wanted)
    if study.live():
        rows = rows.sort("number")  # a row keeps its place while others come
    text = st.text_input(
        "Selected trials",
        key=_SELECTED,
        bind="query-params",
        placeholder="select rows, or write numbers such as 3, 12",
        persist_state="session",
    )
    _actions(frame.numbers_in(text or "", everything["number"].to_list()))
    st.caption(f"{rows.height} of {everything.height} trials")
    if rows.is_empty():
        frame.tell("info", "No trial has begun yet." if everything.is_empty() else "None matches.")
        return
    st.session_state["_rows"] = rows["number"].to_list()
    frame.table(
        _table(rows),
        study,
        height=560,
        key="trials",
        on_select=_select,
        selection_mode="multi-row",
        column_config=_columns(),
        placeholder="–",
        alt="Trials with their settings and values",
    )
    st.download_button(
        "Save as CSV",
        data=lambda: frame.csv_of(_table(rows), study),
        file_name=f"{study.name}-trials.csv",
        mime="text/csv",
        on_click="ignore",
    )


def _table(rows: pl.DataFrame) -> pl.DataFrame:
    params = [name for name in rows.columns if name.startswith("param:")]
    table = rows.select(*_FIRST, *params, *(name for name in _LAST if name in rows.columns))
    shown = {name: name.removeprefix("param:") for name in params}
    empty = [name for name in _LAST if name in table.columns and table[name].is_null().all()]
    return table.drop(empty).with_columns(pl.col("best_epoch") + 1).rename(shown)


def _select() -> None:
    """Rows are positions; a trial is its number, whatever is sorted or added later."""
    numbers = st.session_state["_rows"]
    chosen = st.session_state["trials"]["selection"]["rows"]
    st.session_state[_SELECTED] = ", ".join(str(numbers[i]) for i in chosen[:6])


def _actions(chosen: list[int]) -> None:
    with st.container(horizontal=True):
        st.button(
            f"Open trial {chosen[0]}" if len(chosen) == 1 else "Open",
            disabled=len(chosen) != 1,
            on_click=frame.go,
            args=("trial",),
            kwargs={"trial": chosen[0] if chosen else 0},
            key="open",
        )
        st.button(
            f"Compare {len(chosen)}" if len(chosen) > 1 else "Compare",
            disabled=len(chosen) < 2,
            on_click=frame.go,
            args=("compare",),
            key="compare",
            help="two to six trials",
        )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "number": number("trial", width="small"),
        "value": number("validation AUROC", format="%.4f"),
        "best_epoch": number("best epoch", help="the one epoch shared by all folds"),
        "seconds": number(format="%.0f"),
        "seconds_per_epoch": number("seconds per epoch", format="%.2f"),
        "gpu_seconds": number("GPU seconds", format="%.0f"),
        "data_wait_share": number("waiting for data", format="percent"),
        "gpu_utilisation": number("GPU busy", format="percent"),
    }
