"""A comparison as a table: a block per heading, and below it what a test says of each row."""

from __future__ import annotations

from typing import Any

from mmcaf.stats.metrics import Proportion
from mmstudy.comparison.comparison import Comparison
from mmstudy.comparison.row import RATE_NAMES, Figure, MethodRow
from mmstudy.report.cells import Measure
from mmstudy.report.table import MACHINES, Block, Column, Format, Notes, Table

__all__ = ["comparison_table", "measure"]

_HEADS = {"ppv": "PPV", "npv": "NPV"}
_WIDE: tuple[Format, ...] = ("table", "markdown")  # a page has no room for all names


def comparison_table(comparison: Comparison) -> Table:
    """All rows with their figures, and the sentences on them."""
    blocks = tuple(
        Block(section.title, tuple(map(_cells, section.rows))) for section in comparison.sections
    )
    return Table(
        columns=_columns(),
        blocks=blocks,
        warnings=comparison.origin.warnings,
        notes=_notes(comparison),
        caption=f"{comparison.summary} 95 % intervals in brackets.",
        document=comparison.as_dict(),
    )


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
    name = row.method + (" !" if row.flag else "")
    shown = {
        "name": name,
        "label": name if row.kind == "published" else f"{name}: {row.cases}, {row.threshold}",
        "patients": f"{row.n} ({row.positives}+{row.n - row.positives})",
        "majority": measure(row.counts.majority),
    }
    return plain | counts | rates | figures | shown


def _notes(comparison: Comparison) -> tuple[Notes, ...]:
    """What may be said, then how to read it; a heading without a sentence is left out."""
    flags = [f"{row.method}: {row.flag}" for row in comparison.rows if row.flag]
    said = {
        "In one sentence": [comparison.summary, _chosen(comparison)],
        "Against the baselines": [v.sentence for v in comparison.against_baselines],
        "Against the published rows": [v.sentence for v in comparison.against_paper],
        "Marked !: not ranked, not tested": flags,
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
