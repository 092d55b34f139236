"""The best trial beside the published rows, and what may be said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import frame
import loading
import polars as pl
import streamlit as st

from mmstudy import plots
from mmstudy.comparison.comparison import Comparison, Section, sections_of
from mmstudy.comparison.published import published
from mmstudy.comparison.row import RATE_NAMES, MethodRow
from mmstudy.comparison.verdict import Verdict
from mmstudy.report.comparison import (
    TESTS_CAPTION,
    comparison_table,
    marked,
    measure,
    verdict_lines,
)
from mmstudy.report.table import Format, render
from mmstudy.study import Study
from views.benchmark import show_benchmark

__all__ = ["show"]

_FILES: dict[Format, tuple[str, str, str]] = {  # format -> label, ending, type
    "csv": ("CSV", "csv", "text/csv"),
    "markdown": ("Markdown", "md", "text/markdown"),
    "latex": ("LaTeX", "tex", "application/x-tex"),
}


@frame.page
def show(study: Study) -> None:
    """The page."""
    if study.best_trial() is None:
        frame.tell("info", "No trial is complete yet. These are the published rows.")
        _sections(sections_of(published()))
        return
    found = loading.comparison(study, expected=False)
    st.subheader("In short")
    st.text(found.summary)
    _looks(found)
    measure = st.segmented_control(
        "Measure",
        plots.MEASURES_OF_ROWS,
        default=plots.MEASURES_OF_ROWS[0],
        format_func=lambda name: name.upper() if name == "auroc" else name,
        key="measure",
        bind="query-params",
    )
    shown = str(measure or plots.MEASURES_OF_ROWS[0])
    frame.chart(plots.forest(study, shown, rows=found.rows), study)
    _sections(found.sections)
    rows = "Against the published rows, other patients"
    _verdicts(study, rows, found.against_paper, found.summary)
    st.subheader("How to read this")
    for note in found.notes:
        st.text(note.replace("`", "'"))  # plain text has no marks of code
    found = loading.comparison(study, expected=True)  # the rest waits for the resampling
    rows = "Against the baselines, same patients"
    _verdicts(study, rows, found.against_baselines, found.summary_of_baselines)
    _choice(found)
    _files(study, found)
    show_benchmark(frame.root())


def _sections(sections: Sequence[Section]) -> None:
    for section in sections:
        st.subheader(section.title)
        st.dataframe(
            _table(section.rows),
            hide_index=True,
            column_config={"method": st.column_config.TextColumn(pinned=True)},
            alt=section.title,
        )
        for row in section.rows:
            if row.flag:
                with st.expander(f"Marked, not ranked, not tested: {frame.plain(row.method)}"):
                    st.text(row.flag)
            if row.same_as:
                st.caption(
                    frame.plain(f"{row.method} = repeats {row.same_as}: one row, counted once.")
                )


def _looks(found: Comparison) -> None:
    gap = found.gap
    frame.facts(
        ("Looks at the test set", str(found.selection.looks.count)),
        ("Smallest gap that can show", f"{gap.hits} of {gap.total} patients"),
        (f"Trial {found.trial}, in the search", f"{found.selection.value:.3f}"),
    )
    st.caption(
        f"On the same {gap.total} patients two accuracies that differ by less can never differ "
        "significantly (exact McNemar), whatever the networks."
    )


def _table(rows: Sequence[MethodRow]) -> pl.DataFrame:
    lines: list[dict[str, Any]] = []
    names = {"ppv": "PPV", "npv": "NPV"}
    for row in rows:
        line: dict[str, Any] = {"method": marked(row)}
        if row.kind != "published":
            line |= {"scored on": row.cases, "threshold": row.threshold}
        line |= {
            "patients": f"{row.n} ({row.positives} squamous)",
            **{names.get(name, name): str(measure(row.rates[name])) for name in RATE_NAMES},
            "AUROC": str(measure(row.auroc)),
            "F1": str(measure(row.f1)),
        }
        if any(one.origin.mark for one in rows):
            line["origin"] = row.origin.column
        lines.append(line)
    return pl.DataFrame(lines)


def _verdicts(study: Study, title: str, verdicts: Sequence[Verdict], summary: str) -> None:
    if not verdicts:
        return
    st.subheader(title)
    st.text(summary)
    if lines := verdict_lines(verdicts):
        pinned = {"against": st.column_config.TextColumn(pinned=True)}
        frame.table(pl.DataFrame(lines), study, column_config=pinned, alt=title)
        st.caption(TESTS_CAPTION)
    with st.expander(f"{len(verdicts)} comparisons, one by one"):
        for verdict in verdicts:
            st.text(verdict.sentence)


def _files(study: Study, found: Comparison) -> None:
    with st.container(horizontal=True):
        for how, (label, ending, what) in _FILES.items():
            st.download_button(
                f"Save as {label}",
                data=_rendered(found, how),
                file_name=f"{study.name}-paper.{ending}",
                mime=what,
                on_click="ignore",
                key=f"paper-{how}",
            )


def _rendered(found: Comparison, how: Format) -> Callable[[], str]:
    return lambda: render(comparison_table(found), how)


def _choice(found: Comparison) -> None:
    st.subheader("What is left of the best value")
    expected = found.expected
    if expected is None or expected.mean != expected.mean:
        frame.tell("info", "It cannot be estimated from these trials.")
        return
    st.text(
        f"{found.selection.sentence} Of what such a search picks, expect {expected.mean:.3f} "
        f"[{expected.low:.2f}, {expected.high:.2f}] on other patients (BBC-CV, n={expected.n})."
    )
