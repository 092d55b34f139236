"""Proximal gradient against scikit-learn, its limits, and the choice of a penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mmcaf.stats.areas import auroc
from mmcaf.stats.regression.elastic_net import Penalty, choose_penalty, fit_elastic_net, penalties
from mmcaf.stats.regression.logistic import fit_logistic

Array = np.ndarray[Any, np.dtype[Any]]
Data = tuple[Array, Array]
GRID = penalties()


def _data(rows: int = 232, seed: int = 0) -> Data:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 7)) @ (np.eye(7) + 0.3 * rng.normal(size=(7, 7)))
    features = (features - features.mean(0)) / features.std(0)
    score = features @ [1.0, -0.7, 0.5, 0, 0, 0, 0.2] - 1.5
    return features, (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(np.int64)


@pytest.fixture(scope="module")
def data() -> Data:
    return _data()


@pytest.mark.parametrize("penalty", [p for p in GRID if p.l1_ratio in (0.01, 0.5, 0.99)], ids=str)
def test_it_agrees_with_scikit_learn(data: Data, penalty: Penalty) -> None:
    features, labels = data
    theirs = LogisticRegression(
        C=penalty.strength,
        l1_ratio=penalty.l1_ratio,
        class_weight=None if penalty.class_weight == "none" else "balanced",
        solver="saga",
        max_iter=20_000,
        tol=1e-8,
    ).fit(features, labels)
    [ours] = fit_elastic_net(features, labels, [penalty])
    np.testing.assert_allclose(ours.coefficients, theirs.coef_[0], atol=1e-3)
    if not ours.constant:  # theirs stops at once where no coefficient moves
        assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_settings_fitted_together_are_those_fitted_alone(data: Data) -> None:
    together = fit_elastic_net(*data, GRID)
    for penalty, model in list(zip(GRID, together, strict=True))[::7]:
        [alone] = fit_elastic_net(*data, [penalty])
        np.testing.assert_allclose(model.coefficients, alone.coefficients, atol=1e-7)


def test_without_l1_it_is_ridge(data: Data) -> None:
    [ours] = fit_elastic_net(*data, [Penalty(1.0, 0.0)])
    ridge = fit_logistic(*data, ridge=1.0)
    np.testing.assert_allclose(ours.coefficients, ridge.coefficients[1:], atol=1e-6)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_without_a_penalty_it_is_plain_logistic_regression(data: Data, l1_ratio: float) -> None:
    [ours] = fit_elastic_net(*data, [Penalty(1e6, l1_ratio)])
    plain = fit_logistic(*data, ridge=1e-9)
    np.testing.assert_allclose(ours.coefficients, plain.coefficients[1:], atol=1e-4)


def test_a_heavy_lasso_is_constant_and_calls_the_prevalence(data: Data) -> None:
    features, labels = data
    [model] = fit_elastic_net(features, labels, [Penalty(1e-3, 0.99)])
    assert model.constant
    assert 1 / (1 + np.exp(-model.intercept)) == pytest.approx(labels.mean(), abs=1e-6)


def test_what_is_given_is_not_searched() -> None:
    assert len(GRID) == 60
    assert penalties(2.0, 0.2, "none") == (Penalty(2.0, 0.2),)
    assert {p.strength for p in penalties(l1_ratio=0.2)} == {1e-3, 0.1, 1.0, 10.0, 1000.0}


def test_the_choice_rejects_what_is_constant() -> None:
    rng = np.random.default_rng(3)  # noise: every other setting is worse than 0.5
    features, labels = rng.normal(size=(40, 7)), np.arange(40) % 2
    weak, heavy = Penalty(1.0, 0.5), Penalty(1e-3, 0.99)
    assert choose_penalty(features, labels, [heavy, weak], seed=1) == weak
    with pytest.raises(ValueError, match="Every penalty leaves all coefficients at 0"):
        choose_penalty(features, labels, [heavy])


def test_the_choice_rejects_what_is_constant_in_a_fold(data: Data) -> None:
    features, labels = data
    least = 1 / np.abs(features.T @ (labels - labels.mean())).max()  # that frees a coefficient
    barely = Penalty(1.02 * least, 1.0)  # and no more on four fifths of the rows
    [model] = fit_elastic_net(features, labels, [barely])
    assert not model.constant
    with pytest.raises(ValueError, match="Every penalty leaves all coefficients at 0"):
        choose_penalty(features, labels, [barely])


def test_the_choice_takes_the_stronger_of_equals(data: Data) -> None:
    clear = np.where(data[1][:, None] == 1, 1.0, -1.0) * np.ones((1, 7))
    chosen = choose_penalty(clear, data[1], [Penalty(10.0, 0.1), Penalty(0.1, 0.1)])
    assert chosen.strength == 0.1


def test_the_choice_is_a_good_one_and_repeats(data: Data) -> None:
    chosen = choose_penalty(*data, GRID)
    assert chosen == choose_penalty(*data, GRID)
    [model] = fit_elastic_net(*data, [chosen])
    assert auroc(data[1], model.logit(data[0])) > 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, np.zeros_like(y)), "Need both classes, got 0 positive of 232"),
        (lambda x, y: (np.where(x > 2, np.nan, x), y), "Need finite features"),
    ],
)
def test_what_cannot_be_fitted_is_told(
    data: Data, change: Callable[..., Data], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_elastic_net(*change(*data), [Penalty(1.0, 0.5)])


def test_too_few_cases_for_the_folds_are_told(data: Data) -> None:
    features, labels = data
    few = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:3]])
    with pytest.raises(ValueError, match="at least 5 cases of each class for 5 folds, got 3"):
        choose_penalty(features[few], labels[few], GRID)
