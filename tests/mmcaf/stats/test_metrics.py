from __future__ import annotations

import math
import sys
from subprocess import run

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm
from sklearn import metrics as reference

from mmcaf.stats import metrics
from mmcaf.stats.metrics import ConfusionMatrix, Proportion, auprc, auroc, auroc_interval, rates
from mmstudy.storage.schema import RATES

PAPER = ConfusionMatrix(tp=10, fp=4, fn=5, tn=24)  # MMCAF-Net's own row, n = 43
CASES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=30)


def drawn(seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], random.integers(0, 2, size - 2)])
    return labels, np.round(random.random(size), 1)  # rounding makes ties


@pytest.mark.parametrize("total", [1, 7, 60])
def test_wilson_agrees_with_scipy(total: int) -> None:
    for hits in range(total + 1):
        expected = binomtest(hits, total).proportion_ci(0.95, method="wilson")
        assert Proportion(hits, total).wilson() == pytest.approx(tuple(expected), abs=1e-12)


def test_wilson_has_the_confidence_asked_for() -> None:
    expected = binomtest(34, 43).proportion_ci(0.8, method="wilson")
    assert Proportion(34, 43).wilson(0.8) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize("total", [15, 43])
def test_wilson_covers_every_rate_from_5_to_95_percent(total: int) -> None:
    """By exact enumeration: the chance of all counts whose interval holds the true rate."""
    bounds = np.array([Proportion(hits, total).wilson() for hits in range(total + 1)])
    coverage = [
        binom.pmf(np.arange(total + 1), total, rate)
        @ ((bounds[:, 0] <= rate) & (rate <= bounds[:, 1]))
        for rate in np.linspace(0.05, 0.95, 1801)
    ]
    assert min(coverage) > 0.91
    assert max(coverage) < 0.985
    assert np.mean(coverage) == pytest.approx(0.95, abs=0.01)


def test_a_proportion_of_no_cases_is_nan_and_excludes_nothing() -> None:
    assert math.isnan(float(Proportion(0, 0)))
    assert Proportion(0, 0).wilson() == (0.0, 1.0)


def test_more_hits_than_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="got hits=3, total=2"):
        Proportion(3, 2)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_counts_agree_with_scikit_learn(threshold: float) -> None:
    labels, scores = drawn(1)
    ((tn, fp), (fn, tp)) = reference.confusion_matrix(labels, scores >= threshold, labels=[0, 1])
    assert ConfusionMatrix.from_scores(labels, scores, threshold=threshold) == ConfusionMatrix(
        tp=tp, fp=fp, fn=fn, tn=tn
    )


def test_a_score_at_the_threshold_counts_as_positive() -> None:
    assert ConfusionMatrix.from_scores([1, 0], [0.5, 0.5], threshold=0.5).tp == 1


def test_counts_give_the_papers_printed_metrics() -> None:
    shown = {name: round(float(rate), 3) for name, rate in PAPER.rates().items()}
    assert shown == {
        "sensitivity": 0.667,
        "specificity": 0.857,
        "ppv": 0.714,
        "npv": 0.828,
        "accuracy": 0.791,
    }
    assert round(PAPER.f1, 3) == 0.690


@pytest.mark.parametrize("seed", range(5))
def test_auroc_agrees_with_scikit_learn_under_ties(seed: int) -> None:
    labels, scores = drawn(seed)
    assert auroc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))


@pytest.mark.parametrize("seed", range(5))
def test_auprc_agrees_with_scikit_learn_under_ties(seed: int) -> None:
    labels, scores = drawn(seed)
    assert auprc(labels, scores) == pytest.approx(reference.average_precision_score(labels, scores))


def test_brier_agrees_with_scikit_learn() -> None:
    labels, scores = drawn(3)
    assert metrics.brier(labels, scores) == pytest.approx(
        reference.brier_score_loss(labels, scores)
    )


def test_all_scores_tied_give_an_auroc_of_one_half() -> None:
    assert auroc([0, 1, 0, 1], [0.3] * 4) == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_auroc(label: int) -> None:
    assert math.isnan(auroc([label] * 3, [0.1, 0.2, 0.3]))


def test_calls_give_the_counts_that_scores_give() -> None:
    labels, scores = drawn(2)
    expected = ConfusionMatrix.from_scores(labels, scores, threshold=0.6)
    assert ConfusionMatrix.from_calls(labels, scores >= 0.6) == expected


