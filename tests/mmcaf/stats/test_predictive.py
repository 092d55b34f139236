"""PPV and NPV at a prevalence: beside Bayes' rule, a root finder, and every possible outcome."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom, norm

from mmcaf.stats.metrics import ConfusionMatrix, Proportion
from mmcaf.stats.predictive import predictive

COUNTS = st.builds(ConfusionMatrix, *[st.integers(0, 30)] * 4)
TRUTHS = [(se, sp) for se in (0.6, 0.75, 0.9, 0.97) for sp in (0.6, 0.75, 0.9, 0.97, 0.99)]


def test_at_the_cases_own_share_they_are_those_of_the_matrix() -> None:
    counts = ConfusionMatrix(tp=34, fp=43, fn=12, tn=180)
    found = predictive(counts, 46 / 269)
    assert found.ppv.value == pytest.approx(float(counts.rates()["ppv"]))
    assert found.npv.value == pytest.approx(float(counts.rates()["npv"]))


@given(COUNTS, st.floats(0.01, 0.99))
def test_they_are_bayes_rule_and_lie_within_their_intervals(
    counts: ConfusionMatrix, prevalence: float
) -> None:
    found, rates = predictive(counts, prevalence), counts.rates()
    for one in (found.ppv, found.npv):
        assert 0 <= one.low <= one.high <= 1
        assert one.value is None or one.low - 1e-9 <= one.value <= one.high + 1e-9
    se, sp = float(rates["sensitivity"]), float(rates["specificity"])
    called = se * prevalence + (1 - sp) * (1 - prevalence)
    if called > 0:
        assert found.ppv.value == pytest.approx(se * prevalence / called)
    elif called == 0:
        assert found.ppv.value is None


def test_the_bounds_of_the_ratio_are_those_where_the_difference_could_be_none() -> None:
    """Fieller's argument: R is the bound at which that of a - R b, recovered, is 0."""
    a, b = Proportion(34, 46), Proportion(43, 223)

    def lower(ratio: float) -> float:
        below = (float(a) - a.wilson()[0]) ** 2 + ratio**2 * (b.wilson()[1] - float(b)) ** 2
        return float(a) - ratio * float(b) - sqrt(below)

    def upper(ratio: float) -> float:
        above = (a.wilson()[1] - float(a)) ** 2 + ratio**2 * (float(b) - b.wilson()[0]) ** 2
        return float(a) - ratio * float(b) + sqrt(above)

    found = predictive(ConfusionMatrix(tp=34, fp=43, fn=12, tn=180), 0.5).ppv
    ratios = [bound / (1 - bound) for bound in (found.low, found.high)]
    assert ratios == pytest.approx([brentq(f, 0.01, 100) for f in (lower, upper)], abs=1e-6)


@pytest.mark.parametrize(("sick", "well"), [(15, 28), (46, 223)])
def test_coverage_is_near_95_and_the_interval_narrower_than_the_logits(
    sick: int, well: int
) -> None:
    """By enumeration of all outcomes; Mercaldo's logit interval where it exists, else [0, 1]."""
    pi, z = 0.2, norm.ppf(0.975)
    found = [
        [predictive(ConfusionMatrix(h, well - c, sick - h, c), pi).ppv for c in range(well + 1)]
        for h in range(sick + 1)
    ]
    bounds = np.array([[(one.low, one.high) for one in row] for row in found])
    h, c = np.arange(sick + 1)[:, None], np.arange(well + 1)[None]
    with np.errstate(divide="ignore", invalid="ignore"):
        se, sp = h / sick, c / well
        logit = np.log(se * pi / ((1 - sp) * (1 - pi)))
        half = z * np.sqrt((1 - se) / se / sick + sp / (1 - sp) / well)
        low, high = (1 / (1 + np.exp(-(logit + sign * half))) for sign in (-1, 1))
    theirs = np.where(np.isfinite(half) & np.isfinite(logit), high - low, 1.0)
    cover, width, logit_width = [], [], []
    for se_, sp_ in TRUTHS:
        chance = np.outer(
            binom.pmf(range(sick + 1), sick, se_), binom.pmf(range(well + 1), well, sp_)
        )
        truth = se_ * pi / (se_ * pi + (1 - sp_) * (1 - pi))
        inside = (bounds[..., 0] <= truth) & (truth <= bounds[..., 1])
        cover.append(float((chance * inside).sum()))
        width.append(float((chance * (bounds[..., 1] - bounds[..., 0])).sum()))
        logit_width.append(float((chance * theirs).sum()))
    assert min(cover) > 0.94
    assert 0.95 < np.mean(cover) < 0.97
    assert np.mean(width) < np.mean(logit_width) * 0.9


def test_perfect_and_empty_tests_have_an_interval() -> None:
    perfect = predictive(ConfusionMatrix(tp=10, fp=0, fn=0, tn=20), 0.1)
    assert (perfect.ppv.value, perfect.ppv.high) == (1.0, 1.0)
    assert 0.1 < perfect.ppv.low < 1
    silent = predictive(ConfusionMatrix(tp=0, fp=0, fn=10, tn=20), 0.1).ppv
    assert (silent.value, silent.low, silent.high) == (None, 0.0, 1.0)
    alone = predictive(ConfusionMatrix(tp=5, fp=0, fn=5, tn=0), 0.1)
    assert (alone.ppv.value, alone.ppv.low, alone.ppv.high) == (None, 0.0, 1.0)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.2, 20.0])
def test_a_prevalence_is_a_share(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"Need a prevalence between 0 and 1, got {wrong:g}"):
        predictive(ConfusionMatrix(1, 1, 1, 1), wrong)
