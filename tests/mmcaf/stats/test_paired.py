from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial, norm
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from mmcaf.stats.areas import delong
from mmcaf.stats.choice import chance, picked, with_chance
from mmcaf.stats.estimates import Outcomes
from mmcaf.stats.metrics import Proportion
from mmcaf.stats.paired import Discordant, Scored, compare_all, holm, mcnemar, smallest_gap


def two_methods(
    seed: int, *, cases: int = 43, same: float = 0.6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.array([1] * 15 + [0] * (cases - 15))
    shared = random.normal(size=cases)
    first, second = (
        np.round(labels + same * shared + (1 - same) * random.normal(size=cases), 1) for _ in "ab"
    )
    return labels, first, second


# --- McNemar


@pytest.mark.parametrize(("few", "many"), list(product(range(5), range(9))))
def test_mcnemar_agrees_with_statsmodels(few: int, many: int) -> None:
    expected = reference_mcnemar([[20, few], [many, 10]], exact=True).pvalue
    assert Discordant(few, many, 30 + few + many).p == pytest.approx(expected, abs=1e-12)


def test_mcnemar_counts_the_cases_only_one_got_right() -> None:
    labels = [1, 1, 1, 0, 0, 0]
    assert mcnemar(labels, [1, 1, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]) == Discordant(2, 1, 6)


def test_methods_that_never_differ_have_p_1() -> None:
    assert mcnemar([1, 0], [1, 1], [1, 1]).p == 1
    assert mcnemar([], [], []).p == 1


def test_scores_are_not_taken_for_calls() -> None:
    with pytest.raises(ValueError, match=r"got \[0.7\]; put scores to a threshold"):
        mcnemar([1, 0], [0.7, 0], [1, 0])


def test_a_difference_of_accuracies_is_covered_as_often_as_promised() -> None:
    """By enumeration of 43 cases; Wald's own interval covers 0.90 to 0.93 here."""
    n = 43
    for first, second in ((0.1, 0.1), (0.15, 0.05), (0.3, 0.1)):
        covered = sum(
            multinomial.pmf([a, b, n - a - b], n, [first, second, 1 - first - second])
            for a in range(n + 1)
            for b in range(n + 1 - a)
            if (found := Discordant(a, b, n).interval()) and found[0] <= first - second <= found[1]
        )
        assert 0.94 < covered < 0.985


def test_bonett_and_prices_interval() -> None:
    """Their formula, written out for 6 against 1 of 43."""
    low, high = Discordant(6, 1, 43).interval() or (0.0, 0.0)
    a, b = 7 / 45, 2 / 45
    half = norm.ppf(0.975) * np.sqrt((a + b - (a - b) ** 2) / 45)
    assert (low, high) == pytest.approx((a - b - half, a - b + half))
    assert Discordant(0, 0, 0).interval() is None


def test_who_is_right_more_often_is_as_likely_as_in_draws() -> None:
    draws = np.random.default_rng(0).beta(9.5, 4.5, 400_000)
    assert Discordant(9, 4, 60).higher == pytest.approx((draws > 0.5).mean(), abs=0.003)
    assert Discordant(0, 0, 0).higher is None


@given(st.integers(1, 400))
def test_the_smallest_gap_is_the_smallest(n: int) -> None:
    gap = smallest_gap(n)
    if gap is None:
        assert all(Discordant(k, 0, n).p >= 0.05 for k in range(1, n + 1))
    else:
        assert Discordant(gap.hits, 0, n).p < 0.05 <= Discordant(gap.hits - 1, 0, n).p


def test_the_gap_that_means_anything_at_43() -> None:
    assert smallest_gap(43) == Proportion(6, 43)
    assert smallest_gap(5) is None
    assert smallest_gap(43, alpha=0.01) == Proportion(8, 43)


# --- Holm


@pytest.mark.parametrize("seed", range(5))
def test_holm_agrees_with_statsmodels(seed: int) -> None:
    p_values = np.round(np.random.default_rng(seed).random(12) ** 3, 2).tolist()  # with ties
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(expected))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_holm_keeps_the_order_and_never_lowers(p_values: list[float]) -> None:
    found = holm(p_values)
    assert all(b is not None and a <= b <= 1 for a, b in zip(p_values, found, strict=True))
    ordered = [b for _, b in sorted(zip(p_values, found, strict=True))]
    assert all(low <= high for low, high in pairwise(ordered))  # type: ignore[operator]


def test_an_undefined_test_counts_for_the_family() -> None:
    assert holm([0.01, None]) == [0.02, None]
    assert holm([]) == []


@pytest.mark.parametrize("odd", [math.nan, -0.1, 1.1])
def test_a_p_value_that_is_none_is_refused(odd: float) -> None:
    with pytest.raises(ValueError, match=r"Need p values in \[0, 1\]"):
        holm([0.5, odd])


# --- all pairs


def made(seed: int) -> tuple[np.ndarray, dict[str, Scored]]:
    labels, first, second = two_methods(seed)
    poor = np.random.default_rng(0).normal(size=len(labels))
    named = {"a": first, "b": second, "poor": poor}
    return labels, {name: Scored(s, s >= 0.5) for name, s in named.items()}


def test_every_pair_is_tested_in_one_family() -> None:
    labels, methods = made(2)
    found = compare_all(labels, methods)
    assert [(t.first, t.second) for t in found] == [("a", "b"), ("a", "poor"), ("b", "poor")]
    assert {t.family for t in found} == {6}
    every = [p for t in found for p in (t.areas.p, t.decisions.p)]
    corrected = [p for t in found for p in (t.areas_p_holm, t.decisions_p_holm)]
    assert corrected == pytest.approx(list(multipletests(every, method="holm")[1]))
    assert found[1].areas == delong(labels, methods["a"].scores, methods["poor"].scores)


def test_what_was_chosen_is_tested_with_its_choice() -> None:
    labels, methods = made(2)
    folds = np.arange(len(labels)) // 2 % 3
    among = np.random.default_rng(1).normal(size=(20, len(labels)))
    outcomes = Outcomes(np.arange(len(labels)), folds, labels, among)
    index = picked(outcomes)
    assert index is not None
    chosen = Scored(among[index, np.arange(len(labels))], methods["a"].calls, among)
    (found,) = compare_all(labels, {"chosen": chosen, "b": methods["b"]}, folds=folds)
    plain = delong(labels, chosen.scores, methods["b"].scores, folds=folds)
    of_b = replace(outcomes, score=np.asarray(methods["b"].scores)[None])
    assert found.areas == with_chance(plain, chance(outcomes) - chance(of_b))


def test_one_method_against_all_others_is_a_smaller_family() -> None:
    labels, methods = made(2)
    found = compare_all(labels, methods, against="b")
    assert [(t.first, t.second, t.family) for t in found] == [("b", "a", 4), ("b", "poor", 4)]


def test_a_method_that_is_not_there_is_named_with_those_that_are() -> None:
    labels, methods = made(2)
    with pytest.raises(ValueError, match="out of a, b, poor; got 'c'"):
        compare_all(labels, methods, against="c")


def test_one_method_alone_has_nobody_to_be_compared_with() -> None:
    labels, methods = made(2)
    assert compare_all(labels, {"a": methods["a"]}) == ()


def test_mcnemar_agrees_with_the_sign_test() -> None:
    for a, b in product(range(12), repeat=2):
        expected = binomtest(a, a + b, 0.5).pvalue if a + b else 1.0
        assert Discordant(a, b, 50).p == pytest.approx(expected)
