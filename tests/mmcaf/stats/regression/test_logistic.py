"""Newton's method against scikit-learn, and its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Theirs
from sklearn.preprocessing import StandardScaler

from mmcaf.stats.regression.logistic import fit_logistic, out_of_fold

Array = np.ndarray[Any, np.dtype[Any]]


def data(rows: int = 120, seed: int = 0) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 4)) * [1, 10, 0.1, 3] + [0, 60, 5, -2]
    score = 1.5 * features[:, 0] - 0.1 * (features[:, 1] - 60)
    return features, (random.random(rows) < 1 / (1 + np.exp(-score))).astype(np.int64)


@pytest.mark.parametrize("ridge", [0.1, 1.0, 20.0])
def test_it_agrees_with_scikit_learn(ridge: float) -> None:
    features, labels = data()
    standard = StandardScaler().fit(features)
    theirs = Theirs(C=1 / ridge, tol=1e-10, max_iter=1000).fit(standard.transform(features), labels)
    ours = fit_logistic(features, labels, ridge=ridge)
    expected = [*theirs.intercept_, *theirs.coef_[0]]
    assert ours.coefficients == pytest.approx(expected, abs=1e-5)
    probability = theirs.predict_proba(standard.transform(features))[:, 1]
    assert ours.probability(features) == pytest.approx(probability, abs=1e-6)


def test_the_intercept_is_not_penalised() -> None:
    """So the mean probability is the share of positives, whatever the penalty."""
    features, labels = data()
    for ridge in (0.01, 1.0, 1e6):
        fitted = fit_logistic(features, labels, ridge=ridge)
        assert fitted.probability(features).mean() == pytest.approx(labels.mean(), abs=1e-8)
    assert np.abs(fitted.coefficients[1:]).max() < 1e-3


def test_units_do_not_matter() -> None:
    features, labels = data()
    other = features * [1000, 0.01, 5, -1] + 7
    ours, theirs = fit_logistic(features, labels), fit_logistic(other, labels)
    assert ours.probability(features) == pytest.approx(theirs.probability(other))


def test_a_constant_feature_says_nothing() -> None:
    features, labels = data()
    more = np.column_stack([features, np.full(len(features), 3.0)])
    fitted = fit_logistic(more, labels)
    assert fitted.coefficients[-1] == pytest.approx(0)
    assert fitted.probability(more) == pytest.approx(
        fit_logistic(features, labels).probability(features)
    )


def test_separated_classes_have_finite_coefficients() -> None:
    features = np.arange(20.0)[:, None]
    labels = (features[:, 0] >= 10).astype(np.int64)
    fitted = fit_logistic(features, labels)
    assert np.isfinite(fitted.coefficients).all()
    assert ((fitted.probability(features) > 0.5) == labels).all()


def test_far_away_it_is_certain_and_not_undefined() -> None:
    fitted = fit_logistic(*data())
    found = fitted.probability(np.array([[1e9, 60, 5, -2], [-1e9, 60, 5, -2]]))
    assert found.tolist() == [1.0, pytest.approx(0.0, abs=1e-200)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x, y: (x, np.zeros_like(y)), "Need both classes, got 0 positive of 120"),
        (lambda x, y: (x, np.ones_like(y)), "Need both classes, got 120 positive of 120"),
        (lambda x, y: (np.where(x == x[0, 0], np.nan, x), y), "Need finite features"),
        (lambda x, y: (np.where(x == x[0, 0], np.inf, x), y), "Need finite features"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fit_logistic(*change(*data()))


def test_one_case_of_a_class_is_enough() -> None:
    features, labels = data()
    for lone in (labels * 0, labels * 0 + 1):
        lone[7] = 1 - lone[7]
        fitted = fit_logistic(features, lone)
        assert fitted.probability(features).mean() == pytest.approx(lone.mean())


def test_out_of_fold_a_row_is_judged_by_the_others_alone() -> None:
    features, labels = data()
    parts = np.array_split(np.random.default_rng(1).permutation(120), 4)
    found = out_of_fold(features, labels, parts)
    assert np.isfinite(found).all()
    changed = labels.copy()
    changed[parts[2]] = 1 - changed[parts[2]]
    again = out_of_fold(features, changed, parts)
    assert again[parts[2]] == pytest.approx(found[parts[2]])
    assert np.abs(again[parts[0]] - found[parts[0]]).max() > 0.01


def test_rows_of_no_part_have_no_probability() -> None:
    features, labels = data()
    found = out_of_fold(features, labels, [np.arange(30)])
    assert np.isnan(found[30:]).all()
    assert np.isfinite(found[:30]).all()