def test_counts_expand_to_cases_that_have_them() -> None:
    assert ConfusionMatrix.from_calls(*PAPER.expanded()) == PAPER


def test_the_majority_class_is_the_larger_one() -> None:
    assert PAPER.majority == Proportion(28, 43)
    assert ConfusionMatrix(tp=3, fp=1, fn=2, tn=0).majority == Proportion(5, 6)
    assert math.isnan(float(ConfusionMatrix(0, 0, 0, 0).majority))


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
    assert metrics.auroc_standard_error(labels, scores) == pytest.approx(expected)


def test_interval_is_symmetric_on_the_logit_scale() -> None:
    labels, scores = drawn(6)
    area, error = delong_by_pairs(labels, scores)
    half = norm.ppf(0.975) * error / (area * (1 - area))
    logits = [math.log(bound / (1 - bound)) for bound in auroc_interval(labels, scores)]
    centre = math.log(area / (1 - area))
    assert logits == pytest.approx([centre - half, centre + half])


@pytest.mark.parametrize("truth", [0.72, 0.79, 0.85, 0.90, 0.95])
@pytest.mark.parametrize("spread", [1.0, 1.5])
def test_interval_covers_the_truth_in_nine_of_ten_at_least(truth: float, spread: float) -> None:
    """Two normal scores, of one spread and of two, with a known area; 15 and 28 cases."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [28, 15])
    shift, scale = norm.ppf(truth) * math.hypot(1, spread), np.where(labels == 1, spread, 1)
    bounds = [auroc_interval(labels, random.normal(labels * shift, scale)) for _ in range(2000)]
    covered = np.mean([low <= truth <= high for low, high in bounds])
    assert 0.90 <= covered < 0.985


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], id="separated"),
        pytest.param([0, 0, 1, 1], [0.9, 0.8, 0.2, 0.1], id="separated the wrong way"),
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


def test_rates_are_those_of_the_study_record_in_its_order() -> None:
    assert tuple(rates([0, 1], [0.2, 0.7])) == RATES


def test_rates_say_what_the_single_functions_say() -> None:
    labels, scores = drawn(7)
    found = rates(labels, scores, threshold=0.4)
    matrix = ConfusionMatrix.from_scores(labels, scores, threshold=0.4)
    assert found == {name: float(rate) for name, rate in matrix.rates().items()} | {
        "auroc": auroc(labels, scores),
        "f1": matrix.f1,
        "auprc": auprc(labels, scores),
        "brier": metrics.brier(labels, scores),
    }


def test_without_a_case_called_positive_the_ppv_is_none_and_not_zero() -> None:
    found = rates([0, 1], [0.1, 0.2])
    assert (found["ppv"], found["sensitivity"], found["npv"]) == (None, 0.0, 0.5)


def test_without_a_squamous_case_what_needs_one_is_none() -> None:
    found = rates([0, 0], [0.1, 0.2])
    undefined = {name for name, value in found.items() if value is None}
    assert undefined == {"auroc", "f1", "sensitivity", "ppv", "auprc"}


def test_rates_of_no_cases_are_all_none() -> None:
    assert set(rates([], []).values()) == {None}


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_probabilities_that_are_no_numbers_are_refused(odd: float) -> None:
    with pytest.raises(ValueError, match="1 of 2 scores that are NaN or infinite"):
        rates([0, 1], [0.5, odd])


def test_logits_are_not_taken_for_probabilities() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\], got values from -2 to 3"):
        rates([0, 1], [-2.0, 3.0])


def test_other_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got labels \[0, 2\]"):
        rates([0, 2], [0.1, 0.2])


def test_unequal_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"got \(2,\) and \(1,\)"):
        ConfusionMatrix.from_scores([1, 0], [0.5], threshold=0.5)


@pytest.mark.parametrize(
    "module",
    ["metrics", "bootstrap", "paired", "unpaired", "thresholds", "calibration", "roc"],
)
def test_statistics_import_nothing_heavy(module: str) -> None:
    heavy = "{'torch', 'scipy', 'sklearn', 'pandas', 'polars'}"
    code = f"import sys, mmcaf.stats.{module}; print(*sorted({heavy} & {{*sys.modules}}))"
    found = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
