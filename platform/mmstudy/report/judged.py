"""An ensemble on patients that none of its networks trained on, as a table: a row per threshold."""

from __future__ import annotations

from typing import Any

from mmcaf.stats.calibration import Coefficient
from mmstudy.comparison.judged import Judged
from mmstudy.comparison.row import RATE_NAMES, MethodRow
from mmstudy.report.cells import Measure
from mmstudy.report.comparison import measure
from mmstudy.report.predictive import predictive_cells, predictive_columns
from mmstudy.report.table import MACHINES, Block, Column, Notes, Table

__all__ = ["judged_table"]

_HEADS = {"ppv": "PPV", "npv": "NPV"}
_FIGURES = {"auroc": "AUROC", "f1": "F1", "auprc": "AUPRC", "brier": "Brier"}
_COEFFICIENTS = ("intercept", "slope", "intercept_raw")
_OF_MACHINES = ("auroc_standard_error", "brier_raw", *_COEFFICIENTS)


def judged_table(
    found: Judged, *, number: int, look: int | None = None, prevalence: float | None = None
) -> Table:
    """Every rate with its interval and counts, every figure with its interval.

    Args:
        found: what came out.
        number: of the trial.
        look: which look at the test set it was, if it was one.
        prevalence: at which PPV and NPV are given as well.

    Raises:
        ValueError: a prevalence that is not strictly between 0 and 1.
    """
    first = found.rows[0]
    return Table(
        columns=(
            Column("origin", only=MACHINES),
            *([] if look is None else [Column("look", only=MACHINES)]),
            Column("number", "Trial"),
            Column("cases", "Patients"),
            Column("threshold", "Threshold"),
            Column("patients", "n", ("table", "markdown", "latex")),
            Column("n", only=MACHINES),
            Column("n_squamous", only=MACHINES),
            *(Column(name, _HEADS.get(name, name.capitalize())) for name in RATE_NAMES),
            *predictive_columns(prevalence),
            *(Column(name, head) for name, head in _FIGURES.items()),
            *(Column(name, only=MACHINES) for name in _OF_MACHINES),
        ),
        blocks=(
            Block(
                "",
                tuple(
                    _cells(found, row, prevalence) | {"number": number, "look": look}
                    for row in found.rows
                ),
            ),
        ),
        warnings=first.origin.warnings,
        notes=(Notes("How to read this", found.sentences(prevalence)),),
        caption=f"{first.method} on {first.n} patients. 95 % intervals in brackets.",
    )


def _cells(found: Judged, row: MethodRow, prevalence: float | None) -> dict[str, Any]:
    of, raw = found.calibration, found.raw
    coefficients = (of.intercept, of.slope, raw.intercept)
    interval = raw.brier_interval or (None, None)
    return {
        "origin": row.origin.column,
        "cases": row.cases,
        "threshold": row.threshold,
        "patients": f"{row.n} ({row.positives}+{row.n - row.positives})",
        "n": row.n,
        "n_squamous": row.positives,
        **{name: measure(rate) for name, rate in row.rates.items()},
        **predictive_cells(row, prevalence),
        **{name: measure(getattr(row, name)) for name in _FIGURES},
        "auroc_standard_error": found.auroc_error,
        "brier_raw": Measure(raw.brier, *interval),
        **{k: _coefficient(c) for k, c in zip(_COEFFICIENTS, coefficients, strict=True)},
    }


def _coefficient(one: Coefficient | None) -> Measure:
    return Measure() if one is None else Measure(one.value, one.low, one.high)
