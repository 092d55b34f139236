"""What one trial says of the validation cases: beside scikit-learn, at the best epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmstudy.comparison.diagnosis import diagnosis
from mmstudy.errors import MMStudyError
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, made_study


def test_the_curve_is_the_mean_of_the_folds_and_its_area_the_row_s(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    found = diagnosis(study, 0)
    assert found.curve is not None
    area = np.trapezoid(found.curve.sensitivity, found.curve.false_positive_rate)
    fold = np.arange(len(MMCAF_LABELS)) % 2
    areas = [roc_auc_score(MMCAF_LABELS[fold == f], MMCAF_SCORES[fold == f]) for f in (0, 1)]
    assert area == pytest.approx(np.mean(areas))
    assert found.row.auroc.value == pytest.approx(area)
    assert study.trial(0)["value"] == pytest.approx(area)


def test_networks_of_other_scales_are_told_and_change_nothing(tmp_path: Path) -> None:
    fold = np.arange(len(MMCAF_LABELS)) % 2
    plain = diagnosis(made_study(tmp_path), 0)
    lower = np.where(fold == 0, MMCAF_SCORES, MMCAF_SCORES / 100)
    shifted = diagnosis(made_study(tmp_path, scores=[lower], name="lower"), 0)
    assert plain.shift < 0.5 < shifted.shift
    assert f"Fold shift {shifted.shift:.2f}" in shifted.about_shift
    assert shifted.row.auroc == plain.row.auroc
    assert shifted.row.auprc == plain.row.auprc


def test_the_curve_lies_within_its_band(tmp_path: Path) -> None:
    found = diagnosis(made_study(tmp_path), 0)
    assert found.curve is not None
    assert found.band is not None
    grid = found.band.false_positive_rate
    at = np.interp(grid, found.curve.false_positive_rate, found.curve.sensitivity)
    assert ((found.band.low <= at + 1e-9) & (at <= found.band.high + 1e-9)).mean() > 0.95


def test_it_is_of_the_trial_asked_for(tmp_path: Path) -> None:
    study = made_study(tmp_path, scores=[MMCAF_SCORES, 1 - MMCAF_SCORES])
    one, other = (diagnosis(study, number).row.auroc.value for number in (0, 1))
    assert one is not None
    assert other == pytest.approx(1 - one)


def test_one_class_has_no_curve(tmp_path: Path) -> None:
    found = diagnosis(made_study(tmp_path, labels=np.zeros(43, dtype=np.int64)), 0)
    assert (found.curve, found.band) == (None, None)
    assert found.row.n == 43


def test_a_trial_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MMStudyError, match="has no trial 5"):
        diagnosis(made_study(tmp_path), 5)
