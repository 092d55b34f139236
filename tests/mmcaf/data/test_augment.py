from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from mmcaf.config import DataConfig
from mmcaf.data.augment import (
    AIR_HU,
    centre_crop,
    centred_start,
    cut,
    evaluation_starts,
    stream,
    training_window,
)

STILL = DataConfig(
    window=(4, 16, 16),
    tile_stride=2,
    jitter_slices=0,
    rotate_degrees=0.0,
    flip=False,
    sharpen=False,
)
LESION = (9, 11)


def volume(slices: int = 20, side: int = 16) -> NDArray[np.int16]:
    random = np.random.default_rng(0)
    return random.integers(-1000, 1000, (slices, side, side)).astype(np.int16)


def window(seed: int = 0, side: int = 16, slices: int = 20, **changes: Any) -> NDArray[np.float32]:
    config = replace(STILL, **changes)
    return training_window(volume(slices, side), LESION, config, stream(seed))


def test_without_augmentation_a_window_is_a_slice_of_the_volume() -> None:
    assert np.array_equal(window(), volume()[8:12])


def test_a_window_is_float32_and_contiguous() -> None:
    found = window(flip=True, rotate_degrees=5.0, side=32)
    assert found.dtype == np.float32
    assert found.shape == (4, 16, 16)
    assert found.flags["C_CONTIGUOUS"]


def test_the_volume_itself_is_never_changed() -> None:
    given_volume = volume(side=32)
    given_volume.flags.writeable = False  # as a memory map read from disk
    training_window(given_volume, LESION, DataConfig(window=(4, 16, 16), tile_stride=2), stream(0))
    assert np.array_equal(given_volume, volume(side=32))


def test_crop_jitter_reaches_every_offset_and_stays_inside() -> None:
    source = volume(side=32)[8:12].astype(np.float32)
    views = np.lib.stride_tricks.sliding_window_view(source, (16, 16), axis=(1, 2))
    found = set()
    for seed in range(300):
        same = (views == window(seed, side=32)[:, None, None]).all(axis=(0, 3, 4))
        ((top, left),) = np.argwhere(same).tolist()
        found |= {("top", top), ("left", left)}
    assert found == {(name, offset) for name in ("top", "left") for offset in range(17)}


def test_slice_jitter_goes_as_far_as_asked_and_no_further() -> None:
    starts = {
        next(s for s in range(17) if np.array_equal(volume()[s : s + 4], found))
        for found in (window(seed, jitter_slices=1) for seed in range(60))
    }
    assert starts == {7, 8, 9}


def test_however_wide_the_jitter_the_lesions_middle_is_in_the_window() -> None:
    middle = volume()[10]
    for seed in range(100):
        found = window(seed, jitter_slices=64)
        assert any(np.array_equal(plane, middle) for plane in found)


@pytest.mark.parametrize("lesion", [(0, 0), (19, 19)])
def test_at_the_volumes_ends_a_window_holds_no_air(lesion: tuple[int, int]) -> None:
    found = training_window(volume(), lesion, replace(STILL, jitter_slices=4), stream(0))
    start = 0 if lesion[0] == 0 else 16
    assert np.array_equal(found, volume()[start : start + 4])


def test_a_series_shorter_than_the_window_lies_in_it_whole() -> None:
    config = replace(STILL, jitter_slices=3)
    for seed in range(30):
        found = training_window(volume(3), (0, 0), config, stream(seed))
        assert (found == AIR_HU).all(axis=(1, 2)).sum() == 1


def test_flip_mirrors_left_and_right_in_about_half_the_windows() -> None:
    same = [np.array_equal(window(s, flip=True), window(s)) for s in range(200)]
    mirrored = [np.array_equal(window(s, flip=True), window(s)[:, :, ::-1]) for s in range(200)]
    assert sum(same) + sum(mirrored) == 200
    assert 70 < sum(mirrored) < 130  # 100 within 4 sigma


def test_a_rotation_agrees_with_scipy_away_from_the_border() -> None:
    smooth = cv2.GaussianBlur(volume(1, 32)[0].astype(np.float32), (0, 0), 4.0)
    source = np.broadcast_to(smooth.astype(np.int16), (20, 32, 32))
    config = replace(STILL, window=(4, 32, 32), rotate_degrees=30.0)
    found = training_window(source, LESION, config, stream(3))[0]
    angles = np.linspace(-30, 30, 601)
    turned = (ndimage.rotate(source[0].astype(float), a, reshape=False, order=1) for a in angles)
    misfit = [np.abs((plane - found)[10:22, 10:22]).max() for plane in turned]
    assert abs(angles[np.argmin(misfit)]) > 1  # it did turn
    assert min(misfit) < 0.02 * np.ptp(smooth)


