"""A stack against what a CT of a chest is."""

from __future__ import annotations

import numpy as np
import pytest

from mmcaf.data.ingest.voxels.plausibility import hu_statistics, is_thorax, oddities
from mmcaf.data.synthetic.phantom import FIELD_OF_VIEW_MM, draw_phantom
from support.anatomy import Hu, Stack, anatomy


@pytest.fixture(scope="module")
def stack() -> Stack:
    return anatomy(2, slices=64)


def odd(stack: Stack, volume: Hu | None = None, *, pixel: float = 1, step: float = 1) -> list[str]:
    each = stack.pixel_mm * pixel
    z_mm = [z * step for z in stack.z_mm]
    return oddities(stack.volume if volume is None else volume, (each, each), z_mm)


def rescaled(volume: Hu, slope: float, intercept: float) -> Hu:
    """As if stored from -1024 on, and read by another rule."""
    stored = volume.astype(np.float64) + 1024
    return np.clip(np.rint(stored * slope + intercept - 1024), -1024, 3071).astype(np.int16)


@pytest.mark.parametrize("seed", range(6))
def test_bodies_are_not_odd(seed: int) -> None:
    sound = anatomy(seed, slices=64)
    assert odd(sound) == []
    assert is_thorax(hu_statistics(sound.volume))


@pytest.mark.parametrize(("side", "slices"), [(32, 14), (48, 12), (64, 24), (128, 25)])
def test_phantoms_are_not_odd(side: int, slices: int) -> None:
    case = {"ln_diameter_mm": 3.9, "lateral_px": 80.0, "solidity": 0.5}
    volume, _ = draw_phantom(case, side, slices, np.random.default_rng(side))
    assert odd(Stack(volume, FIELD_OF_VIEW_MM / side)) == []


@pytest.mark.parametrize("hu", [-200, -100, -70, -50, 50, 70, 100, 200])
def test_an_offset_of_all_slices(stack: Stack, hu: float) -> None:
    volume = rescaled(stack.volume, 1, hu)
    assert "W_HU_SCALE" in odd(stack, volume) or not is_thorax(hu_statistics(volume))


@pytest.mark.parametrize("slope", [0.5, 0.8, 0.87, 1.15, 1.3, 2.0])
def test_a_slope_of_all_slices(stack: Stack, slope: float) -> None:
    assert "W_HU_SCALE" in odd(stack, rescaled(stack.volume, slope, 0))


@pytest.mark.parametrize("slope", [0.8, 0.87, 1.15, 1.3])
def test_a_slope_of_hu(stack: Stack, slope: float) -> None:
    volume = np.clip(np.rint(stack.volume * slope), -1024, 3071).astype(np.int16)
    assert "W_HU_SCALE" in odd(stack, volume) or not is_thorax(hu_statistics(volume))


def test_fat_in_the_place_of_soft_tissue_does_not_pass(stack: Stack) -> None:
    """Without air around, the highest peak tells."""
    inside = np.where(stack.volume < -900, -1024, stack.volume).astype(np.int16)
    assert odd(stack, inside) == []
    assert odd(stack, np.where(inside > -400, inside + 140, inside).astype(np.int16)) == [
        "W_HU_SCALE"
    ]


def test_lungs_that_are_air_are_odd(stack: Stack) -> None:
    lung = (stack.volume > -930) & (stack.volume < -700)
    assert odd(stack, np.where(lung, -990, stack.volume).astype(np.int16)) == ["W_HU_SCALE"]


def test_padding_is_no_air(stack: Stack) -> None:
    volume = stack.volume.copy()
    volume[:, :12] = volume[:, -12:] = -1024
    assert odd(stack, volume) == []


def test_signed_values_read_as_unsigned_are_no_thorax(stack: Stack) -> None:
    wrapped = np.where(stack.volume < 0, 3071, stack.volume).astype(np.int16)
    assert not is_thorax(hu_statistics(wrapped))


@pytest.mark.parametrize("times", [0.5, 0.6, 1.5, 2.0])
def test_pixels_of_another_size(stack: Stack, times: float) -> None:
    assert odd(stack, pixel=times) == ["W_BODY_SIZE"]


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_slices_of_another_distance(stack: Stack, times: float) -> None:
    assert odd(stack, step=times) == ["W_COVERAGE"]


def test_a_part_of_a_chest_is_one_from_50_mm_on(stack: Stack) -> None:
    for slices, found in ((12, []), (10, ["W_COVERAGE"])):
        part = Stack(stack.volume[25 : 25 + slices], stack.pixel_mm)
        assert odd(part) == found


def test_an_empty_picture_is_odd_and_raises_nothing() -> None:
    empty = np.full((14, 48, 48), -1024, dtype=np.int16)
    assert odd(Stack(empty, 7.5)) == ["W_HU_SCALE", "W_BODY_SIZE"]


@pytest.mark.parametrize("side", [16, 32, 208])
def test_statistics_are_percentiles_of_some_voxels(side: int) -> None:
    volume = np.random.default_rng(0).integers(-1024, 3072, (30, side, side)).astype(np.int16)
    found, some = hu_statistics(volume), volume[:, ::4, ::4]
    assert found["hu_p50"] == pytest.approx(np.median(some), abs=20)
    assert found["hu_p01"] == pytest.approx(np.percentile(some, 1), abs=20)
    assert found["hu_p99"] == pytest.approx(np.percentile(some, 99), abs=20)
    assert found["lung_share"] == pytest.approx(((some > -950) & (some < -500)).mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"hu_p01": -500.0}, False),  # no air round the body
        ({"hu_p01": -2000.0}, False),
        ({"hu_p99": 2500.0}, False),
        ({"hu_p99": -950.0}, False),
        ({"lung_share": 0.04}, False),
        ({"lung_share": 0.05}, True),
    ],
)
def test_a_thorax_has_air_lung_and_hardly_any_metal(change: dict[str, float], holds: bool) -> None:
    assert is_thorax({"hu_p01": -1000.0, "hu_p99": 300.0, "lung_share": 0.3} | change) is holds
