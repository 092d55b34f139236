from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, roc_auc_score

from mmcaf.metrics import (
    ConfusionMatrix,
    Proportion,
    auprc,
    auroc,
    auroc_interval,
    brier,
    rates,
)


@pytest.mark.parametrize("total", [1, 7, 60])
def test_wilson_agrees_with_scipy(total: int) -> None:
    for hits in range(total + 1):
        expected = binomtest(hits, total).proportion_ci(0.95, method="wilson")
        assert Proportion(hits, total).wilson() == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_areas_and_scores_agree_with_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.permutation([1] * 15 + [0] * 28)
    scores = np.round(np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 1)  # with ties
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert auprc(labels, scores) == pytest.approx(average_precision_score(labels, scores))
    assert brier(labels, scores) == pytest.approx(brier_score_loss(labels, scores))
    found = ConfusionMatrix.from_scores(labels, scores, threshold=0.5)
    assert found.f1 == pytest.approx(f1_score(labels, scores >= 0.5))


def test_the_interval_holds_the_true_area_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    truth, held = 0.8023, 0  # area between two unit normals 1.2 apart
    for _ in range(400):
        labels = np.array([1] * 15 + [0] * 28)
        low, high = auroc_interval(labels, random.normal(1.2 * labels))
        held += low <= truth <= high
    assert 0.91 <= held / 400 <= 0.99


def test_one_class_alone_has_no_area() -> None:
    assert math.isnan(auroc([1, 1], [0.2, 0.9]))
    assert rates([1, 1], [0.2, 0.9])["auroc"] is None


def test_an_undefined_rate_is_none_and_not_zero() -> None:
    found = rates([1, 0], [0.1, 0.2])
    assert found["ppv"] is None
    assert found["sensitivity"] == 0.0


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite scores"):
        auroc([1, 0], [float("nan"), 0.5])


def test_unequal_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"got \(2,\) and \(1,\)"):
        ConfusionMatrix.from_scores([1, 0], [0.5], threshold=0.5)


def test_no_cases_is_nan_not_zero() -> None:
    empty = Proportion(0, 0)
    assert math.isnan(float(empty))
    assert empty.wilson() == (0.0, 1.0)
