from __future__ import annotations

import pytest
from scipy.stats import wilcoxon

from mmstudy.search.scoring import objective_value, reachable_value, wilcoxon_p

Curve = dict[tuple[int, int], float]


def flat(values: list[float], dip: float = 0.1) -> Curve:
    """Each fold at its value in epoch 1, `dip` lower in epoch 0."""
    return {
        (fold, epoch): value - dip * (1 - epoch)
        for fold, value in enumerate(values)
        for epoch in range(2)
    }


def test_the_objective_is_at_one_epoch_shared_by_all_folds() -> None:
    curve = {(0, 0): 1.0, (0, 1): 0.0, (1, 0): 0.0, (1, 1): 1.0}
    assert objective_value(curve, folds=2) == (0.5, 0)  # not 1.0, and of equals the earlier


def test_what_is_out_of_reach_counts_a_perfect_rest() -> None:
    assert reachable_value({(0, 0): 0.4, (1, 0): 0.6}, folds=4) == pytest.approx(0.75)


def test_the_signed_rank_test_is_scipys_at_each_ones_best_epoch() -> None:
    ours = [0.50 + i / 200 for i in range(12)]
    best = [value + 0.02 + (i % 3) / 100 for i, value in enumerate(ours)]
    expected = wilcoxon(ours, best, alternative="less", zero_method="zsplit").pvalue
    assert wilcoxon_p(flat(ours), flat(best), done=12) == pytest.approx(expected)
    assert expected < 0.01


def test_fewer_than_ten_folds_decide_nothing() -> None:
    ours, best = flat([0.1] * 9), flat([0.9] * 9)
    assert wilcoxon_p(ours, best, done=9) is None


def test_equal_trials_are_not_told_apart() -> None:
    curve = flat([0.5 + i / 100 for i in range(10)])
    assert wilcoxon_p(curve, curve, done=10) is None


def test_only_folds_that_are_done_are_compared() -> None:
    ours = flat([0.5 + i / 100 for i in range(10)]) | {(10, 0): 0.0}
    best = flat([0.4 + i / 100 for i in range(20)])
    assert wilcoxon_p(ours, best, done=10) == pytest.approx(1.0, abs=0.01)
