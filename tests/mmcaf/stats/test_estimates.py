from __future__ import annotations

import numpy as np
import pytest

from mmcaf.stats.areas import auroc
from mmcaf.stats.estimates import Outcomes, bbc, corrected_interval


def noise(configurations: int, cases: int, folds: int, *, signal: float, seed: int) -> Outcomes:
    """Scores that all have the same true AUROC, whatever the configuration."""
    rng = np.random.Generator(np.random.Philox(seed))
    label = np.arange(cases) % 2
    return Outcomes(
        case=np.arange(cases),
        fold=np.arange(cases) // 2 % folds,
        label=label,
        score=rng.normal(size=(configurations, cases)) + signal * label,
    )


def best_in_sample(outcomes: Outcomes) -> float:
    folds = np.unique(outcomes.fold)
    means = [
        np.mean([auroc(outcomes.label[outcomes.fold == f], s[outcomes.fold == f]) for f in folds])
        for s in outcomes.score
    ]
    return float(max(means))


def test_the_best_of_many_coins_is_corrected_to_a_coin() -> None:
    found, chosen = [], []
    for seed in range(8):
        outcomes = noise(60, 60, 3, signal=0, seed=seed)
        found.append(bbc(outcomes, resamples=200).mean)
        chosen.append(best_in_sample(outcomes))
    assert np.mean(chosen) > 0.62
    assert abs(np.mean(found) - 0.5) < 0.04


def test_one_configuration_needs_no_correction() -> None:
    outcomes = noise(1, 200, 4, signal=1.5, seed=3)
    found = bbc(outcomes, resamples=300)
    assert found.mean == pytest.approx(best_in_sample(outcomes), abs=0.01)
    assert found.low < found.mean < found.high
    assert found.n == 200


def test_a_configuration_that_is_truly_better_keeps_its_value() -> None:
    outcomes = noise(20, 200, 4, signal=0, seed=1)
    outcomes.score[7] += 2.0 * outcomes.label
    found = bbc(outcomes, resamples=200)
    assert found.mean == pytest.approx(best_in_sample(outcomes), abs=0.02)


def test_the_correction_repeats_exactly() -> None:
    outcomes = noise(5, 40, 2, signal=0.5, seed=0)
    assert bbc(outcomes, resamples=60) == bbc(outcomes, resamples=60)


def test_repeated_folds_leave_a_case_out_as_a_whole() -> None:
    """Each case twice, with the same scores: the same estimate as each case once."""
    once = noise(10, 60, 3, signal=0.5, seed=2)
    twice = Outcomes(
        case=np.tile(once.case, 2),
        fold=np.concatenate([once.fold, once.fold + 3]),
        label=np.tile(once.label, 2),
        score=np.tile(once.score, 2),
    )
    assert bbc(twice, resamples=100).mean == pytest.approx(bbc(once, resamples=100).mean, abs=1e-6)


def test_the_interval_is_wider_than_folds_alone_would_say() -> None:
    values = [0.7, 0.8, 0.75, 0.65, 0.85]
    naive, corrected = (corrected_interval(values, ratio=r) for r in (0.0, 0.25))
    assert corrected.mean == naive.mean == pytest.approx(0.75)
    ratio = (corrected.high - corrected.low) / (naive.high - naive.low)
    assert ratio == pytest.approx(np.sqrt((0.2 + 0.25) / 0.2))


def test_one_value_has_no_interval() -> None:
    found = corrected_interval([0.7], ratio=0.25)
    assert (found.mean, found.n) == (0.7, 1)
    assert np.isnan(found.low)


def test_where_no_resample_can_choose_nothing_is_expected() -> None:
    lonely = Outcomes(
        case=np.arange(3),
        fold=np.zeros(3, dtype=np.int64),
        label=np.ones(3, dtype=np.int64),
        score=np.random.default_rng(0).random((2, 3)),
    )
    found = bbc(lonely, resamples=30)
    assert np.isnan([found.mean, found.low]).all()


def test_rows_that_do_not_judge_still_choose() -> None:
    """What is perfect in fold 0 alone is chosen for it, and judged elsewhere."""
    outcomes = noise(2, 90, 3, signal=0.0, seed=4)
    first = outcomes.fold == 0
    outcomes.score[1, first] = outcomes.label[first]
    found = bbc(outcomes, judged=~first, resamples=200)
    elsewhere = best_in_sample(outcomes.rows(~first))
    assert found.n == 60
    assert found.mean < elsewhere + 0.1
    assert bbc(outcomes, resamples=200).mean > found.mean + 0.1


def test_classes_that_are_separated_leave_a_bound_below_one() -> None:
    outcomes = noise(3, 40, 2, signal=0, seed=0)
    outcomes.score[1] = outcomes.label
    found = bbc(outcomes, resamples=60)
    # 20 disjoint pairs that all came out one way exclude areas A with A ** 20 below 2.5 %.
    assert (found.mean, found.low, found.high) == pytest.approx((1.0, 0.025 ** (1 / 20), 1.0))


def test_scores_that_are_all_level_say_nothing() -> None:
    outcomes = noise(1, 40, 2, signal=0, seed=0)
    outcomes.score[:] = 0.5
    found = bbc(outcomes, resamples=60)
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
