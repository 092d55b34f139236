"""How two slices differ: level, shift, size and noise."""

from __future__ import annotations

import numpy as np
import pytest

from mmcaf.data.ingest.voxels.differences import REACH, block_means, differences, size_of
from support.anatomy import Stack, anatomy
from support.planted import shift


@pytest.fixture(scope="module")
def stack() -> Stack:
    return anatomy(0, side=96, slices=16)


def test_blocks_are_means_of_the_middle_of_a_slice() -> None:
    volume = np.random.default_rng(0).integers(-1000, 1000, (2, 67, 67)).astype(np.int16)
    means, each = block_means(volume, 32)
    assert (means.shape, each) == ((2, 33, 33), 2)
    assert means[1, 0, 0] == pytest.approx(volume[1, :2, :2].mean(), abs=0.51)
    assert means[0, -1, -1] == pytest.approx(volume[0, 64:66, 64:66].mean(), abs=0.51)
    small, each = block_means(volume[:, :20, :20], 32)
    assert each == 1
    assert (small == volume[:, :20, :20]).all()


@pytest.mark.parametrize("hu", [-15.0, 60.0, 1024.0])
def test_the_level_is_what_was_added(stack: Stack, hu: float) -> None:
    volume = stack.volume.copy()
    before = differences(volume, (4.0, 4.0))
    volume[7] = np.clip(volume[7] + hu, -1024, 3071)
    after = differences(volume, (4.0, 4.0))
    for level in ("tissue_hu", "air_hu"):
        changed = getattr(after, level)[0] - getattr(before, level)[0]
        assert changed[6] == pytest.approx(hu, abs=abs(hu) * 0.15 + 2)
        assert changed[7] == pytest.approx(-hu, abs=abs(hu) * 0.15 + 2)
        assert np.delete(changed, [6, 7]) == pytest.approx(0)


def test_air_that_is_clipped_still_tells_of_darker_slices(stack: Stack) -> None:
    volume = stack.volume.copy()
    volume[7] = np.clip(volume[7] - 100.0, -1024, 3071)
    (air, _), before = differences(volume, (4.0, 4.0)).air_hu, differences(stack.volume, (4.0, 4.0))
    assert air[6] == pytest.approx(-24, abs=3)
    padded = np.where(stack.volume < -900, -1024, stack.volume).astype(np.int16)
    assert differences(padded, (4.0, 4.0)).air_hu[0] == pytest.approx(0)
    assert np.abs(before.air_hu[0]).max() < 3


def test_slices_without_tissue_have_no_level_and_no_noise(stack: Stack) -> None:
    padded = stack.volume.copy()
    padded[:3] = -1024
    found = differences(padded, (4.0, 4.0))
    assert found.tissue_hu[0][:2] == pytest.approx(0)
    assert np.isnan(found.noise[:3]).all()
    assert np.isfinite(found.noise[3:]).all()


def test_the_shift_is_in_mm_along_rows_and_columns(stack: Stack) -> None:
    before = differences(stack.volume, (stack.pixel_mm, stack.pixel_mm)).shift_mm
    moved = stack.volume.copy()
    moved[7] = np.roll(moved[7], (1, -2), axis=(0, 1))  # a pixel down, two to the left
    after = differences(moved, (3.0, 5.0)).shift_mm
    scaled = before / stack.pixel_mm * [5.0, 3.0]
    assert (after - scaled)[6] == pytest.approx([-10.0, 3.0], abs=1.5)
    assert (after - scaled)[7] == pytest.approx([10.0, -3.0], abs=1.5)
    assert differences(np.full_like(moved, 40), (1.0, 1.0)).shift_mm == pytest.approx(0)


def test_sizes_reach_some_slices_far(stack: Stack) -> None:
    found = differences(stack.volume, (4.0, 4.0))
    assert [len(sizes) for sizes in found.apart] == [16 - k for k in range(REACH + 1)]
    assert found.apart[0] == pytest.approx(0)
    by_hand = np.sqrt(((found.planes[9] - found.planes[6]) ** 2).mean())
    assert found.apart[3][6] == pytest.approx(by_hand, rel=1e-5)
    assert size_of(found.planes[9:10], found.planes[6:7]) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_slice_is_more_like_the_mirror_image(stack: Stack, axis: int) -> None:
    volume = stack.volume.copy()
    assert (
        differences(volume, (4.0, 4.0)).mirrored > differences(volume, (4.0, 4.0)).apart[1]
    ).all()
    volume[7] = np.flip(volume[7], axis)
    found = differences(volume, (4.0, 4.0))
    assert (found.mirrored[6:8] < found.apart[1][6:8] / 1.3).all()


def test_noise_is_of_pixels_side_by_side(stack: Stack) -> None:
    volume = stack.volume.copy()
    volume[5] = np.clip(
        volume[5] + np.random.default_rng(1).normal(0, 60, volume[5].shape), -1024, 3071
    )
    noise = differences(volume, (4.0, 4.0)).noise
    assert noise[5] > 3 * np.delete(noise, 5).max()


def test_noise_is_a_median() -> None:
    volume = np.random.default_rng(0).normal(40, 20, (3, 96, 96)).round().astype(np.int16)
    assert differences(volume, (4.0, 4.0)).noise == pytest.approx(0.6745 * np.sqrt(2) * 20, abs=1.5)


def test_a_long_shift_is_not_taken_for_a_short_one(stack: Stack) -> None:
    far, (struck,) = shift(40)(stack, np.random.default_rng(0))
    found = differences(far, (stack.pixel_mm, stack.pixel_mm))
    assert np.hypot(*found.shift_mm[struck - 1 : struck + 1].T).min() > 8
