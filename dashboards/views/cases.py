"""Which patients are always misjudged, and what their CT looks like."""

from __future__ import annotations

import frame
import loading
import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from mmstudy.analysis.cases import HU_WINDOWS, Slices
from mmstudy.errors import MMStudyError
from mmstudy.study import Study
from views import explanations

__all__ = ["framed", "show"]

_BOX = (230, 159, 0)
_SHOWN_PX = 320


@frame.page
def show(study: Study) -> None:
    """The page."""
    trials = loading.trials(study)
    complete = trials.filter(pl.col("state") == "complete")["number"].to_list()
    if not complete:
        frame.tell("info", "No trial is complete yet; no case was judged.")
        return
    top = st.slider("By the best trials", 1, 20, 5, key="judges", bind="query-params")
    table = loading.hard(study, tuple(complete[:top]))
    judges = int(table["trials"].max() or 0)  # type: ignore[arg-type]
    always = table.filter(pl.col("wrong") == pl.col("trials"))
    st.caption(
        f"{always.height} of {table.height} validation patients are misjudged by all of the "
        f"{judges} best trials, out of fold, at a probability of 0.5. Names are this study's "
        "pseudonyms."
    )
    st.session_state["_hard"] = table["case"].to_list()
    frame.table(
        table,
        study,
        key="hard",
        on_select=_select,
        selection_mode="single-row",
        column_config={
            "wrong": st.column_config.NumberColumn("misjudged by", help="number of trials"),
            "mean": st.column_config.ProgressColumn(
                "mean probability of squamous", format="%.3f", min_value=0, max_value=1
            ),
            "lowest": st.column_config.NumberColumn(format="%.3f"),
            "highest": st.column_config.NumberColumn(format="%.3f"),
        },
        alt="Validation cases, the most often misjudged first",
    )
    if st.session_state.get("case") not in (None, *table["case"]):
        st.session_state["case"] = table["case"][0]  # of another study
    case = st.selectbox("Case", table["case"].to_list(), key="case", bind="query-params")
    _pictures(study, str(case), table.filter(pl.col("case") == case)["truth"][0])
    explanations.of_case(study, complete[:top], str(case))


def _select() -> None:
    chosen = st.session_state["hard"]["selection"]["rows"]
    if chosen:
        st.session_state["case"] = st.session_state["_hard"][chosen[0]]


def _pictures(study: Study, case: str, truth: str) -> None:
    windows = list(HU_WINDOWS)
    window = st.segmented_control(
        "Window", windows, default=windows[0], key="window", bind="query-params"
    )
    window = str(window or windows[0])
    try:
        found = loading.slices(study, case, window, 4)
    except MMStudyError as error:
        frame.tell("info", str(error))
        return
    low, high = HU_WINDOWS[window]
    mark = f"{study.origin.mark} · ".removeprefix(" · ")
    st.caption(
        f"{mark}{truth} · {window} window, {low:g} to {high:g} HU · the patient's left is on the "
        "right" + (" · frame: the box round all annotated slices" if found.box else "")
    )
    cells = st.columns(len(found.z))
    for cell, image, z in zip(cells, framed(found), found.z, strict=True):
        cell.image(image, caption=f"slice {z + 1} of {found.of}", width="stretch")


def framed(found: Slices) -> list[NDArray[np.uint8]]:
    """The slices as RGB [side, side, 3], enlarged without smoothing, with the box drawn."""
    side = found.images.shape[1]
    times = max(1, -(-_SHOWN_PX // side))
    shown = []
    for image, marked in zip(found.images, found.marked, strict=True):
        large = np.repeat(np.repeat(image, times, axis=0), times, axis=1)
        colour = np.repeat(large[:, :, None], 3, axis=2)
        if found.box and marked:
            _frame(colour, [round(edge * times) for edge in found.box])
        shown.append(colour)
    return shown


def _frame(image: NDArray[np.uint8], box: list[int]) -> None:
    last = image.shape[0] - 1
    x0, y0, x1, y1 = (min(max(edge, 0), last) for edge in box)
    for rows, columns in (
        (slice(y0, y1 + 1), [x0, x1]),
        ([y0, y1], slice(x0, x1 + 1)),
    ):
        image[rows, columns] = _BOX
