"""Attributes on their own scales, coarse enough to tell no patient's value."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcaf.data.encoding import TableEncoder
from mmcaf.explain.scales import AttributeScale, banded, points_of, scales_of


def rows(n: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "sex": pl.Series(random.integers(0, 2, n), dtype=pl.Int8),
            "age_years": random.uniform(40.3, 79.8, n),
            "weight_kg": random.uniform(47.2, 91.7, n),
            "t_ord": random.integers(0, 8, n).astype(float),
            "n_ord": random.integers(0, 4, n).astype(float),
            "m_ord": random.integers(0, 4, n).astype(float),
            "smoker": pl.Series(random.integers(-1, 2, n), dtype=pl.Int8),
        }
    )


def scales(table: pl.DataFrame) -> dict[str, AttributeScale]:
    return {one.name: one for one in scales_of(TableEncoder.fit(table), table)}


def test_a_curve_runs_between_percentiles_and_never_to_the_extreme_patient() -> None:
    table = rows(60)
    found = scales(table)["age_years"]
    ages = table["age_years"].to_numpy()
    assert (found.x[0], found.x[-1]) == pytest.approx(tuple(np.quantile(ages, [0.05, 0.95])))
    assert ages.min() < found.x[0] < found.x[-1] < ages.max()
    assert found.quantiles == pytest.approx(tuple(np.quantile(ages, [0.05, 0.25, 0.5, 0.75, 0.95])))


def test_of_nineteen_patients_no_percentile_is_told() -> None:
    table = rows(19)
    found = scales(table)
    age, weight = found["age_years"], found["weight_kg"]
    assert age.quantiles == weight.quantiles == ()
    assert age.n_train == 19
    assert (age.x[0] % 5, age.x[-1] % 5, weight.x[0] % 10, weight.x[-1] % 10) == (0, 0, 0, 0)
    ages = table["age_years"].to_numpy()
    assert age.x[0] <= ages.min() <= ages.max() <= age.x[-1]


def test_twenty_are_enough() -> None:
    assert len(scales(rows(20))["age_years"].quantiles) == 5


def test_levels_run_over_all_of_them_and_are_explained() -> None:
    found = scales(rows(30))
    assert found["t_ord"].unit.startswith("T: 0 is, 1 1a")
    assert found["sex"].unit == "0 female, 1 male"
    assert (found["sex"].x[0], found["sex"].x[-1]) == (0, 1)
    assert found["age_years"].unit == "years"
    assert found["weight_kg"].unit == "kg"


def test_the_size_of_a_box_is_called_what_it_is() -> None:
    table = rows(30).with_columns(max_diam_mm=pl.Series(np.linspace(20.0, 60.0, 30)))
    (found,) = scales_of(TableEncoder.fit(table, ("log_max_diam_mm",)), table)
    assert found.unit == "log mm, root of width x height of the largest box"


def test_an_unknown_value_is_no_training_value() -> None:
    table = rows(40)
    known = int((table["smoker"] >= 0).sum())
    assert scales(table)["smoker"].n_train == known < 40


def test_points_are_what_the_network_reads_of_the_same_values() -> None:
    table = rows(40)
    encoder = TableEncoder.fit(table)
    of_weight = table.with_columns(weight_kg=pl.lit(60.0))
    found = scales(table)["weight_kg"]
    place = list(encoder.to_json()).index("weight_kg")
    read = encoder.transform(of_weight)[0, place]
    assert np.interp(60.0, found.x, found.points) == pytest.approx(read, abs=1e-3)


def test_the_median_is_scaled_like_the_points() -> None:
    table = rows(41)
    found = scales(table)["age_years"]
    median = float(np.median(table["age_years"].to_numpy()))
    assert np.interp(median, found.x, found.points) == pytest.approx(found.median, abs=1e-3)


def test_points_stand_in_the_columns_of_their_attributes() -> None:
    found = list(scales(rows(30)).values())
    table = points_of(found[:3])
    assert table.shape == (33, 7)
    for column, one in enumerate(found[:3]):
        assert np.array_equal(table[:, column], one.points)
    assert not table[:, 3:].any()


@given(age=st.floats(0, 119.9))
def test_an_age_is_told_in_a_band_that_holds_it(age: float) -> None:
    low, high = banded("age_years", {"age_years": age}).removesuffix(" years").split("-")
    assert int(low) % 5 == 0
    assert int(high) == int(low) + 4
    assert int(low) <= age < int(low) + 5


@pytest.mark.parametrize(
    ("name", "row", "told"),
    [
        ("weight_kg", {"weight_kg": 69.9}, "60-69 kg"),
        ("log_max_diam_mm", {"max_diam_mm": 31.0}, "30-39 mm"),
        ("sex", {"sex": 0}, "female"),
        ("sex", {"sex": 1}, "male"),
        ("smoker", {"smoker": 1}, "yes"),
        ("t_ord", {"t_ord": 4.0, "t_raw": "2a"}, "T2a"),
        ("m_ord", {"m_ord": 0.0, "m_raw": "0"}, "M0"),
        ("n_ord", {"n_ord": 2.0, "n_raw": None}, "2"),
        ("sex", {"sex": -1}, "unknown"),
        ("age_years", {"age_years": None}, "unknown"),
        ("age_years", {"age_years": float("nan")}, "unknown"),
        ("age_years", {}, "unknown"),
    ],
)
def test_a_patient_s_value_in_words(name: str, row: dict[str, Any], told: str) -> None:
    assert banded(name, row) == told
