"""A table as LaTeX: a float that fits the width of a page, its notes as lists below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmstudy.report.cells import Measure, cell_text
from mmstudy.report.escape import latex_text

if TYPE_CHECKING:
    from mmstudy.report.table import Block, Notes, Table

__all__ = ["latex"]

_LONGEST_NAME = 24  # signs; a longer one has a line of its own


def latex(table: Table) -> str:
    """The table as a `table*` of booktabs.

    A row with intervals takes two lines: values with counts, and below them the intervals.
    """
    if not table.rows:
        return "\n".join([*map(latex_text, table.warnings), "nothing"])
    columns = table.shown("latex")
    heads = " & ".join(latex_text(column.head or column.key) for column in columns)
    body = [r"\toprule", rf"{heads} \\"]
    for block in table.blocks:
        body += _block(block, [column.key for column in columns])
    said = [rf"\textbf{{{latex_text(warning)}}}" for warning in table.warnings]
    caption = " ".join([*said, *filter(None, [latex_text(table.caption)])])
    lines = [
        r"% \usepackage{booktabs,graphicx} \usepackage[T1]{fontenc}",
        r"\begin{table*}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        *([rf"\caption{{{caption}}}"] if caption else []),
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'c' * (len(columns) - 1)}}}",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    return "\n".join([*lines, "", *map(_notes, table.notes)])


def _block(block: Block, keys: list[str]) -> list[str]:
    lines = [r"\midrule"]
    if block.title:
        lines.append(_across(len(keys), rf"\emph{{{latex_text(block.title)}}}"))
    for row in block.rows:
        lines += _row([row[key] for key in keys])
    return lines


def _row(cells: list[Any]) -> list[str]:
    """One line, or two where there are intervals; a long name stands above them."""
    if not any(isinstance(cell, Measure) for cell in cells):
        return [_line([cell_text(cell) for cell in cells])]
    name = cell_text(cells[0])
    above = [_across(len(cells), latex_text(name))] if len(name) > _LONGEST_NAME else []
    first = ["" if above else name, *map(_valued, cells[1:])]
    second = ["", *(cell.interval if isinstance(cell, Measure) else "" for cell in cells[1:])]
    return [*above, _line(first), _line(second)]


def _valued(cell: Any) -> str:
    if not isinstance(cell, Measure):
        return cell_text(cell)
    return f"{cell.shown} ({cell.counts})" if cell.counts else cell.shown or "--"


def _line(cells: list[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


def _across(columns: int, text: str) -> str:
    return rf"\multicolumn{{{columns}}}{{l}}{{{text}}} \\"


def _notes(notes: Notes) -> str:
    items = [rf"\item {latex_text(sentence)}" for sentence in notes.sentences]
    title = [rf"\paragraph{{{latex_text(notes.title)}}}"] if notes.title else []
    return "\n".join([*title, r"\begin{itemize}", *items, r"\end{itemize}"])
