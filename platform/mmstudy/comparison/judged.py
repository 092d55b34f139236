"""The ensemble of a trial's networks on patients that none of them trained on.

Each patient's score is the mean over the networks of all folds. It is called at 0.5, and at the
mean of the folds' own thresholds, which come from validation patients alone
(`mmcaf.stats.thresholds.ensemble_threshold`). Calls are of the raw scale, calibration is of the
corrected one (`mmstudy.analysis.probabilities`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mmcaf.stats.areas import auroc_standard_error
from mmcaf.stats.calibration import Calibration, calibration
from mmcaf.stats.predictive import predictive
from mmcaf.stats.priors import World
from mmcaf.stats.thresholds import ensemble_threshold
from mmstudy.comparison.calibrated import calibration_sentence, predictive_sentence
from mmstudy.comparison.row import MethodRow, row_of
from mmstudy.storage.origin import Origin
from mmstudy.study import Study, with_corrected

__all__ = ["Judged", "judged", "judged_look"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What came out, by threshold, and whether probabilities mean what they say."""

    rows: tuple[MethodRow, ...]  # at 0.5, and at the folds' thresholds where there are such
    calibration: Calibration  # of corrected probabilities, or of raw ones where that is unknown
    raw: Calibration
    world: World
    networks: int  # in the ensemble
    auroc_error: float  # standard error of the AUROC; NaN with fewer than two cases of a class

    def sentences(self, prevalence: float | None = None) -> tuple[str, ...]:
        """How to read it; with PPV and NPV at `prevalence`, if given.

        Raises:
            ValueError: a prevalence that is not strictly between 0 and 1.
        """
        said = [self._ensemble, self.world.sentence]
        said.append(calibration_sentence(self.calibration, self.raw, self.world))
        if prevalence is not None:
            said += [
                f"At the threshold {row.threshold}: "
                + predictive_sentence(predictive(row.counts, prevalence))
                for row in self.rows
            ]
        return tuple(said)

    @property
    def _ensemble(self) -> str:
        if self.networks == 1:
            return "One network scored each patient, that of the only fold."
        return (
            f"The ensemble of the {self.networks} folds' networks: each patient's score is the "
            "mean of theirs, so it is no single network of the search, and its AUROC is not that "
            "of validation. Youden's threshold is the mean of the networks' own, each chosen on "
            "the patients that network did not train on; no patient scored here had a part in it."
        )


def judged(
    study: Study, number: int, cases: pl.DataFrame, *, words: str, origin: Origin | None = None
) -> Judged:
    """Of trial `number`, on `cases`: case, label, probability (raw, the mean over networks).

    Args:
        study: where the trial is.
        number: a complete trial.
        cases: patients that no network of it trained on, each once.
        words: which patients these are.
        origin: whether they are synthetic; as the study's, unless given.

    Raises:
        MMStudyError: there is no such trial, or it is not complete.
    """
    origin, world = origin or study.origin, study.world(number)
    known = with_corrected(cases.sort("case"), world.ensemble)
    method = origin.named(f"{study.name} trial {number}")
    fixed = row_of(known, method=method, cases=words, origin=origin)
    labels, scores = known["label"].to_numpy(), known["probability"].to_numpy()
    rows = [fixed]
    before = study.out_of_fold(number)
    chosen = ensemble_threshold(before["label"], before["probability"], before["fold"])
    if chosen is not None:
        rows.append(fixed.called(scores >= chosen, threshold=_words(chosen, study.folds)))
    raw = calibration(labels, scores)
    return Judged(
        rows=tuple(rows),
        calibration=calibration(labels, known["corrected"].to_numpy()) if world.known else raw,
        raw=raw,
        world=world,
        networks=study.folds,
        auroc_error=auroc_standard_error(labels, scores),
    )


def judged_look(study: Study, number: int, look: int) -> Judged:
    """Of one look at the test set with trial `number`, as it is stored.

    Raises:
        MMStudyError: there is no such trial, or what was stored is damaged.
    """
    return judged(study, number, study.test_predictions(look), words=f"test, look {look}")


def _words(threshold: float, folds: int) -> str:
    whose = "validation-Youden" if folds == 1 else f"mean of {folds} folds' Youden"
    return f"{whose} {threshold:.2f}"
