"""How far a setting moves logits beside a seed: known movements, and what the interval covers."""

from __future__ import annotations

import numpy as np
import pytest

from mmcaf.stats.movement import movement


def drawn(seed: int, seeds: int = 5, patients: int = 30) -> np.random.Generator:
    return np.random.default_rng([seed, seeds, patients])


def test_what_changes_nothing_moves_nothing() -> None:
    of = drawn(0).normal(size=(5, 30))
    found = movement(of, of.copy(), of)
    assert found.moved == 0
    assert found.by_seed > 0
    assert (found.share.mean, found.share.low, found.share.high) == (0, 0, 0)
    assert (found.steady.mean, found.steady.high) == (0, 0)


def test_by_hand_with_two_patients() -> None:
    low = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    high = np.array([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]])
    base = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    found = movement(low, high, base)
    pairs = [(0, 1), (0, 2), (1, 2)]
    between = np.mean([np.mean((base[a] - base[b]) ** 2) for a, b in pairs])
    assert found.moved == pytest.approx(np.sqrt(12.5))
    assert found.by_seed == pytest.approx(np.sqrt(between))
    assert found.share.mean == pytest.approx(np.sqrt(12.5 / between))
    assert found.steady.mean == pytest.approx(found.share.mean)  # all of it at every seed


def test_other_weights_at_the_same_seed_move_as_far_as_a_seed_and_not_steadily() -> None:
    shares, steady = [], []
    for seed in range(200):
        random = drawn(seed)
        base, low, high = (random.normal(size=(5, 30)) for _ in range(3))
        found = movement(low, high, base)
        shares.append(found.share.mean)
        steady.append(found.steady.low > 0)
    assert np.mean(shares) == pytest.approx(1.0, abs=0.03)
    assert np.mean(steady) <= 0.06


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(300):
        random = drawn(seed)
        own = random.normal(size=(5, 30))
        change = 0.3 + 0.4 * random.normal(size=(5, 30))
        share = movement(own, own + change, random.normal(size=(5, 30))).share
        truth = np.sqrt((0.3**2 + 0.4**2) / 2)
        covered += share.low <= truth <= share.high
    assert covered / 300 >= 0.9


def test_two_seeds_give_a_share_without_an_interval() -> None:
    of = drawn(1, seeds=2).normal(size=(2, 30))
    found = movement(of, of + 1, of)
    assert found.share.mean > 0
    assert np.isnan(found.share.low)


def test_what_cannot_be_compared_is_refused() -> None:
    of = np.zeros((3, 4))
    with pytest.raises(ValueError, match="the same patients"):
        movement(of, of, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="two seeds at least, got 1"):
        movement(of[:1], of[:1], of)
