from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.stats.thresholds import cross_fitted, ensemble_threshold, youden

CASES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=30)


def index_at(labels: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    rates = ConfusionMatrix.from_scores(labels, scores, threshold=threshold).rates()
    return float(rates["sensitivity"]) + float(rates["specificity"]) - 1


@given(CASES)
def test_no_corner_of_scikit_learns_curve_is_better(cases: list[tuple[int, int]]) -> None:
    labels, scores = np.array(cases).T
    chosen = youden(labels, scores)
    if not 0 < labels.sum() < len(labels):
        assert chosen is None
        return
    fpr, tpr, levels = roc_curve(labels, scores, drop_intermediate=False)
    inner = (levels > scores.min()) & (levels <= scores.max())
    if not inner.any():
        assert chosen is None
    else:
        assert chosen is not None
        assert index_at(labels, scores, chosen) == pytest.approx((tpr - fpr)[inner].max())


def test_the_line_lies_midway_between_two_scores() -> None:
    assert youden([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("labels", "scores"), [([1, 1], [0.1, 0.9]), ([0, 1], [0.5, 0.5]), ([], [])]
)
def test_where_nothing_can_be_chosen_there_is_none(labels: list[int], scores: list[float]) -> None:
    assert youden(labels, scores) is None


def test_a_folds_threshold_does_not_know_the_folds_labels() -> None:
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 60), random.random(60)
    parts = np.arange(60) % 3
    found = cross_fitted(labels, scores, parts)
    turned = np.where(parts == 0, 1 - labels, labels)
    other = cross_fitted(turned, scores, parts)
    assert found is not None
    assert other is not None
    assert found.thresholds[0] == other.thresholds[0]
    assert (found.calls[parts == 0] == other.calls[parts == 0]).all()
    assert found.thresholds[1:] != other.thresholds[1:]


def test_a_fold_is_called_by_the_youden_threshold_of_the_others() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    scores = np.array([0.1, 0.3, 0.4, 0.6, 0.7, 0.9])
    parts = np.array([2, 2, 5, 5, 7, 7])
    found = cross_fitted(labels, scores, parts)
    assert found is not None
    assert found.thresholds == tuple(
        youden(labels[parts != part], scores[parts != part]) for part in (2, 5, 7)
    )
    assert found.calls.tolist() == [s >= found.thresholds[i // 2] for i, s in enumerate(scores)]


def test_chosen_on_the_same_cases_noise_would_flatter_itself() -> None:
    """Scores without any signal: the index of the cases' own threshold is high, cross-fitted 0."""
    own, fitted = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        labels, scores = np.repeat([0, 1], [28, 15]), random.random(43)
        chosen = youden(labels, scores)
        found = cross_fitted(labels, scores, np.arange(43) % 5)
        assert chosen is not None
        assert found is not None
        own.append(index_at(labels, scores, chosen))
        fitted.append(index_at(labels, found.calls.astype(float), 0.5))
    assert np.mean(own) > 0.13
    assert abs(np.mean(fitted)) < 0.06


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        pytest.param([0, 1, 0, 1], [0, 0, 0, 0], id="one fold"),
        pytest.param([0, 0, 1, 1], [0, 0, 1, 1], id="the others lack a class"),
        pytest.param([], [], id="no cases"),
    ],
)
def test_without_other_folds_there_is_no_threshold(labels: list[int], parts: list[int]) -> None:
    assert cross_fitted(labels, [0.1, 0.2, 0.3, 0.4][: len(labels)], parts) is None


def test_the_ensembles_threshold_is_the_mean_of_the_networks_own() -> None:
    labels, scores = np.tile([0, 0, 1, 1], 2), [0.1, 0.2, 0.6, 0.9, 0.5, 0.6, 0.8, 0.9]
    folds = np.repeat([0, 1], 4)
    assert ensemble_threshold(labels, scores, folds) == pytest.approx((0.4 + 0.7) / 2)


def test_a_shift_between_networks_moves_the_ensembles_threshold_by_its_mean() -> None:
    random = np.random.default_rng(0)
    folds, labels = np.arange(60) % 3, (np.arange(60) // 3) % 2
    scores = labels * 0.4 + random.normal(size=60) * 0.2
    plain = ensemble_threshold(labels, scores, folds)
    shifted = ensemble_threshold(labels, scores + np.array([0.0, 0.3, 0.6])[folds], folds)
    assert plain is not None
    assert shifted == pytest.approx(plain + 0.3)


def test_a_network_without_a_threshold_leaves_the_ensemble_without_one() -> None:
    assert ensemble_threshold([0, 1, 0, 0], [0.1, 0.9, 0.2, 0.3], [0, 0, 1, 1]) is None
    assert ensemble_threshold([], [], []) is None
