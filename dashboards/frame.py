"""What all pages share: which study, where to go, banners, charts with their files, live refresh.

Names, questions and reasons come from whoever wrote the spec. They are shown as plain text, or
escaped with `plain` where Streamlit would read Markdown.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import echarts
import loading
import polars as pl
import streamlit as st

from mmcaf.errors import DataError
from mmstudy.errors import MMStudyError
from mmstudy.plots.plot import Layer, Plot
from mmstudy.report.table import Table, render
from mmstudy.study import Study

__all__ = [
    "FAULTS",
    "chart",
    "command",
    "csv_of",
    "facts",
    "follow",
    "go",
    "going",
    "left_out",
    "numbers_in",
    "page",
    "plain",
    "root",
    "shown_duration",
    "table",
    "tell",
]

FAULTS = (MMStudyError, DataError, OSError, ValueError, pl.exceptions.PolarsError)
"""What a file of a study can raise, whatever is in it."""

_REFRESH = timedelta(seconds=3)
_GOING = "_going"  # in the session: the page to open in the next run
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def root() -> Path:
    """The folder of studies this server shows."""
    return Path(sys.argv[1] if len(sys.argv) > 1 else "studies")


def plain(text: str) -> str:
    r"""Text that Streamlit's Markdown shows as it is.

    >>> plain("*a* <b> :red[c]")
    '\\*a\\* \\<b\\> \\:red\\[c\\]'
    """
    return _MARKS.sub(r"\\\1", text)


def go(to: str, **values: Any) -> None:
    """For callbacks: open page `to` with widgets set to `values`.

    Streamlit's own switch refuses to set what a widget keeps in the address, so the widgets are
    set first, and the router (`app.py`) switches at the start of the run that follows.
    """
    for key, value in values.items():
        st.session_state[key] = value
    st.session_state[_GOING] = to


def going() -> str | None:
    """The page a callback asked for, once."""
    to: str | None = st.session_state.pop(_GOING, None)
    return to


def tell(kind: Literal["info", "warning", "error"], text: str) -> None:
    """A box with plain text."""
    {"info": st.info, "warning": st.warning, "error": st.error}[kind](plain(text))


def page(body: Callable[[Study], None]) -> Callable[[], None]:
    """A page about one study: its head, then `body`; faults become words."""

    def shown() -> None:
        found = {one.folder.name: one for one in loading.found(root())}
        name = st.session_state.get("study")
        one = found.get(str(name))
        if one is None:
            tell("info", "No study here yet. `mmstudy run smoke --cohort COHORT` begins one.")
            return
        if one.study is None:
            tell("error", f"{name} cannot be opened. {one.fault}")
            return
        try:
            _head(one.study)
            body(one.study)
        except FAULTS as error:
            tell("error", f"This cannot be shown now: {error}")

    return shown


def _head(study: Study) -> None:
    for warning in study.origin.warnings:
        tell("warning", warning)
    st.text(study.question)


def follow(study: Study, body: Callable[[], None]) -> None:
    """Draw `body`, and draw it again every few seconds while a driver is alive."""
    live = study.live()

    def drawn() -> None:
        if _GOING in st.session_state or (live and not study.live()):
            st.rerun()  # the whole page: to another one, or because the driver has ended
        try:
            body()
        except FAULTS as error:  # half-copied, or replaced at this moment
            tell("error", f"This cannot be read now: {error}")

    st.fragment(drawn, run_every=_REFRESH if live else None)()


def chart(plot: Plot, study: Study, *, key: str = "") -> None:
    """A plot, and below it the files a manuscript needs."""
    named = f"{plot.name}-{key}".strip("-")
    width: Any = plot.height + 40 if plot.square else "stretch"
    renderer: Any = "canvas" if sum(len(layer.x) for layer in plot.layers) > 2000 else "svg"
    st.echarts_chart(
        echarts.option(plot),
        height=plot.height,
        width=width,
        renderer=renderer,
        key=f"chart-{named}",
        alt=plot.alt,
    )
    with st.popover("Save", key=f"save-{named}"):
        for how, what in (("pdf", "application/pdf"), ("svg", "image/svg+xml")):
            st.download_button(
                how.upper(),
                data=_drawn(plot, how),  # drawn when it is clicked
                file_name=f"{study.name}-{named}.{how}",
                mime=what,
                key=f"{how}-{named}",
                on_click="ignore",
            )
        st.download_button(
            "CSV",
            data=lambda: csv_of(_points(plot), study),
            file_name=f"{study.name}-{named}.csv",
            mime="text/csv",
            key=f"csv-{named}",
            on_click="ignore",
        )


def _drawn(plot: Plot, how: Any) -> Callable[[], bytes]:
    def file() -> bytes:
        from mmstudy.plots.file import (
            draw,  # matplotlib: half a second that the first page need not wait for
        )

        return draw(plot, how)

    return file


def _points(plot: Plot) -> pl.DataFrame:
    """Every point of every layer; where a place has a name, its name."""
    x, y = plot.x or "axis", plot.y or "row"
    points = pl.concat([_points_of(layer, x, y, plot.shade) for layer in plot.layers])
    named = {x: plot.columns or tuple(axis.name for axis in plot.axes), y: plot.rows}
    return points.with_columns(
        pl.col(column).cast(pl.Int64).replace_strict(dict(enumerate(names)), default=None)
        for column, names in named.items()
        if names
    )


def _points_of(layer: Layer, x: str, y: str, shade: str) -> pl.DataFrame:
    high: Sequence[float | None] = layer.high or [None] * len(layer.x)
    numbers: dict[str, Sequence[Any]] = {x: layer.x, y: layer.y, "upper edge": high}
    numbers |= {shade: layer.shade} if layer.shade else {}
    numbers |= {"trials": layer.count} if layer.count else {}
    columns = {
        name: pl.Series(values, dtype=pl.Float64, strict=False) for name, values in numbers.items()
    }
    return pl.DataFrame({"layer": [layer.name] * len(layer.x)} | columns)


def table(rows: pl.DataFrame, study: Study, **shown: Any) -> None:
    """A table on the screen, `shown` as `st.dataframe` takes it.

    Where numbers are not real, a column says so: the table's own toolbar saves what is shown.
    """
    if study.origin.mark:
        rows = rows.with_columns(pl.lit(study.origin.column).alias("origin"))
    st.dataframe(rows, hide_index=True, **shown)


def csv_of(rows: pl.DataFrame, study: Study) -> str:
    """A table as CSV that no spreadsheet takes for formulas; a column says whose data it is."""
    marked = Table.of(rows.to_dicts(), keys=rows.columns, origin=study.origin)
    return render(marked, "csv")


def command(*words: str) -> None:
    """A command line of this study to copy."""
    st.code(shlex.join(["mmstudy", *words]), language=None, wrap_lines=True)


def facts(*shown: tuple[str, str]) -> None:
    """Numbers with their names in one line, which breaks on a narrow screen."""
    with st.container(horizontal=True, gap="medium"):
        for label, value in shown:
            st.metric(label, value, width="content")


def numbers_in(text: str, known: Sequence[int], most: int = 6) -> list[int]:
    """Trial numbers in a text such as "3, 12 7": those that exist, each once, at most `most`.

    >>> numbers_in("3, 12 x 3", [1, 3, 12])
    [3, 12]
    """
    there = set(known)
    return [number for number in _written(text) if number in there][:most]


def left_out(text: str, shown: Sequence[int]) -> str:
    """The trial numbers in a text that are not among those shown.

    >>> left_out("3, 12 x 7", [3])
    '12, 7'
    """
    return ", ".join(str(number) for number in _written(text) if number not in shown)


def _written(text: str) -> list[int]:
    return [*dict.fromkeys(int(part) for part in re.findall(r"\d{1,9}", text))]


def shown_duration(seconds: float | None) -> str:
    """Seconds for a human.

    >>> shown_duration(None), shown_duration(42), shown_duration(4000), shown_duration(200000)
    ('–', '42 s', '1 h 7 min', '2 d 8 h')
    """
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} d {hours} h"