def test_a_rotation_fills_the_corners_with_air() -> None:
    found = window(1, rotate_degrees=45.0)
    assert (found[:, 0, 0] == AIR_HU).all()
    assert (found[:, 8, 8] != AIR_HU).all()


def test_no_rotation_goes_beyond_its_bound() -> None:
    line = np.full((4, 33, 33), -1000, dtype=np.int16)
    line[:, 16, :] = 1000
    config = replace(STILL, window=(4, 33, 33), rotate_degrees=10.0)
    heights = []
    for seed in range(100):
        turned = training_window(line, (2, 2), config, stream(seed))[0]
        heights.append(abs(int(turned[:, 28].argmax()) - 16))  # 12 pixels from the middle
    assert max(heights) == round(12 * np.tan(np.radians(10)))


def test_sharpening_steepens_an_edge_and_leaves_flat_parts() -> None:
    edge = np.zeros((4, 16, 16), dtype=np.int16)
    edge[:, :, 8:] = 100
    config = replace(STILL, sharpen=True)
    seen = [training_window(edge, (2, 2), config, stream(seed))[0, 8] for seed in range(20)]
    sharp = next(row for row in seen if row.max() > 100)
    assert sharp[8] > 105
    assert sharp[7] < -5
    assert sharp[[0, 15]] == pytest.approx([0, 100], abs=0.01)


def test_sharpening_strikes_about_half_the_windows() -> None:
    struck = sum(not np.array_equal(window(s, sharpen=True), window(s)) for s in range(200))
    assert 70 < struck < 130


@pytest.mark.parametrize("name", ["flip", "sharpen"])
def test_switching_one_augmentation_on_leaves_the_other_draws(name: str) -> None:
    changes = {"jitter_slices": 2, "side": 32}
    untouched = sum(
        np.array_equal(window(s, **changes, **{name: True}), window(s, **changes))
        for s in range(100)
    )
    assert 25 < untouched < 75


def test_a_stream_depends_on_each_part_of_its_key() -> None:
    keys = [(0, 1, "a", 0), (1, 1, "a", 0), (0, 2, "a", 0), (0, 1, "b", 0), (0, 1, "a", 1), (0, 1)]
    assert len({stream(*key).random() for key in keys}) == len(keys)


def test_a_stream_is_the_same_whenever_it_is_made() -> None:
    assert stream(3, "a").random(5).tolist() == stream(3, "a").random(5).tolist()


@given(st.integers(1, 80), st.integers(1, 24), st.data())
def test_tiles_cover_every_slice_and_stay_inside(n_slices: int, depth: int, data: Any) -> None:
    stride = data.draw(st.integers(1, depth))
    starts = evaluation_starts(n_slices, depth, stride)
    covered = {s for start in starts for s in range(start, start + depth)}
    assert covered >= set(range(n_slices))
    assert len(set(starts)) == len(starts)
    if n_slices >= depth:
        assert covered == set(range(n_slices))
    else:
        (start,) = starts
        assert 0 <= (depth - n_slices + start) + start <= 1  # air on both sides, even give or take


@pytest.mark.parametrize(
    ("lesion", "n_slices", "start"),
    [((10, 12), 40, 9), ((0, 0), 40, 0), ((39, 39), 40, 36), ((0, 0), 2, -1), ((1, 2), 4, 0)],
)
def test_the_centred_window_stays_inside(
    lesion: tuple[int, int], n_slices: int, start: int
) -> None:
    assert centred_start(lesion, n_slices, depth=4) == start


def test_a_cut_beyond_the_ends_is_padded_with_air() -> None:
    found = cut(volume(2), -1, 4)
    assert np.array_equal(found[1:3], volume(2))
    assert (found[[0, 3]] == AIR_HU).all()


def test_a_cut_wholly_outside_is_air() -> None:
    assert (cut(volume(2), 5, 4) == AIR_HU).all()


def test_the_centre_crop_takes_the_same_from_all_sides() -> None:
    found = cut(volume(4, 32), 0, 4)
    assert np.array_equal(centre_crop(found, 16), found[:, 8:24, 8:24])
