from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from mmstudy.search.scoring import (
    curve_of,
    objective_value,
    outcome,
    reachable_value,
    seconds_per_epoch,
    time_spent,
    wilcoxon_p,
)
from mmstudy.storage.schema import RATES, EpochRow
from support.epoch_row import epoch_row

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


def rows(*seconds: float, **columns: list[float | None]) -> list[EpochRow]:
    return [
        epoch_row(epoch=at, seconds=one, **{name: given[at] for name, given in columns.items()})
        for at, one in enumerate(seconds)
    ]


def test_an_epoch_that_waited_for_a_busy_disk_does_not_make_a_trial_slow() -> None:
    assert seconds_per_epoch(rows(1.0, 1.2, 60.0)) == 1.2
    assert seconds_per_epoch([]) is None


def test_time_spent_is_of_epochs_and_of_what_came_before_them() -> None:
    spent = time_spent(
        rows(
            10.0,
            30.0,
            prepare_seconds=[5.0, None],
            data_seconds=[1.0, 3.0],
            gpu_utilisation=[0.2, 0.6],
        )
    )
    assert (spent.seconds, spent.prepare_seconds) == (45.0, 5.0)
    assert spent.data_wait_share == pytest.approx(0.1)
    assert spent.gpu_utilisation == pytest.approx((10 * 0.2 + 30 * 0.6) / 40)


def test_what_was_not_measured_is_unknown_and_not_nothing() -> None:
    spent = time_spent(rows(10.0))
    assert (spent.prepare_seconds, spent.data_wait_share, spent.gpu_utilisation) == (None,) * 3
    assert time_spent([]).seconds == 0


def test_a_gpu_that_was_seen_in_some_epochs_counts_for_these() -> None:
    spent = time_spent(rows(10.0, 90.0, gpu_utilisation=[0.5, None]))
    assert spent.gpu_utilisation == 0.5


def test_an_undefined_area_is_no_point_of_the_curve() -> None:
    undefined = replace(epoch_row(fold=1), rates=dict.fromkeys(RATES))
    assert curve_of([epoch_row(0.7), undefined]) == {(0, 0): 0.7}


def test_a_trial_s_second_objectives() -> None:
    known = rows(1.0, 3.0, parameters=[None, 1200])
    assert outcome("auroc", 0.7, known) == 0.7
    assert outcome("seconds_per_epoch", 0.7, known) == 2.0
    assert outcome("parameters", 0.7, known) == 1200.0
    assert outcome("parameters", 0.7, rows(1.0)) is None


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 4)), st.floats(0, 1), min_size=1, max_size=20
    )
)
def test_what_is_out_of_reach_is_never_reached(curve: dict[tuple[int, int], float]) -> None:
    """However the folds to come turn out, the objective stays at or below what was reachable."""
    epochs = {epoch for _, epoch in curve}
    for rest in (0.0, 0.5, 1.0):
        whole = {(f, e): curve.get((f, e), rest) for f in range(4) for e in epochs}
        assert objective_value(whole, folds=4)[0] <= reachable_value(curve, folds=4) + 1e-12
