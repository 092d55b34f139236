"""AUROC, its interval and its paired difference, of one network's scores and within folds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student
from sklearn import metrics as reference

from mmcaf.stats.areas import (
    auroc,
    auroc_interval,
    auroc_standard_error,
    delong,
    fold_shift,
)

CASES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=30)


def drawn(seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], random.integers(0, 2, size - 2)])
    return labels, np.round(random.random(size), 1)  # rounding makes ties


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


@pytest.mark.parametrize("seed", range(5))
def test_auroc_agrees_with_scikit_learn_under_ties(seed: int) -> None:
    labels, scores = drawn(seed)
    assert auroc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))


def test_all_scores_tied_give_an_auroc_of_one_half() -> None:
    assert auroc([0, 1, 0, 1], [0.3] * 4) == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_auroc(label: int) -> None:
    assert math.isnan(auroc([label] * 3, [0.1, 0.2, 0.3]))


def test_auroc_of_no_cases_is_nan() -> None:
    assert math.isnan(auroc([], []))


@given(CASES)
def test_reversed_scores_reverse_the_auroc(cases: list[tuple[int, int]]) -> None:
    labels, scores = np.array(cases).T
    if 0 < labels.sum() < len(labels):
        assert auroc(labels, scores) + auroc(labels, -scores) == pytest.approx(1)


def delong_by_pairs(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The textbook form: structural components from the matrix of all pairs."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    kernel = np.array([[1.0 * (p > n) + 0.5 * (p == n) for n in negative] for p in positive])
    variance = np.var(kernel.mean(1), ddof=1) / len(positive)
    variance += np.var(kernel.mean(0), ddof=1) / len(negative)
    return kernel.mean(), math.sqrt(variance)


@pytest.mark.parametrize("seed", range(5))
def test_standard_error_agrees_with_delongs_pairs(seed: int) -> None:
    labels, scores = drawn(seed)
    _, expected = delong_by_pairs(labels, scores)
    assert auroc_standard_error(labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("truth", [0.72, 0.85, 0.97, 0.99])
@pytest.mark.parametrize(("positives", "negatives"), [(15, 28), (40, 196)])
def test_an_interval_covers_the_truth_as_often_as_promised(
    positives: int, negatives: int, truth: float, folds: int
) -> None:
    """Normal scores of a known area, also where positive cases are spread 2.5 times as widely,
    which left plain logit-DeLong with 0.84 at 0.97."""
    random = np.random.default_rng(0)
    labels = np.repeat([1, 0], [positives, negatives])
    of = np.concatenate([np.arange(positives) % folds, np.arange(negatives) % folds])
    for spread in (1.0, 2.5):
        shift = norm.ppf(truth) * math.hypot(1, spread)
        scale = np.where(labels == 1, spread, 1)
        bounds = [
            auroc_interval(labels, random.normal(labels * shift, scale), folds=of)
            for _ in range(250)
        ]
        # 0.95 less three standard errors of 250 draws
        assert np.mean([low <= truth <= high for low, high in bounds]) > 0.908


def test_an_interval_is_not_much_wider_than_delongs() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([1, 0], [40, 196])
    ratios = []
    for _ in range(30):
        scores = random.normal(labels * 1.2)
        area, error = delong_by_pairs(labels, scores)
        half = norm.ppf(0.975) * error / (area * (1 - area))
        low, high = expit(np.array([-half, half]) + math.log(area / (1 - area)))
        found = auroc_interval(labels, scores)
        ratios.append((found[1] - found[0]) / (high - low))
    assert 1 <= np.mean(ratios) < 1.05


@pytest.mark.parametrize("smaller", [2, 8, 15])
def test_separated_classes_have_a_one_sided_bound(smaller: int) -> None:
    """Of `smaller` disjoint pairs, each right with the chance A, all are right with A^smaller."""
    labels = np.repeat([1, 0], [smaller, 28])
    bound = 0.025 ** (1 / smaller)
    assert auroc_interval(labels, labels) == (pytest.approx(bound), 1.0)
    assert auroc_interval(labels, -labels) == (0.0, pytest.approx(1 - bound))
    folds = np.concatenate([np.arange(smaller), np.arange(28)]) % 2
    assert auroc_interval(labels, labels, folds=folds)[0] == pytest.approx(bound)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        pytest.param([0, 0, 1], [0.1, 0.9, 0.5], id="a single positive"),
        pytest.param([1, 1, 1], [0.1, 0.9, 0.5], id="one class"),
        pytest.param([0, 0, 1, 1], [0.5] * 4, id="all tied"),
    ],
)
def test_an_interval_that_cannot_be_known_excludes_nothing(
    labels: list[int], scores: list[float]
) -> None:
    assert auroc_interval(labels, scores) == (0.0, 1.0)


@given(CASES)
def test_an_interval_holds_its_area(cases: list[tuple[int, int]]) -> None:
    labels, scores = np.array(cases).T
    low, high = auroc_interval(labels, scores)
    assert 0 <= low <= high <= 1
    if 0 < labels.sum() < len(labels):
        assert low - 1e-12 <= auroc(labels, scores) <= high + 1e-12


# --- paired


def by_brute_force(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[float, float]:
    """Difference and its standard error from the U statistic's jackknife: no formula of DeLong's.

    Leaving a case out of one class changes the mean over pairs; the variance of what is left is the
    two-sample jackknife's, which DeLong's equals exactly.
    """

    def area(scores: np.ndarray, sick: list[int], well: list[int]) -> float:
        total = 0.0
        for i in sick:
            for j in well:
                total += 1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0
        return total / (len(sick) * len(well))

    sick = [i for i, label in enumerate(labels) if label == 1]
    well = [i for i, label in enumerate(labels) if label == 0]

    def gap(sick: list[int], well: list[int]) -> float:
        return area(first, sick, well) - area(second, sick, well)

    variance = 0.0
    for members, left_out in (
        (sick, [gap([k for k in sick if k != i], well) for i in sick]),
        (well, [gap(sick, [k for k in well if k != j]) for j in well]),
    ):
        m = len(members)
        mean = sum(left_out) / m
        variance += (m - 1) / m * sum((value - mean) ** 2 for value in left_out)
    return gap(sick, well), math.sqrt(variance)


@pytest.mark.parametrize("seed", range(4))
def test_delong_agrees_with_a_brute_force_u_statistic(seed: int) -> None:
    labels, first, second = two_methods(seed)
    gap, error = by_brute_force(labels, first, second)
    found = delong(labels, first, second)
    assert found.difference == pytest.approx(gap, abs=1e-12)
    assert found.interval is not None
    half = (found.interval[1] - found.interval[0]) / 2
    freedom = 14 + 27  # at most: Satterthwaite's lies between the smaller class's and this
    assert student.ppf(0.975, freedom) * error <= half < student.ppf(0.975, 14) * error
    assert np.mean(found.interval) == pytest.approx(gap, abs=1e-9)
    assert 2 * student.sf(abs(gap) / error, freedom) <= found.p  # type: ignore[operator]


def test_delong_tells_each_area() -> None:
    labels, first, second = two_methods(9)
    found = delong(labels, first, second)
    assert found.first == auroc(labels, first)
    assert found.second == auroc(labels, second)


def test_two_equally_good_methods_differ_as_seldom_as_promised() -> None:
    found = [delong(*two_methods(seed)).p for seed in range(1000)]
    rejected = np.mean([p is not None and p < 0.05 for p in found])
    assert 0.03 < rejected < 0.075  # 0.05 within 3 sigma; small samples err a little above


def test_the_order_of_methods_changes_the_sign_alone() -> None:
    labels, first, second = two_methods(5)
    one, other = delong(labels, first, second), delong(labels, second, first)
    assert one.difference == -other.difference
    assert one.p == pytest.approx(other.p)


def test_a_method_and_itself_differ_by_nothing() -> None:
    labels, first, _ = two_methods(1)
    found = delong(labels, first, 3 * first)
    assert (found.difference, found.interval, found.p) == (0.0, None, 1.0)


@pytest.mark.parametrize(
    ("labels", "first", "second"),
    [
        pytest.param(
            [1, 1, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4], id="one right, one wrong throughout"
        ),
        pytest.param([1, 1, 0, 0], [4, 3, 2, 1], [1, 1, 1, 1], id="one right, one all tied"),
        pytest.param([1, 0, 0], [3, 2, 1], [1, 2, 3], id="a single positive"),
        pytest.param([1, 1], [3, 2], [1, 2], id="one class"),
        pytest.param([], [], [], id="no cases"),
    ],
)
def test_a_difference_without_a_spread_has_no_p(
    labels: list[int], first: list[float], second: list[float]
) -> None:
    found = delong(labels, first, second)
    assert found.interval is None
    assert found.p is None


# --- within folds


def scored_by_folds(
    seed: int, shift: float, *, folds: int = 5, size: int = 60, area: float = 0.75
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores, folds; each fold's network adds a number of its own."""
    random = np.random.default_rng(seed)
    labels, of = np.arange(size) % 3 // 2, np.arange(size) // 3 % folds
    scores = random.normal(labels * norm.ppf(area) * math.sqrt(2))
    return labels, scores + shift * random.normal(size=folds)[of], of


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=24
    )
)
def test_pairs_count_within_folds_alone(rows: list[tuple[int, int, int]]) -> None:
    """Against a plain loop over pairs; folds of one class and ties are among them."""
    labels, scores, folds = np.array(rows).T
    areas = []
    for fold in set(folds):
        wins = [
            1.0 if a > b else 0.5 if a == b else 0.0
            for la, a, fa in rows
            for lb, b, fb in rows
            if la == 1 and lb == 0 and fa == fb == fold
        ]
        areas += [np.mean(wins)] if wins else []
    expected = np.mean(areas) if areas else math.nan
    assert auroc(labels, scores, folds) == pytest.approx(expected, nan_ok=True)


