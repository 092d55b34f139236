"""What one trial says of the validation cases, each once, out of fold."""

from __future__ import annotations

from dataclasses import dataclass

from mmcaf.stats.calibration import Calibration, calibration
from mmcaf.stats.roc import RocBand, RocCurve, roc, roc_band
from mmstudy.comparison.row import MethodRow, row_of
from mmstudy.study import Study

__all__ = ["Diagnosis", "diagnosis"]


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """Rates, ROC curve and calibration of one trial; no curve where a class has no case."""

    row: MethodRow
    curve: RocCurve | None
    band: RocBand | None
    calibration: Calibration


def diagnosis(study: Study, number: int) -> Diagnosis:
    """Of a complete trial, on the validation cases at its best epoch.

    Raises:
        MMStudyError: there is no such trial, or it is not complete.
    """
    cases = study.out_of_fold(number)
    labels, scores = cases["label"].to_numpy(), cases["probability"].to_numpy()
    return Diagnosis(
        row=row_of(
            cases,
            method=f"trial {number}",
            cases="validation, out of fold",
            origin=study.origin,
        ),
        curve=roc(labels, scores),
        band=roc_band(labels, scores),
        calibration=calibration(labels, scores),
    )
