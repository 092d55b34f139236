"""Every network of the paper's tables on one cohort, beside what was published of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import frame
import loading
import polars as pl
import streamlit as st

from mmstudy.report.benchmark import benchmark_table
from mmstudy.report.table import Format, Table, render

__all__ = ["show_benchmark"]

_FILES: dict[Format, tuple[str, str]] = {"csv": ("CSV", "csv"), "latex": ("LaTeX", "tex")}
"""Format -> label, ending."""


def show_benchmark(root: Path) -> None:
    """The benchmark of `root` as a section of a page; nothing where none was begun."""
    try:
        found = loading.benchmark(root)
    except frame.FAULTS as error:
        frame.tell("error", f"The benchmark cannot be read: {error}")
        return
    if found is None:
        return
    st.subheader("All networks on this cohort")
    table = benchmark_table(found)
    for warning in table.warnings:
        frame.tell("warning", warning)
    done = sum(row.state == "complete" for row in found.rows)
    st.text(
        f"{done} of {len(found.rows)} rows are complete: {found.asked_trials} trials each, "
        f"{found.folds} folds, confirming seeds: {found.asked_seeds}."
    )
    shown = pl.DataFrame(table.people())
    if found.origin.mark:  # the table's own toolbar saves what is shown
        marks = [row["origin"] for row in table.rows]
        shown = shown.with_columns(pl.Series("origin", marks, dtype=pl.String))
    st.dataframe(
        shown,
        hide_index=True,
        column_config={"row": st.column_config.TextColumn(pinned=True)},
        alt="Published and our figures of every network",
    )
    with st.expander("How to read this table"):
        for note in found.notes:
            st.text(note)
    with st.container(horizontal=True):
        for how, (label, ending) in _FILES.items():
            st.download_button(
                f"Save as {label}",
                data=_rendered(table, how),
                file_name=f"benchmark.{ending}",
                on_click="ignore",
                key=f"benchmark-{how}",
            )


def _rendered(table: Table, how: Format) -> Callable[[], str]:
    return lambda: render(table, how)
