from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_curve

from mmcaf.stats.areas import auroc
from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.stats.roc import decision_curve, roc, roc_band

CASES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=30)

FOLDED = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=24
)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [28, 15])
    return labels, np.round(1 / (1 + np.exp(-random.normal(labels - 0.5))), 2)


@given(CASES)
def test_corners_are_scikit_learns_and_their_area_is_the_auroc(
    cases: list[tuple[int, int]],
) -> None:
    labels, scores = np.array(cases).T
    found = roc(labels, scores)
    if not 0 < labels.sum() < len(labels):
        assert found is None
        return
    assert found is not None
    x, y = found.false_positive_rate, found.sensitivity
    for fpr, tpr in zip(*roc_curve(labels, scores, drop_intermediate=False)[:2], strict=True):
        here = y[np.isclose(x, fpr)] if np.isclose(x, fpr).any() else [np.interp(fpr, x, y)]
        assert min(here) - 1e-9 <= tpr <= max(here) + 1e-9
    area = auc(found.false_positive_rate, found.sensitivity)
    assert area == pytest.approx(auroc(labels, scores))


@given(FOLDED)
def test_the_area_of_folds_curve_is_the_auroc_within_folds(
    rows: list[tuple[int, int, int]],
) -> None:
    labels, scores, folds = np.array(rows).T
    found = roc(labels, scores, folds)
    expected = auroc(labels, scores, folds)
    if found is None:
        assert np.isnan(expected)
        return
    fpr, tpr = found.false_positive_rate, found.sensitivity
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= -1e-12).all()
    assert [fpr[0], tpr[0], fpr[-1], tpr[-1]] == [0, 0, 1, 1]
    assert auc(fpr, tpr) == pytest.approx(expected)


def test_a_shift_between_folds_moves_neither_curve_nor_band() -> None:
    labels, scores = drawn(0)
    folds = np.arange(len(labels)) % 3
    moved = scores + np.array([0.0, 9.0, -4.0])[folds]
    for made in (roc, roc_band):
        here, there = made(labels, scores, folds), made(labels, moved, folds)
        assert all(
            np.allclose(getattr(here, name), getattr(there, name)) for name in here.__slots__
        )


def test_the_band_holds_the_curve_and_widens_with_confidence() -> None:
    labels, scores = drawn(0)
    curve, band = roc(labels, scores), roc_band(labels, scores)
    wide = roc_band(labels, scores, confidence=0.99)
    assert curve is not None
    assert band is not None
    assert wide is not None
    inside = np.interp(band.false_positive_rate, curve.false_positive_rate, curve.sensitivity)
    assert ((band.low <= inside) & (inside <= band.high)).mean() > 0.95
    assert (wide.high - wide.low).mean() > 1.1 * (band.high - band.low).mean()
    assert (band.high[-1], band.low[-1]) == (1, 1)


def test_the_band_covers_the_true_curve_about_as_often_as_promised() -> None:
    from scipy.stats import norm

    rate = 0.3
    truth = norm.sf(norm.isf(rate) - 1)
    covered = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        labels = np.repeat([0, 1], [28, 15])
        band = roc_band(labels, random.normal(labels), resamples=200, points=11)
        assert band is not None
        covered.append(band.low[3] <= truth <= band.high[3])
    assert 0.86 < np.mean(covered) < 0.99


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 1], []])
def test_without_two_of_a_class_there_is_no_band(labels: list[int]) -> None:
    assert roc_band(labels, [0.1, 0.2, 0.3][: len(labels)]) is None


def test_all_tied_scores_are_the_diagonal() -> None:
    found = roc([0, 1, 0, 1], [0.5] * 4)
    assert found is not None
    assert found.false_positive_rate.tolist() == found.sensitivity.tolist() == [0, 1]


def test_net_benefit_counts_true_positives_less_weighed_false_ones() -> None:
    labels, p = drawn(1)
    found = decision_curve(labels, p)
    assert found is not None
    for t, value in zip(found.threshold, found.model, strict=True):
        m = ConfusionMatrix.from_scores(labels, p, threshold=t)
        assert value == pytest.approx(m.tp / 43 - m.fp / 43 * t / (1 - t))
    assert found.low is not None
    assert found.high is not None
    assert ((found.low <= found.model) & (found.model <= found.high)).mean() > 0.95


def test_treating_all_is_worth_nothing_at_the_prevalence() -> None:
    labels, p = drawn(1)
    found = decision_curve(labels, p, thresholds=[15 / 43, 0.01])
    assert found is not None
    assert found.treat_all[0] == pytest.approx(0)
    assert found.treat_all[1] == pytest.approx(15 / 43 - 28 / 43 * 0.01 / 0.99)


def test_one_class_has_a_curve_without_a_band() -> None:
    found = decision_curve([1, 1], [0.3, 0.6], thresholds=[0.5])
    assert found is not None
    assert (found.model[0], found.low, found.high) == (0.5, None, None)


def test_no_cases_have_no_decision_curve() -> None:
    assert decision_curve([], []) is None


def test_logits_and_thresholds_outside_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\], got values from -2 to 3"):
        decision_curve([0, 1], [-2.0, 3.0])
    with pytest.raises(ValueError, match="Need thresholds between 0 and 1, got 0 to 1"):
        decision_curve([0, 1], [0.2, 0.3], thresholds=[0, 0.5, 1])


def test_folds_of_one_class_each_have_neither_curve_nor_band() -> None:
    labels, scores, folds = [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]
    assert roc(labels, scores, folds) is None
    assert roc_band(labels, scores, folds) is None
