"""PPV and NPV at a prevalence, as columns of any table of methods."""

from __future__ import annotations

from typing import Any

from mmcaf.stats.predictive import PredictiveValue, predictive
from mmstudy.comparison.row import MethodRow
from mmstudy.report.cells import Measure
from mmstudy.report.table import MACHINES, Column

__all__ = ["predictive_cells", "predictive_columns"]

_HEADS = {"ppv": "PPV", "npv": "NPV"}


def predictive_columns(prevalence: float | None) -> tuple[Column, ...]:
    """Those of PPV and NPV at a prevalence; none without one."""
    if prevalence is None:
        return ()
    heads = {f"{name}_at": f"{_HEADS[name]} at {prevalence:.1%}" for name in _HEADS}
    return (Column("prevalence", only=MACHINES), *(Column(*pair) for pair in heads.items()))


def predictive_cells(row: MethodRow, prevalence: float | None) -> dict[str, Any]:
    """PPV and NPV of a row's counts at a prevalence; nothing without one."""
    if prevalence is None:
        return {}
    of = predictive(row.counts, prevalence)
    return {"prevalence": prevalence, "ppv_at": _value(of.ppv), "npv_at": _value(of.npv)}


def _value(one: PredictiveValue) -> Measure:
    return Measure(one.value, one.low, one.high)
