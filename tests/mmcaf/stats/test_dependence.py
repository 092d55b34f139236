"""Whether a value depends on settings: level under noise, power, and SciPy's F beside it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import f_oneway

from mmcaf.stats.dependence import dependence

Array = NDArray[np.float64]


def settings(random: np.random.Generator, n: int) -> dict[str, Array]:
    x = random.normal(size=n)
    option = random.integers(3, size=n)
    return {
        "rate": np.stack([x, x**2], axis=1),
        "heads": (option[:, None] == np.arange(1, 3)).astype(float),
        "loss": random.integers(2, size=(n, 1)).astype(float),
    }


def test_noise_is_told_apart_at_the_level_that_is_said() -> None:
    least = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        found = dependence(settings(random, 30), random.normal(size=30), deals=99, seed=seed)
        least.append(min(found.values()))
    assert np.mean(np.array(least) <= 0.05) <= 0.08
    assert np.mean(np.array(least) <= 0.01) <= 0.03


def test_what_decides_is_found_and_what_does_not_is_not_credited() -> None:
    found_rate, found_others = 0, 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        given = settings(random, 40)
        # Tried together: the loss is mostly the one at high rates.
        given["loss"] = (given["rate"][:, :1] + random.normal(size=(40, 1)) > 0).astype(float)
        p = dependence(given, given["rate"][:, 0] + 0.7 * random.normal(size=40), deals=199)
        found_rate += p["rate"] <= 0.05
        found_others += min(p["heads"], p["loss"]) <= 0.05
    assert found_rate >= 57
    assert found_others <= 6


def test_one_setting_alone_is_the_permutation_form_of_scipys_f_test() -> None:
    random = np.random.default_rng(5)
    option = np.repeat([0, 1, 2], 12)
    value = random.normal(size=36) + 0.5 * (option == 2)
    columns = (option[:, None] == np.arange(1, 3)).astype(float)
    found = dependence({"heads": columns}, value, deals=4999)
    theirs = f_oneway(*(value[option == one] for one in range(3))).pvalue
    assert found["heads"] == pytest.approx(theirs, abs=0.02)


def test_settings_that_say_the_same_are_not_credited_and_a_crowd_is_judged_one_by_one() -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    assert dependence({"a": x, "b": 2 * x}, 3 * x[:, 0]) == {"a": 1.0, "b": 1.0}
    random = np.random.default_rng(0)
    crowd = {f"s{i}": random.normal(size=(40, 2)) for i in range(11)} | {"a": x}
    found = dependence(crowd, 3 * x[:, 0] + random.normal(size=40), deals=199)
    assert found["a"] == 0.005
