from __future__ import annotations

import math
import sys
from subprocess import run

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from sklearn import metrics as reference

from mmcaf.stats import metrics
from mmcaf.stats.areas import auroc
from mmcaf.stats.metrics import ConfusionMatrix, Proportion, auprc, rates
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
def test_auprc_agrees_with_scikit_learn_under_ties(seed: int) -> None:
    labels, scores = drawn(seed)
    assert auprc(labels, scores) == pytest.approx(reference.average_precision_score(labels, scores))


def test_brier_agrees_with_scikit_learn() -> None:
    labels, scores = drawn(3)
    assert metrics.brier(labels, scores) == pytest.approx(
        reference.brier_score_loss(labels, scores)
    )


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
