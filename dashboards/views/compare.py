"""Two to six trials side by side: first what differs."""

from __future__ import annotations

import frame
import loading
import polars as pl
import streamlit as st

from mmcaf.stats.metrics import Proportion
from mmstudy import plots
from mmstudy.analysis.filters import differing
from mmstudy.comparison.row import Figure
from mmstudy.errors import MMStudyError
from mmstudy.report.comparison import measure
from mmstudy.study import Study

__all__ = ["show"]


@frame.page
def show(study: Study) -> None:
    """The page."""
    trials = loading.trials(study)
    text = st.text_input(
        "Selected trials",
        key="chosen",
        bind="query-params",
        placeholder="two to six numbers, such as 3, 12",
        persist_state="session",
    )
    numbers = frame.numbers_in(text or "", trials["number"].to_list())
    if left := frame.left_out(text or "", numbers):
        frame.tell("warning", f"Left out: {left}. This study has no such trial, or six are shown.")
    if len(numbers) < 2:
        best = ", ".join(map(str, trials["number"].head(3)))
        frame.tell("info", "Choose two to six trials: in the table of trials, or by number above.")
        if trials.height > 1:
            st.button(f"Compare the best: {best}", on_click=_choose, args=(best,))
        return
    frame.follow(study, lambda: _body(study, numbers))


def _choose(text: str) -> None:
    st.session_state["chosen"] = text


def _body(study: Study, numbers: list[int]) -> None:
    few = loading.trials(study).filter(pl.col("number").is_in(numbers))
    named = {row["number"]: row for row in few.to_dicts()}
    rows = [named[number] for number in numbers if number in named]
    st.subheader("Settings, those that differ first")
    table = differing(rows)
    if table.is_empty():
        frame.tell("info", "This study searches no setting.")
    else:
        mark = pl.when("differs").then(pl.lit("differs")).otherwise(pl.lit("")).alias("differs")
        named_columns = {f"{number}": f"trial {number}" for number in named}
        shown = table.with_columns(mark).rename(named_columns)
        frame.table(shown, study, alt="Settings of the compared trials")
    st.subheader("Patients, each once, out of fold")
    frame.table(_rates(study, numbers), study, alt="Rates of the compared trials")
    st.caption(
        "95 % intervals, threshold 0.5. All trials are judged on the same patients; intervals "
        "that overlap do not mean that there is no difference, nor does a higher value mean "
        "that there is one."
    )
    st.subheader("Learning curves")
    frame.chart(plots.learning_curves(study, numbers, means=loading.means(study)), study)


def _rates(study: Study, numbers: list[int]) -> pl.DataFrame:
    columns: dict[str, list[str]] = {}
    for number in numbers:
        try:
            row = loading.diagnosis(study, number).row
        except MMStudyError:
            continue  # not complete
        figures: dict[str, Figure | Proportion] = {**row.rates, "AUROC": row.auroc}
        names = [name.upper() if name in ("ppv", "npv") else name for name in figures]
        columns.setdefault("measure", names)
        columns[f"trial {number}"] = [str(measure(figure)) for figure in figures.values()]
    return pl.DataFrame(columns or {"measure": ["none of these trials is complete"]})
