"""The drawn thorax: what is where, and that the lesion follows its latents and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from mmcaf.data.synthetic.phantom import FIELD_OF_VIEW_MM, SLICE_MM, draw_phantom

SIZE, SLICES = 72, 20  # 5 mm each way
CASE = {"ln_diameter_mm": float(np.log(40)), "lateral_px": 80.0, "solidity": 3.0}


def drawn(seed: int = 0, **latents: float) -> tuple[np.ndarray, np.ndarray]:
    return draw_phantom(CASE | latents, SIZE, SLICES, np.random.default_rng(seed))


def centre_mm(mask: np.ndarray) -> np.ndarray:
    """z, y, x from the middle of the volume."""
    size = np.array([SLICE_MM, FIELD_OF_VIEW_MM / SIZE, FIELD_OF_VIEW_MM / SIZE])
    return np.asarray((np.argwhere(mask).mean(axis=0) - (np.array(mask.shape) - 1) / 2) * size)


def test_it_is_a_volume_in_hounsfield_units_with_a_mask() -> None:
    hu, lesion = drawn()
    assert hu.shape == lesion.shape == (SLICES, SIZE, SIZE)
    assert hu.dtype == np.int16
    assert lesion.dtype == bool
    assert hu.min() >= -1024


def test_air_lies_round_the_body_lungs_within_and_bone_behind() -> None:
    hu, lesion = drawn()
    middle, clear = SLICES // 2, ~lesion
    assert np.median(hu[:, :4, :4]) < -980
    row = SIZE // 2
    for side in (-75, 75):
        column = SIZE // 2 + round(side / 5)
        lung = hu[middle - 2 : middle + 2, row - 4 : row + 4, column - 3 : column + 3]
        kept = clear[middle - 2 : middle + 2, row - 4 : row + 4, column - 3 : column + 3]
        if kept.any():
            assert np.median(lung[kept]) == pytest.approx(-860, abs=40)
    assert hu[middle, SIZE // 2 + 16, SIZE // 2] == pytest.approx(350, abs=90)


@pytest.mark.parametrize("diameter", [20.0, 40.0, 70.0])
def test_the_lesion_is_as_large_as_its_latent_says(diameter: float) -> None:
    volumes = []
    for seed in range(4):
        _, lesion = drawn(seed, ln_diameter_mm=float(np.log(diameter)))
        volumes.append(lesion.sum() * SLICE_MM * 25)
    assert np.mean(volumes) == pytest.approx(4 / 3 * np.pi * (diameter / 2) ** 3, rel=0.3)


@pytest.mark.parametrize("lateral", [30.0, 80.0, 120.0])
def test_it_lies_as_far_from_the_midline_on_either_side(lateral: float) -> None:
    sides = set()
    for seed in range(8):
        x = centre_mm(drawn(seed, lateral_px=lateral)[1])[2]
        assert abs(x) == pytest.approx(lateral / 512 * FIELD_OF_VIEW_MM, abs=5)
        sides.add(np.sign(x))
    assert sides == {-1, 1}


def test_it_stays_within_the_middle_of_the_volume() -> None:
    z, y, _ = np.array([centre_mm(drawn(seed)[1]) for seed in range(12)]).T
    assert 10 < np.abs(z).max() <= 0.3 * SLICES * SLICE_MM + 5
    assert 10 < np.abs(y).max() <= 35


def test_ground_glass_is_darker_than_solid() -> None:
    for seed in range(3):
        (solid, mask), (glass, _) = drawn(seed, solidity=3.0), drawn(seed, solidity=-3.0)
        assert np.median(solid[mask]) > np.median(glass[mask]) + 150


def test_a_large_solid_lesion_has_a_cavity() -> None:
    hu, lesion = drawn(1, ln_diameter_mm=float(np.log(60)), solidity=3.0)
    small, inside = drawn(1, ln_diameter_mm=float(np.log(30)), solidity=3.0)
    assert np.percentile(hu[lesion], 0.5) < -700
    assert np.percentile(small[inside], 0.5) > -300


@pytest.mark.parametrize(("given", "limit"), [(1.0, 10.0), (6.0, 110.0)])
def test_impossible_sizes_are_cut(given: float, limit: float) -> None:
    (_, found), (_, at_limit) = (
        drawn(2, ln_diameter_mm=given),
        drawn(2, ln_diameter_mm=float(np.log(limit))),
    )
    assert np.array_equal(found, at_limit)


def test_a_seed_decides_every_voxel() -> None:
    once, again, other = drawn(5)[0], drawn(5)[0], drawn(6)[0]
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
