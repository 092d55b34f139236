"""A comparison as a table: a block per heading, and below it what a test says of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcaf.stats.metrics import Proportion
from mmstudy.comparison.comparison import Comparison
from mmstudy.comparison.outcome import Test
from mmstudy.comparison.row import RATE_NAMES, Figure, MethodRow
from mmstudy.comparison.sentences import could_show, difference, excluded, likely, rounded
from mmstudy.comparison.verdict import Verdict
from mmstudy.report.cells import Measure, json_value
from mmstudy.report.predictive import predictive_cells, predictive_columns
from mmstudy.report.table import MACHINES, Block, Column, Format, Notes, Table

__all__ = ["TESTS_CAPTION", "comparison_table", "marked", "measure", "verdict_lines"]

_HEADS = {"ppv": "PPV", "npv": "NPV"}
_WIDE: tuple[Format, ...] = ("table", "markdown")  # a page has no room for all names


def comparison_table(comparison: Comparison, prevalence: float | None = None) -> Table:
    """All rows with their figures, and the sentences on them; PPV and NPV at `prevalence` as well,
    if given.

    Raises:
        ValueError: a prevalence that is not strictly between 0 and 1.
    """
    blocks = tuple(
        Block(
            section.title,
            tuple(_cells(row) | predictive_cells(row, prevalence) for row in section.rows),
        )
        for section in comparison.sections
    )
    return Table(
        columns=(*_columns(), *predictive_columns(prevalence)),
        blocks=blocks,
        warnings=comparison.origin.warnings,
        notes=_notes(comparison),
        caption=f"{comparison.summary} 95 % intervals in brackets.",
        document=_document(comparison, prevalence),
    )


def _document(comparison: Comparison, prevalence: float | None) -> dict[str, Any]:
    """What JSON holds: all of the comparison, and of every row what holds at the prevalence."""
    found = comparison.as_dict()
    if prevalence is not None:
        for section, plain in zip(comparison.sections, found["sections"], strict=True):
            for row, of in zip(section.rows, plain["rows"], strict=True):
                cells = predictive_cells(row, prevalence)
                of |= {key: json_value(cell) for key, cell in cells.items()}
    return found


def measure(value: Figure | Proportion) -> Measure:
    """A figure, or a proportion with Wilson's interval, as a cell.

    >>> str(measure(Proportion(10, 15))), str(measure(Proportion(0, 0))), str(measure(Figure()))
    ('0.667 [0.42, 0.85] 10/15', '-', '-')
    """
    if isinstance(value, Figure):
        return Measure(value.value, value.low, value.high)
    if not value.total:
        return Measure(hits=value.hits, total=value.total)
    return Measure(float(value), *value.wilson(), hits=value.hits, total=value.total)


def marked(row: MethodRow) -> str:
    """The name of a row, with `!` where it is not ranked and `=` where it repeats another."""
    return row.method + (" !" if row.flag else "") + (" =" if row.same_as else "")


TESTS_CAPTION = (
    "'Shown' is decided by the corrected p alone. Interval, P and what is excluded are of one "
    "comparison, uncorrected: among many some look clear by chance."
)
"""What whoever reads the lines of `verdict_lines` must know."""


def verdict_lines(verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """One line per test of each verdict, in words of a table; none of what was not tested."""
    return [
        {
            "against": verdict.against + (" =" if verdict.same_as else ""),
            "measure": test.measure,
            "shown": _shows(test),
            "difference [95 %]": difference(test),
            "P(ours higher)": "-" if test.higher is None else likely(test.higher),
            "excludes that ours is": excluded(test),
            "could show": could_show(test),
            "corrected p": "-" if test.p_holm is None else rounded(test.p_holm),
            "ours": test.ours,
            "theirs": test.theirs,
            "patients": f"{verdict.n} against {verdict.n_against}",
        }
        for verdict in verdicts
        if verdict.outcome != "untested"
        for test in verdict.tests
    ]


def _shows(test: Test) -> str:
    if not test.significant or not test.difference:
        return "undecided"
    return "ours higher" if test.difference > 0 else "ours lower"


def _columns() -> tuple[Column, ...]:
    """Those of machines have the keys, and the order, of a row's own dictionary."""
    return (
        *(Column(key, only=MACHINES) for key in ("origin", "kind", "table", "method")),
        Column("name", "Method", _WIDE),
        Column("label", "Method", ("latex",)),
        Column("cases", "Patients", (*_WIDE, *MACHINES)),
        Column("threshold", "Threshold", (*_WIDE, *MACHINES)),
        Column("patients", "n", ("table", "markdown", "latex")),
        *(Column(key, only=MACHINES) for key in ("n", "squamous", "adenocarcinoma")),
        *(Column(f"counts_{key}", only=MACHINES) for key in ("tp", "fn", "fp", "tn")),
        *(Column(name, _HEADS.get(name, name.capitalize())) for name in RATE_NAMES),
        Column("majority", only=MACHINES),
        Column("auroc", "AUROC"),
        Column("f1", "F1"),
        *(Column(key, only=MACHINES) for key in ("auprc", "brier", "ranked", "flag")),
    )


def _cells(row: MethodRow) -> dict[str, Any]:
    plain = row.as_dict()
    counts = {f"counts_{name}": count for name, count in plain["counts"].items()}
    rates = {name: measure(rate) for name, rate in row.rates.items()}
    figures = {name: measure(getattr(row, name)) for name in ("auroc", "f1", "auprc", "brier")}
    name = marked(row)
    shown = {
        "name": name,
        "label": name if row.kind == "published" else f"{name}: {row.cases}, {row.threshold}",
        "patients": f"{row.n} ({row.positives}+{row.n - row.positives})",
        "majority": measure(row.counts.majority),
    }
    return plain | counts | rates | figures | shown


def _notes(comparison: Comparison) -> tuple[Notes, ...]:
    """What may be said, then how to read it; a heading without a sentence is left out."""
    same = [
        f"{row.method} (=) repeats the row of {row.same_as}; the two are one and count once."
        for row in comparison.rows
        if row.same_as
    ]
    flags = [f"{row.method}: {row.flag}" for row in comparison.rows if row.flag]
    said = {
        "In short": [
            *filter(None, (comparison.summary, comparison.summary_of_baselines)),
            _chosen(comparison),
        ],
        "Against the baselines": [v.sentence for v in comparison.against_baselines],
        "Against the published rows": [v.sentence for v in comparison.against_paper],
        "Marked !: not ranked, not tested": flags,
        "Marked =: printed twice": same,
        "How to read this": ["n: patients (squamous+adenocarcinoma).", *comparison.notes],
    }
    return tuple(Notes(title, tuple(texts)) for title, texts in said.items() if texts)


def _chosen(comparison: Comparison) -> str:
    found = comparison.expected
    known = found is not None and found.mean == found.mean
    corrected = (
        f"{found.mean:.3f} [{found.low:.2f}, {found.high:.2f}]" if found and known else "not known"
    )
    chosen = comparison.selection.sentence
    return f"{chosen} To expect of what such a search picks: {corrected} (BBC-CV)."
