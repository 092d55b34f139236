from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact, norm
from statsmodels.stats.proportion import confint_proportions_2indep

from mmcaf.stats.areas import auroc_interval
from mmcaf.stats.metrics import Proportion
from mmcaf.stats.unpaired import (
    area_higher,
    difference_interval,
    fisher,
    hanley_mcneil,
    rate_higher,
    z_test,
)

SHARES = st.integers(1, 60).flatmap(
    lambda total: st.integers(0, total).map(lambda hits: Proportion(hits, total))
)


@given(SHARES, SHARES)
def test_fisher_agrees_with_scipy(first: Proportion, second: Proportion) -> None:
    table = [[p.hits, p.total - p.hits] for p in (first, second)]
    assert fisher(first, second) == pytest.approx(fisher_exact(table).pvalue)


def test_the_same_counts_differ_by_nothing() -> None:
    assert fisher(Proportion(10, 15), Proportion(10, 15)) == 1


def test_no_case_no_test() -> None:
    assert fisher(Proportion(0, 0), Proportion(3, 4)) is None


@given(SHARES, SHARES)
def test_the_difference_agrees_with_statsmodels(first: Proportion, second: Proportion) -> None:
    low, high = difference_interval(float(first), first.wilson(), float(second), second.wilson())
    expected = confint_proportions_2indep(
        first.hits, first.total, second.hits, second.total, compare="diff", method="newcomb"
    )
    assert (low, high) == pytest.approx(expected, abs=1e-9)
    assert -1 - 1e-9 <= low <= float(first) - float(second) <= high <= 1 + 1e-9


def by_formula(area: float, positives: int, negatives: int) -> float:
    """Standard error, equation (1) of Hanley and McNeil 1982."""
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return math.sqrt(spread / positives / negatives)


@pytest.mark.parametrize("area", [0.56, 0.786, 0.95])
def test_a_published_area_has_hanley_and_mcneils_error_on_the_logit_scale(area: float) -> None:
    ends = [math.log(b / (1 - b)) for b in hanley_mcneil(area, 15, 28)]
    assert np.mean(ends) == pytest.approx(math.log(area / (1 - area)))
    error = by_formula(area, 15, 28) / (area * (1 - area))
    assert np.ptp(ends) == pytest.approx(2 * norm.ppf(0.975) * error)


def test_intervals_of_the_papers_areas() -> None:
    assert hanley_mcneil(0.786, 15, 28) == pytest.approx((0.60, 0.90), abs=0.005)
    assert hanley_mcneil(0.613, 9, 25) == pytest.approx((0.38, 0.80), abs=0.005)


@pytest.mark.parametrize("area", [0.0, 1.0])
def test_a_perfect_published_area_excludes_nothing(area: float) -> None:
    assert hanley_mcneil(area, 15, 28) == (0.0, 1.0)


@pytest.mark.parametrize(("area", "positives"), [(1.2, 15), (0.8, 0)])
def test_an_impossible_area_is_refused(area: float, positives: int) -> None:
    with pytest.raises(ValueError, match=f"got {area:g} of {positives} positive"):
        hanley_mcneil(area, positives, 28)


def test_the_same_interval_has_p_1() -> None:
    one = hanley_mcneil(0.786, 15, 28)
    assert z_test(one, one) == pytest.approx(1)


def test_the_z_test_is_that_of_the_logits() -> None:
    def error(area: float) -> float:
        return by_formula(area, 15, 28) / (area * (1 - area))

    z = (norm_logit(0.95) - norm_logit(0.6)) / math.hypot(error(0.95), error(0.6))
    found = z_test(hanley_mcneil(0.95, 15, 28), hanley_mcneil(0.6, 15, 28))
    assert found == pytest.approx(2 * norm.sf(z))


def norm_logit(area: float) -> float:
    return math.log(area / (1 - area))


def test_an_interval_that_excludes_nothing_gives_no_p() -> None:
    assert z_test((0.0, 1.0), hanley_mcneil(0.786, 15, 28)) is None


def test_two_equal_methods_on_different_patients_seldom_differ() -> None:
    random, labels = np.random.default_rng(1), np.repeat([0, 1], [28, 15])
    found = [
        z_test(*(auroc_interval(labels, random.normal(1.1 * labels)) for _ in "ab"))
        for _ in range(1000)
    ]
    rejected = np.mean([p is not None and p < 0.05 for p in found])
    assert 0.01 < rejected < 0.07


@pytest.mark.parametrize(
    ("ours", "theirs"), [((12, 15), (18, 28)), ((0, 9), (3, 7)), ((40, 40), (27, 28))]
)
def test_a_rate_is_the_higher_one_as_often_as_in_draws(
    ours: tuple[int, int], theirs: tuple[int, int]
) -> None:
    random = np.random.default_rng(0)
    a, b = (random.beta(h + 0.5, n - h + 0.5, 400_000) for h, n in (ours, theirs))
    found = rate_higher(Proportion(*ours), Proportion(*theirs))
    assert found == pytest.approx((a > b).mean(), abs=0.003)
    assert rate_higher(Proportion(*theirs), Proportion(*ours)) == pytest.approx(
        1 - (found or 0), abs=1e-4
    )


def test_a_probability_of_a_rate_means_what_it_says() -> None:
    """Of rates drawn from what is assumed before, the higher one is named as often as promised."""
    random = np.random.default_rng(1)
    told, true = np.empty(1500), np.empty(1500, dtype=bool)
    for i in range(1500):
        first, second = random.beta(0.5, 0.5, 2)
        ours = Proportion(int(random.binomial(20, first)), 20)
        theirs = Proportion(int(random.binomial(43, second)), 43)
        told[i], true[i] = rate_higher(ours, theirs) or 0.0, first > second
    for part in (told > 0.9, np.abs(told - 0.5) < 0.3, told < 0.1):
        error = np.sqrt(np.mean(told[part] * (1 - told[part])) / part.sum())
        assert true[part].mean() == pytest.approx(told[part].mean(), abs=3 * error)


def test_an_area_is_the_higher_one_with_the_chance_of_the_one_sided_test() -> None:
    first, second = hanley_mcneil(0.9, 40, 60), hanley_mcneil(0.786, 15, 28)
    p = z_test(first, second)
    assert p is not None
    assert area_higher(first, second) == pytest.approx(1 - p / 2)
    assert area_higher(second, first) == pytest.approx(p / 2)
    assert area_higher(first, (0.0, 1.0)) is None


def test_no_case_no_probability() -> None:
    assert rate_higher(Proportion(0, 0), Proportion(3, 4)) is None
