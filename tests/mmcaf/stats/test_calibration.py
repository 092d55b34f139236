from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import d2_brier_score

from mmcaf.stats.calibration import calibration, reliability

CASES = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


def drawn(
    seed: int, cases: int = 200, *, slope: float = 1.0, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities whose logits are wrong by `slope` and `shift`."""
    random = np.random.default_rng(seed)
    logits = random.normal(-0.5, 1.5, cases)
    labels = (random.random(cases) < 1 / (1 + np.exp(-logits))).astype(int)
    return labels, 1 / (1 + np.exp(-(logits - shift) / slope))


@pytest.mark.parametrize("seed", range(3))
def test_slope_and_intercept_agree_with_statsmodels(seed: int) -> None:
    labels, p = drawn(seed, slope=0.5, shift=0.7)
    logits = np.log(p / (1 - p))
    fitted = sm.Logit(labels, sm.add_constant(logits)).fit(disp=0)
    large = sm.GLM(labels, np.ones(len(labels)), family=sm.families.Binomial(), offset=logits).fit()
    found = calibration(labels, p)
    for ours, theirs, index in ((found.slope, fitted, 1), (found.intercept, large, 0)):
        assert ours is not None
        low, high = theirs.conf_int()[index]
        assert (ours.value, ours.low, ours.high) == pytest.approx(
            (theirs.params[index], low, high), abs=1e-6
        )


def test_too_sure_and_too_high_are_told_apart() -> None:
    sure = calibration(*drawn(1, 3000, slope=0.5)).slope
    high = calibration(*drawn(1, 3000, shift=-1.0)).intercept
    assert sure is not None
    assert high is not None
    assert sure.value == pytest.approx(0.5, abs=0.06)
    assert high.value == pytest.approx(-1.0, abs=0.12)


def test_skill_agrees_with_scikit_learn() -> None:
    labels, p = drawn(2)
    found = calibration(labels, p)
    assert found.skill == pytest.approx(d2_brier_score(labels, p))
    assert found.brier == pytest.approx(np.mean((labels - p) ** 2))
    assert found.brier_interval is not None
    assert found.brier_interval[0] < found.brier < found.brier_interval[1]


def test_bins_agree_with_scikit_learns_quantiles() -> None:
    labels, p = drawn(3, 100)
    observed, predicted = calibration_curve(labels, p, n_bins=5, strategy="quantile")
    found = reliability(labels, p)
    assert [float(b.observed) for b in found] == pytest.approx(observed)
    assert [b.predicted for b in found] == pytest.approx(predicted)
    assert [b.observed.total for b in found] == [20] * 5


@given(CASES, st.integers(1, 5))
def test_bins_hold_every_case_once_and_rise(cases: list[tuple[int, float]], bins: int) -> None:
    labels, p = (np.array(column) for column in zip(*cases, strict=True))
    found = reliability(labels, p, bins)
    assert len(found) <= bins
    assert sum(b.observed.total for b in found) == len(labels)
    assert sum(b.observed.hits for b in found) == labels.sum()
    means = [b.predicted for b in found]
    assert means == sorted(means)


def test_cases_of_one_probability_stay_together() -> None:
    found = reliability([0, 1, 0, 1, 1, 1], [0.3, 0.3, 0.3, 0.3, 0.3, 0.9])
    assert [(b.observed.hits, b.observed.total) for b in found] == [(2 + 1, 5), (1, 1)]


def test_a_bin_has_wilsons_interval() -> None:
    (only,) = reliability([0, 1, 1], [0.5] * 3)
    assert only.interval == only.observed.wilson()


def test_more_bins_than_patients_can_fill_are_refused() -> None:
    with pytest.raises(ValueError, match="Need 1 to 5 bins, got 10"):
        reliability([0, 1], [0.2, 0.8], bins=10)


def test_classes_that_do_not_overlap_have_no_slope() -> None:
    found = calibration([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert found.slope is None
    assert found.intercept is not None


def test_probabilities_that_are_all_one_have_no_slope() -> None:
    assert calibration([0, 1, 0, 1], [0.4] * 4).slope is None


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0]])
def test_one_class_has_neither_skill_nor_intercept_nor_slope(labels: list[int]) -> None:
    found = calibration(labels, [0.2, 0.4, 0.6])
    assert (found.skill, found.intercept, found.slope, found.brier_interval) == (None,) * 4
    assert found.brier is not None


def test_no_cases_have_no_calibration() -> None:
    found = calibration([], [])
    assert (found.n, found.brier, found.skill, found.slope, found.bins) == (0, None, None, None, ())


def test_certain_probabilities_are_finite() -> None:
    found = calibration([0, 1, 0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    assert found.intercept is not None
    assert found.slope is not None
    assert np.isfinite([found.intercept.value, found.slope.value]).all()


@pytest.mark.parametrize("odd", [np.nan, 1.5])
def test_what_is_no_probability_is_refused(odd: float) -> None:
    with pytest.raises(ValueError, match=r"NaN|in \[0, 1\]"):
        calibration([0, 1], [0.5, odd])
