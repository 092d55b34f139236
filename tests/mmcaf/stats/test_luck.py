"""Luck of training and luck of the patients, told apart by repeated folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmcaf.stats.luck import Luck, luck

FOLDS, RUNS = 4, 5


def simulated(
    random: np.random.Generator, *, lasting: float, sick: int = 16, well: int = 48
) -> dict[str, Any]:
    """Rows of runs on the same cases: the share `lasting` of the noise is the case's own."""
    labels = np.repeat([1, 0], [sick, well])
    own = random.normal(size=len(labels))
    rows: dict[str, list[np.ndarray]] = {n: [] for n in ("labels", "scores", "runs", "folds")}
    for run in range(RUNS):
        noise = np.sqrt(lasting) * own + np.sqrt(1 - lasting) * random.normal(size=len(labels))
        deal = [random.permutation(n) % FOLDS for n in (sick, well)]
        rows["labels"].append(labels)
        rows["scores"].append(labels * 1.2 + noise)
        rows["runs"].append(np.full(len(labels), run))
        rows["folds"].append(np.concatenate(deal))
    cases = {"cases": np.tile(np.arange(len(labels)), RUNS)}
    return {name: np.concatenate(parts) for name, parts in rows.items()} | cases


def found(rows: dict[str, Any]) -> Luck | None:
    return luck(rows["labels"], rows["scores"], **{n: rows[n] for n in ("runs", "folds", "cases")})


def area(rows: dict[str, Any], run: int) -> float:
    """Mean over folds of the share of pairs in order, by going through them."""
    areas = []
    for fold in range(FOLDS):
        inside = (rows["runs"] == run) & (rows["folds"] == fold)
        y, s = rows["labels"][inside], rows["scores"][inside]
        areas.append(np.mean([a > b for a in s[y == 1] for b in s[y == 0]]))
    return float(np.mean(areas))


@pytest.mark.parametrize("lasting", [0.1, 0.7])
def test_the_standard_errors_are_those_of_new_patients_and_of_new_runs(lasting: float) -> None:
    random = np.random.default_rng(3)
    means, within, errors = [], [], []
    for _ in range(150):
        rows = simulated(random, lasting=lasting)
        values = [area(rows, run) for run in range(RUNS)]
        of = found(rows)
        assert of is not None
        assert of.training == pytest.approx(np.std(values, ddof=1) / np.sqrt(RUNS))
        means.append(np.mean(values))
        within.append(np.var(values, ddof=1) / RUNS)
        errors.append(of.patients**2)
    truth = np.sqrt(max(0.0, np.var(means, ddof=1) - np.mean(within)))
    assert np.sqrt(np.mean(errors)) == pytest.approx(truth, abs=0.01)


def test_noise_of_training_alone_is_no_luck_of_patients() -> None:
    random = np.random.default_rng(4)
    shares = [found(simulated(random, lasting=of)) for of in (0.0, 1.0) for _ in range(20)]
    of = [one.share for one in shares if one is not None]
    assert np.mean(of[:20]) < 0.35 < 0.85 < np.mean(of[20:])


def test_the_order_of_rows_and_the_names_of_cases_say_nothing() -> None:
    rows = simulated(np.random.default_rng(5), lasting=0.5)
    order = np.random.default_rng(6).permutation(len(rows["labels"]))
    other = {name: values[order] for name, values in rows.items()}
    other["cases"] = np.array([f"case {one}" for one in other["cases"]])
    one, again = found(rows), found(other)
    assert one is not None
    assert again is not None
    assert (one.runs, one.cases) == (RUNS, 64)
    assert (again.training, again.patients) == pytest.approx((one.training, one.patients))


def test_what_the_runs_do_not_tell_is_none() -> None:
    rows = simulated(np.random.default_rng(7), lasting=0.5)
    first = {name: values[rows["runs"] == 0] for name, values in rows.items()}
    assert found(first) is None  # one run
    lacking = {name: values[1:] for name, values in rows.items()}
    assert found(lacking) is None  # a case that one run did not score
    few = simulated(np.random.default_rng(8), lasting=0.5, sick=2)
    assert found(few) is None  # folds without a positive case


def test_no_spread_at_all_has_no_share() -> None:
    rows = simulated(np.random.default_rng(9), lasting=1.0)
    rows["scores"] = rows["labels"].astype(float)
    of = found(rows)
    assert of == Luck(RUNS, 64, 0.0, 0.0)
    assert of.share == 0.0
