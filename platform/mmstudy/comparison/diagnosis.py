"""What one trial says of the validation cases, each once, out of fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmcaf.stats.areas import fold_shift
from mmcaf.stats.calibration import Calibration, calibration
from mmcaf.stats.predictive import predictive
from mmcaf.stats.priors import World
from mmcaf.stats.roc import RocBand, RocCurve, roc, roc_band
from mmstudy.analysis.probabilities import out_of_fold
from mmstudy.comparison.calibrated import calibration_sentence, predictive_sentence
from mmstudy.comparison.row import MethodRow, row_of
from mmstudy.study import Study

__all__ = ["Diagnosis", "diagnosis"]

_EDGE = 1e-6  # probabilities are kept this far from 0 and 1, where a logit is infinite


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """Rates, ROC curve and calibration of one trial; no curve where a class has no case."""

    row: MethodRow
    curve: RocCurve | None
    band: RocBand | None
    calibration: Calibration  # of corrected probabilities, or of raw ones where that is unknown
    raw: Calibration  # of raw probabilities
    world: World
    shift: float  # between folds, in standard deviations within (`areas.fold_shift`); may be NaN

    @property
    def about_calibration(self) -> str:
        """Intercept and slope, and those of raw probabilities, in words."""
        return calibration_sentence(self.calibration, self.raw, self.world)

    def about_predictive(self, prevalence: float) -> str:
        """PPV and NPV at 0.5 among patients of whom the share `prevalence` is squamous.

        Raises:
            ValueError: it is not strictly between 0 and 1.
        """
        return predictive_sentence(predictive(self.row.counts, prevalence))

    @property
    def about_shift(self) -> str:
        """What the shift between folds means, in a sentence; empty where there is none to tell."""
        if not self.shift >= 0:
            return ""
        return (
            f"Fold shift {self.shift:.2f}: so many standard deviations (within a class) the folds' "
            "networks lie apart in their mean score. AUROC, curve and calibration are made within "
            "folds, since scores of different networks cannot be put in one order."
        )


def diagnosis(study: Study, number: int) -> Diagnosis:
    """Of a complete trial, on the validation cases at its best epoch.

    Raises:
        MMStudyError: there is no such trial, or it is not complete.
    """
    cases, world = out_of_fold(study, number)
    labels, scores = cases["label"].to_numpy(), cases["probability"].to_numpy()
    folds, case = cases["fold"].to_numpy(), cases["case"].to_numpy()
    own = cases["corrected"].to_numpy() if world.known else scores
    inside = np.clip(scores, _EDGE, 1 - _EDGE)
    return Diagnosis(
        row=row_of(
            cases,
            method=f"trial {number}",
            cases="validation, out of fold",
            origin=study.origin,
        ),
        curve=roc(labels, scores, folds),
        band=roc_band(labels, scores, folds, cases=case),
        calibration=calibration(labels, own, folds=folds, cases=case),
        raw=calibration(labels, scores, folds=folds, cases=case),
        world=world,
        shift=fold_shift(labels, np.log(inside / (1 - inside)), folds),
    )
