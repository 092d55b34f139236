from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from mmcaf.data.encoding import CLINICAL, Channel, Intensity, TableEncoder
from mmcaf.errors import DataError


def rows(**columns: list[float | None]) -> pl.DataFrame:
    """Patients of whom only the named columns vary."""
    height = len(next(iter(columns.values())))
    return pl.DataFrame(
        {name: columns.get(name, [1.0] * height) for name in CLINICAL}, strict=False
    )


def encoded(train: pl.DataFrame, new: pl.DataFrame, name: str) -> list[float]:
    found: list[float] = TableEncoder.fit(train).transform(new)[:, CLINICAL.index(name)].tolist()
    return found


def test_the_training_range_is_mapped_to_minus_one_and_one() -> None:
    train = rows(age_years=[40.0, 60.0, 80.0])
    assert encoded(train, train, "age_years") == [-1, 0, 1]


def test_values_beyond_the_training_range_are_clipped() -> None:
    train, new = rows(age_years=[40.0, 80.0]), rows(age_years=[20.0, 70.0, 99.0])
    assert encoded(train, new, "age_years") == [-1, 0.5, 1]


@pytest.mark.parametrize("missing", [None, -1.0, float("nan")])
@pytest.mark.parametrize("name", ["smoker", "weight_kg"])
def test_a_missing_value_becomes_the_training_median(name: str, missing: float | None) -> None:
    train = rows(**{name: [0.0, 1.0, 4.0, missing]})
    assert encoded(train, rows(**{name: [missing]}), name) == [-0.5]


def test_sex_and_smoker_come_as_small_integers() -> None:
    train = rows(sex=[0.0, 1.0]).with_columns(pl.col("sex").cast(pl.Int8))
    new = rows(sex=[1.0, -1.0, None]).with_columns(pl.col("sex").cast(pl.Int8))
    assert encoded(train, new, "sex") == [1, 0, 0]


@pytest.mark.parametrize("values", [[3.0, 3.0, -1.0], [None, None, None]])
def test_a_column_without_variation_in_training_says_nothing(values: list[float | None]) -> None:
    assert encoded(rows(t_ord=values), rows(t_ord=[0.0, 3.0, None, 7.0]), "t_ord") == [0] * 4


def test_the_array_is_float32_of_seven_columns_in_fixed_order() -> None:
    train = rows(sex=[0.0, 1.0], smoker=[0.0, 1.0])
    new = rows(sex=[1.0], smoker=[0.0]).select(reversed(CLINICAL))
    table = TableEncoder.fit(train).transform(new)
    assert table.dtype == np.float32
    assert table.tolist() == [[1, 0, 0, 0, 0, 0, -1]]


def test_the_encoder_survives_json_and_reads_as_columns() -> None:
    encoder = TableEncoder.fit(rows(age_years=[41.3, 60.1, 80.7]))
    text = json.dumps(encoder.to_json())
    assert json.loads(text)["age_years"] == {"median": 60.1, "low": 41.3, "high": 80.7}
    assert TableEncoder.from_json(json.loads(text)) == encoder


def test_a_state_with_other_columns_is_refused() -> None:
    state = TableEncoder.fit(rows(age_years=[1.0, 2.0])).to_json()
    del state["t_ord"]
    with pytest.raises(DataError, match=r"Need the clinical columns sex, .*another version"):
        TableEncoder.from_json(state)


def test_an_absent_column_is_named() -> None:
    with pytest.raises(DataError, match="no column m_ord"):
        TableEncoder.fit(rows(age_years=[1.0, 2.0]).drop("m_ord"))


def test_an_infinite_value_is_refused() -> None:
    with pytest.raises(DataError, match="weight_kg holds an infinite"):
        TableEncoder.fit(rows(weight_kg=[1.0, float("inf")]))


def test_an_encoder_needs_rows() -> None:
    with pytest.raises(ValueError, match="at least one training row"):
        TableEncoder.fit(rows(age_years=[1.0]).clear())


def test_intensities_are_those_of_every_fourth_voxel() -> None:
    random = np.random.default_rng(0)
    volumes = [random.integers(-1024, 900, (n, 20, 20)).astype(np.int16) for n in (9, 14)]
    voxels = np.concatenate([volume[::4, ::4, ::4].ravel() for volume in volumes])
    scaled = np.clip((voxels + 1000.0) / 1400, 0, 1)
    (found,) = Intensity.fit(volumes, [(-1000.0, 400.0)]).channels
    assert (found.mean, found.std) == pytest.approx((scaled.mean(), scaled.std()), abs=1e-6)


def test_a_window_is_scaled_clipped_and_normalised() -> None:
    window = np.array([-2000, -1000, -300, 400, 3000], dtype=np.float32)
    found = Channel((-1000.0, 400.0), mean=0.25, std=0.5).apply(window)
    assert found.dtype == np.float32
    assert found == pytest.approx([-0.5, -0.5, 0.5, 1.5, 1.5])


def test_normalising_leaves_the_window_itself_alone() -> None:
    window = np.array([-300.0], dtype=np.float32)
    Channel((-1000.0, 400.0), 0.5, 0.1).apply(window)
    assert window == [-300]


def test_volumes_of_one_grey_are_not_divided_by_zero() -> None:
    grey = Intensity.fit([np.full((4, 8, 8), 123, dtype=np.int16)], [(-1000.0, 400.0)])
    assert grey.channels[0].std == 1.0


THREE = ((-1150.0, 350.0), (-160.0, 240.0), (-1000.0, 400.0))


def test_three_windows_are_three_channels_each_as_if_alone() -> None:
    volume = np.random.default_rng(0).integers(-1024, 900, (8, 16, 16)).astype(np.int16)
    together = Intensity.fit([volume], THREE)
    alone = [Intensity.fit([volume], [hu]) for hu in THREE]
    assert together.channels == tuple(one.channels[0] for one in alone)
    windows = volume[None].astype(np.float32)
    found = together.apply(windows)
    assert found.shape == (1, 3, 8, 16, 16)
    assert np.array_equal(found, np.concatenate([one.apply(windows) for one in alone], axis=1))


@pytest.mark.parametrize("count", [1, 3])
def test_intensities_survive_json(count: int) -> None:
    fitted = Intensity(tuple(Channel(hu, 0.123456789, 0.3) for hu in THREE[:count]))
    assert Intensity.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


def test_intensities_need_a_volume() -> None:
    with pytest.raises(ValueError, match="at least one training volume"):
        Intensity.fit([], [(-1000.0, 400.0)])
