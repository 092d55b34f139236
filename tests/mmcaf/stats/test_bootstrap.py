from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn import metrics as reference

from mmcaf.stats.bootstrap import (
    Weighted,
    bootstrap_interval,
    draw_weights,
    weighted_auprc,
    weighted_brier,
    weighted_f1,
)
from mmcaf.stats.metrics import ConfusionMatrix


def area(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC under case weights: what scipy's bootstrap can be asked for as well."""
    sick, well = weights[:, labels == 1], weights[:, labels == 0]
    a, b = scores[labels == 1, None], scores[None, labels == 0]
    wins = (a > b) + 0.5 * (a == b)
    return ((sick @ wins) * well).sum(axis=1) / (sick.sum(axis=1) * well.sum(axis=1))


METRICS: dict[str, tuple[Weighted, object]] = {
    "auprc": (weighted_auprc, reference.average_precision_score),
    "brier": (weighted_brier, reference.brier_score_loss),
    "f1": (weighted_f1, reference.f1_score),
}


def drawn(seed: int, *, positives: int = 15, negatives: int = 28, signal: float = 1.0):  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [positives, negatives])
    scores = 1 / (1 + np.exp(-random.normal(signal * labels - signal / 2)))
    return labels, np.round(scores, 2)  # rounding makes ties


@pytest.mark.parametrize("name", METRICS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_weight_counts_a_case_that_often(name: str, seed: int) -> None:
    ours, theirs = METRICS[name]
    labels, scores = drawn(seed)
    if name == "f1":
        scores = (scores >= 0.5).astype(float)
    weights = draw_weights(labels, 3, seed)
    expected = [
        theirs(np.repeat(labels, times), np.repeat(scores, times))  # type: ignore[operator]
        for times in weights.astype(int)
    ]
    assert ours(labels, scores, weights) == pytest.approx(expected)


def test_each_resample_has_as_many_of_a_class_as_there_are() -> None:
    labels, _ = drawn(0)
    weights = draw_weights(labels, 50, seed=1)
    assert set(weights[:, labels == 1].sum(axis=1)) == {15}
    assert set(weights[:, labels == 0].sum(axis=1)) == {28}
    assert weights[:, labels == 1].mean() == pytest.approx(1)
    assert len(np.unique(weights, axis=0)) == 50


def scipys(labels: np.ndarray, scores: np.ndarray, method: str) -> tuple[float, float]:
    def statistic(positive: np.ndarray, negative: np.ndarray, axis: int = -1) -> np.ndarray:
        a, b = positive[..., :, None], negative[..., None, :]
        return ((a > b) + 0.5 * (a == b)).mean(axis=(-2, -1))

    found = scipy_bootstrap(
        (scores[labels == 1], scores[labels == 0]),
        statistic,
        n_resamples=20_000,
        method=method,
        rng=np.random.default_rng(0),
        batch=500,
    ).confidence_interval
    return found.low, found.high


@pytest.mark.parametrize(("kind", "method"), [("bca", "BCa"), ("percentile", "percentile")])
@pytest.mark.parametrize("signal", [1.0, 2.5])
def test_intervals_agree_with_scipys_two_sample_bootstrap(
    kind: str, method: str, signal: float
) -> None:
    labels, scores = drawn(4, signal=signal)
    found = bootstrap_interval(area, labels, scores, kind=kind, resamples=20_000)  # type: ignore[arg-type]
    assert found == pytest.approx(scipys(labels, scores, method), abs=0.004)


def test_bca_differs_from_percentile_where_the_spread_grows() -> None:
    labels, scores = drawn(4, signal=2.5)
    plain, corrected = (
        bootstrap_interval(area, labels, scores, kind=kind) for kind in ("percentile", "bca")
    )
    assert plain is not None
    assert corrected is not None
    assert corrected[0] < plain[0] - 0.005


def test_f1_of_the_papers_own_row() -> None:
    labels, calls = ConfusionMatrix(tp=10, fp=4, fn=5, tn=24).expanded()
    found = bootstrap_interval(weighted_f1, labels, calls, kind="percentile")
    assert found == pytest.approx((0.48, 0.86), abs=0.005)


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, scores = drawn(2)
    once, again, other = (
        bootstrap_interval(weighted_brier, labels, scores, seed=seed) for seed in (0, 0, 1)
    )
    assert once == again != other


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        pytest.param([], [], id="no cases"),
        pytest.param([1, 1, 1], [0.2, 0.4, 0.6], id="one class"),
        pytest.param([1, 0, 0], [0.2, 0.4, 0.6], id="a single positive"),
        pytest.param([1, 1, 0, 0], [0.5] * 4, id="all tied"),
        pytest.param([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], id="separated"),
    ],
)
def test_where_there_is_no_interval_there_is_none(labels: list[int], scores: list[float]) -> None:
    assert bootstrap_interval(area, labels, scores) is None


def test_no_case_called_positive_leaves_f1_without_an_interval() -> None:
    assert bootstrap_interval(weighted_f1, [1, 1, 0, 0], [0, 0, 0, 0]) is None


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 4 scores that are NaN"):
        bootstrap_interval(area, [1, 1, 0, 0], [0.1, np.nan, 0.2, 0.3])


def test_the_interval_covers_the_truth_about_as_often_as_promised() -> None:
    """BCa at 15 and 28 cases is a little short, which is why AUROC has another interval."""
    covered = []
    for seed in range(300):
        found = bootstrap_interval(area, *drawn(seed, signal=1.14), resamples=400)
        covered.append(found is not None and found[0] <= 0.790 <= found[1])
    assert 0.88 < np.mean(covered) < 0.98
