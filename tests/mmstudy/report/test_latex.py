"""A table as LaTeX: one float, whose rows have two lines where they have intervals."""

from __future__ import annotations

from mmstudy.report.cells import Measure
from mmstudy.report.latex import latex
from mmstudy.report.table import Block, Column, Notes, Table


def lines(table: Table) -> list[str]:
    return [line for line in latex(table).splitlines() if line.endswith("\\\\")]


def test_a_row_with_intervals_takes_two_lines_of_latex() -> None:
    rows = ({"name": name, "auroc": Measure(0.5, 0.1, 0.9)} for name in ("short", "long " * 9))
    assert lines(Table.of([*rows])) == [
        r"name & auroc \\",
        r"short & 0.500 \\",
        r" & {[}0.10, 0.90{]} \\",
        rf"\multicolumn{{2}}{{l}}{{{'long ' * 8}long}} \\",
        r" & 0.500 \\",
        r" & {[}0.10, 0.90{]} \\",
    ]


def test_a_counted_figure_has_its_counts_and_an_undefined_one_a_dash() -> None:
    row = {"name": "a", "ppv": Measure(0.5, 0.1, 0.9, hits=1, total=2), "npv": Measure(total=0)}
    assert lines(Table.of([row]))[1:] == [
        r"a & 0.500 (1/2) & -- \\",
        r" & {[}0.10, 0.90{]} &  \\",
    ]


def test_a_heading_spans_its_block_and_notes_are_a_list() -> None:
    blocks = (Block("One", ({"a": 1, "b": 2},)), Block("", ({"a": 3, "b": 4},)))
    table = Table(
        columns=(Column("a"), Column("b")), blocks=blocks, notes=(Notes("Read", ("50 %",)),)
    )
    text = latex(table)
    assert lines(table)[1] == r"\multicolumn{2}{l}{\emph{One}} \\"
    assert text.count(r"\midrule") == 2
    assert r"\caption" not in text
    assert text.splitlines()[-4:] == [
        r"\paragraph{Read}",
        r"\begin{itemize}",
        r"\item 50 \%",
        r"\end{itemize}",
    ]