def test_what_a_fold_adds_to_all_its_scores_changes_nothing() -> None:
    labels, scores, folds = scored_by_folds(0, 0.0)
    moved = scores + np.array([0, 3, -5, 40, 1])[folds]
    assert auroc(labels, moved, folds) == auroc(labels, scores, folds)
    assert auroc_interval(labels, moved, folds=folds) == auroc_interval(labels, scores, folds=folds)
    assert abs(auroc(labels, moved) - auroc(labels, scores)) > 0.1


def test_the_variance_is_that_of_a_mean_of_independent_folds() -> None:
    labels, scores, folds = scored_by_folds(1, 1.0)
    errors = [auroc_standard_error(labels[folds == f], scores[folds == f]) for f in range(5)]
    expected = math.sqrt(sum(error**2 for error in errors)) / 5
    assert auroc_standard_error(labels, scores, folds) == pytest.approx(expected)


def test_a_case_in_every_repeat_is_no_further_case() -> None:
    """Three repeats with the same scores say no more than one."""
    labels, scores, folds = scored_by_folds(2, 1.0)
    many = [np.tile(part, 3) for part in (labels, scores)]
    of = np.concatenate([folds + 5 * repeat for repeat in range(3)])
    cases = np.tile(np.arange(len(labels)), 3)
    once = auroc_standard_error(labels, scores, folds)
    assert auroc_standard_error(*many, of, cases) == pytest.approx(once)
    assert auroc_standard_error(*many, of) < 0.7 * once
    assert auroc_interval(*many, folds=of, cases=cases) == pytest.approx(
        auroc_interval(labels, scores, folds=folds)
    )


