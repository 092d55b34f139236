"""The ensemble of the folds' networks on test patients, with a threshold none of them gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmcaf.stats.calibration import calibration
from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.stats.priors import corrected
from mmcaf.stats.thresholds import youden
from mmstudy.comparison.comparison import compare
from mmstudy.comparison.judged import judged_look
from mmstudy.study import Study
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, add_look, made_study

TEST_LABELS = np.repeat([1, 0], [8, 32])
TEST_SCORES = np.linspace(0.95, 0.05, 40)


@pytest.fixture
def looked(tmp_path: Path) -> Study:
    random = np.random.default_rng(0)
    scores = np.clip(MMCAF_SCORES + random.uniform(-0.05, 0.05, 43), 0, 1)
    study = made_study(tmp_path, scores=[scores], settings={})
    add_look(study, 0, TEST_LABELS, TEST_SCORES)
    return study


def test_every_rate_has_the_counts_of_the_mean_score(looked: Study) -> None:
    fixed, _ = judged_look(looked, 0, 1).rows
    assert fixed.counts == ConfusionMatrix.from_scores(TEST_LABELS, TEST_SCORES, threshold=0.5)
    assert (fixed.n, fixed.cases, fixed.threshold) == (40, "test, look 1", "0.5")


def test_the_threshold_is_the_mean_of_the_networks_own_and_of_no_test_patient(
    looked: Study,
) -> None:
    before = looked.out_of_fold(0)
    own = [
        youden(part["label"].to_numpy(), part["probability"].to_numpy())
        for part in before.partition_by("fold")
    ]
    chosen = float(np.mean([one for one in own if one is not None]))
    _, called = judged_look(looked, 0, 1).rows
    assert called.threshold == f"mean of 2 folds' Youden {chosen:.2f}"
    assert called.counts == ConfusionMatrix.from_scores(TEST_LABELS, TEST_SCORES, threshold=chosen)
    add_look(looked, 0, 1 - TEST_LABELS, TEST_SCORES)
    assert judged_look(looked, 0, 2).rows[1].threshold == called.threshold


def test_calibration_and_brier_are_of_corrected_probabilities_and_calls_are_not(
    looked: Study,
) -> None:
    share = looked.world(0).ensemble
    assert share is not None
    assert share.own == pytest.approx(MMCAF_LABELS.mean(), abs=0.02)
    found, own = judged_look(looked, 0, 1), corrected(TEST_SCORES, share)
    assert found.calibration == calibration(TEST_LABELS, own)
    assert found.raw == calibration(TEST_LABELS, TEST_SCORES)
    assert found.rows[0].brier.value == pytest.approx(np.mean((own - TEST_LABELS) ** 2))
    assert found.rows[0].auroc.value is not None


def test_it_is_called_what_it_is(looked: Study) -> None:
    said = " ".join(judged_look(looked, 0, 1).sentences(0.2))
    for words in (
        "The ensemble of the 2 folds' networks",
        "mean of the networks' own",
        "Corrected ones are shifted",
        "Calibration of corrected probabilities of 40 patients",
        "of whom 20.0% are squamous: PPV",
    ):
        assert words in said
    assert "are squamous: PPV" not in " ".join(judged_look(looked, 0, 1).sentences())


def test_settings_that_cannot_be_read_leave_all_raw(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    add_look(study, 0, TEST_LABELS, TEST_SCORES)
    found = judged_look(study, 0, 1)
    assert found.calibration == found.raw
    assert found.rows[0].brier.value == pytest.approx(np.mean((TEST_SCORES - TEST_LABELS) ** 2))
    assert "Probabilities are raw" in " ".join(found.sentences())


def test_a_comparison_shows_the_same_rows(looked: Study) -> None:
    rows = [row for row in compare(looked).rows if row.cases == "test, look 1"]
    assert [row.as_dict() for row in rows] == [
        row.as_dict() for row in judged_look(looked, 0, 1).rows
    ]
