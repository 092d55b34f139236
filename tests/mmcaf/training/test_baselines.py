from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from mmcaf.data.splits import Fold, Protocol, Split, assign
from mmcaf.stats.regression.logistic import fit_logistic, out_of_fold
from mmcaf.training.baselines import BASELINES, out_of_fold_baselines
from support.small_cohort import small_cohort


def cohort() -> tuple[pl.DataFrame, Split]:
    random = np.random.default_rng(1)
    rows = pl.concat([small_cohort().rows.with_columns(case=pl.col("case") + x) for x in "abcd"])
    size = np.exp(3.8 + 0.5 * rows["label"].to_numpy() + random.normal(0, 0.3, rows.height))
    rows = rows.with_columns(max_diam_mm=pl.Series(size))
    names = rows["case"].to_list()
    return rows, assign(names, rows["label"].to_list(), names, protocol=Protocol(folds=3))


def test_coefficients_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(80, 3)) * (1, 10, 0.1) + (5, 0, 2)
    labels = (features[:, 0] + random.normal(size=80) > 5).astype(np.int64)
    found = fit_logistic(features, labels)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    theirs = LogisticRegression(tol=1e-10, max_iter=1000).fit(standard, labels)
    expected = [*theirs.intercept_, *theirs.coef_[0]]
    assert found.coefficients == pytest.approx(expected, abs=1e-5)
    assert found.probability(features) == pytest.approx(theirs.predict_proba(standard)[:, 1])


def test_classes_that_separate_wholly_still_have_finite_coefficients() -> None:
    found = fit_logistic(np.arange(10.0)[:, None], (np.arange(10) > 4).astype(np.int64))
    assert np.isfinite(found.coefficients).all()


def test_a_feature_that_never_varies_says_nothing() -> None:
    found = fit_logistic(np.ones((4, 1)), np.array([0, 1, 1, 1]))
    assert found.probability(np.ones((1, 1))) == pytest.approx(0.75)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_one_class_is_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="Need both classes"):
        fit_logistic(np.zeros((3, 1)), np.array(labels))


def test_a_missing_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="finite features"):
        fit_logistic(np.array([[np.nan], [1.0]]), np.array([0, 1]))


def test_no_row_is_scored_by_a_model_that_saw_it() -> None:
    labels = np.array([0, 1] * 10)
    memory = np.eye(20)  # a feature per row: only a leak could tell the row's class
    found = out_of_fold(memory, labels, np.split(np.arange(20), 10))
    assert np.ptp(found) < 1e-9


def test_every_validation_case_is_scored_once() -> None:
    rows, split = cohort()
    for name, found in out_of_fold_baselines(rows, split).items():
        assert found["case"].to_list() == sorted(rows["case"]), name
        assert found["probability"].is_between(0, 1).all()
    assert len(BASELINES) == 2


def test_perturbing_a_validation_row_changes_no_other_score() -> None:
    rows, split = cohort()
    one = Split((), (split.folds[0],))
    victim = split.folds[0].val[0]
    struck = rows.with_columns(
        pl.when(pl.col("case") == victim).then(1e6).otherwise(pl.col(name)).alias(name)
        for name in ("age_years", "weight_kg", "max_diam_mm")
    )
    first, second = out_of_fold_baselines(rows, one), out_of_fold_baselines(struck, one)
    others = pl.col("case") != victim
    for name in first:
        assert first[name].filter(others).equals(second[name].filter(others))
        assert not first[name].equals(second[name])


def test_a_patient_without_a_box_counts_as_the_median() -> None:
    rows, split = cohort()
    fold = Fold(train=split.folds[0].train, val=split.folds[0].val[:2])
    sizes = rows.filter(pl.col("case").is_in(list(fold.train)))["max_diam_mm"]
    values = [None, float(np.exp(np.median(np.log(sizes.to_numpy()))))]
    for case, value in zip(fold.val, values, strict=True):
        chosen = pl.when(pl.col("case") == case).then(value)
        rows = rows.with_columns(max_diam_mm=chosen.otherwise("max_diam_mm"))
    found = out_of_fold_baselines(rows, Split((), (fold,)))
    first, second = found[list(BASELINES)[1]]["probability"]
    assert first == pytest.approx(second)