def test_a_fold_with_one_case_of_a_class_is_given_the_spread_of_the_others() -> None:
    labels, scores, folds = scored_by_folds(3, 0.0)
    lonely = (folds == 0) & (labels == 1)
    kept = ~lonely | (np.cumsum(lonely) == 1)
    fewer = auroc_standard_error(labels[kept], scores[kept], folds[kept])
    assert fewer > auroc_standard_error(labels, scores, folds)
    assert math.isnan(auroc_standard_error([1, 0, 1, 0], [1, 2, 3, 4], [0, 0, 1, 1]))


@pytest.mark.parametrize("shift", [0, 0.5, 1, 2])
def test_the_level_and_power_hold_at_every_shift_between_folds(shift: float) -> None:
    """Pooled, the level rises to 0.7 and the power falls to 0.1 at a shift of 2."""
    random = np.random.default_rng(4)
    labels = np.repeat([1, 0], [62, 250])
    folds = np.concatenate([np.arange(62) % 5, np.arange(250) % 5])

    def p_value(first: float, second: float) -> float:
        shared, a, b = random.normal(size=(3, len(labels)))
        apart = [norm.ppf(area) * math.sqrt(2) * labels for area in (first, second)]
        ours = (shared + a) / math.sqrt(2) + apart[0] + shift * random.normal(size=5)[folds]
        found = delong(labels, ours, (shared + b) / math.sqrt(2) + apart[1], folds=folds)
        assert found.p is not None
        return found.p

    level = np.mean([p_value(0.78, 0.78) < 0.05 for _ in range(400)])
    power = np.mean([p_value(0.85, 0.72) < 0.05 for _ in range(100)])
    assert 0.02 < level < 0.085  # 0.05 within 3 standard errors
    assert power > 0.9


def test_the_paired_difference_within_folds_is_that_of_the_areas() -> None:
    labels, first, folds = scored_by_folds(5, 2.0)
    second = np.random.default_rng(6).normal(size=len(labels))
    found = delong(labels, first, second, folds=folds)
    assert found.first == auroc(labels, first, folds)
    assert found.difference == found.first - auroc(labels, second, folds)
    swapped = delong(labels, second, first, folds=folds)
    assert swapped.p == pytest.approx(found.p)


def test_a_fold_for_every_row_is_asked_for() -> None:
    with pytest.raises(ValueError, match="a fold for each of 4 rows"):
        auroc([0, 1, 0, 1], [1, 2, 3, 4], folds=[0, 1])


# --- fold shift


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_fold_shift_is_what_was_put_in(shift: float) -> None:
    found = [fold_shift(*scored_by_folds(s, shift, folds=5, size=300)) for s in range(60)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(shift, rel=0.2, abs=0.1)


def test_one_fold_or_no_spread_has_no_shift() -> None:
    assert math.isnan(fold_shift([0, 1, 0, 1], [1, 2, 3, 4], [0, 0, 0, 0]))
    assert math.isnan(fold_shift([0, 1, 0, 1], [1, 1, 2, 2], [0, 0, 1, 1]))
