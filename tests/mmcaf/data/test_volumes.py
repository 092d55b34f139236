"""Cached volumes: sizes, rounding, damage."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.volumes import VolumeSpec, build, built, open_volumes, resized, write_volume
from mmcaf.errors import DataError

BASE = VolumeSpec(32)


@pytest.fixture
def cohort_of_two(tmp_path: Path) -> Cohort:
    random = np.random.default_rng(0)
    for name in ("v0", "v1"):
        volume = random.integers(-1000, 1000, (3, 32, 32)).astype(np.int16)
        write_volume(tmp_path / "volumes" / BASE.digest / f"{name}.npy", volume)
    patients = pl.DataFrame({"case": ["c0", "c1"], "volume": ["v0", "v1"]})
    return Cohort(tmp_path, patients, "digest", True, BASE.in_plane_px)


@pytest.mark.parametrize("side", [15, 1025])
def test_a_size_out_of_bounds_is_refused_with_both(side: int) -> None:
    with pytest.raises(ValueError, match=f"16 <= in_plane_px <= 1024, got {side}"):
        VolumeSpec(side)


def test_a_kind_of_volume_has_a_folder_of_its_own() -> None:
    """Cohorts on disk were written under these names."""
    assert VolumeSpec(208).digest == VolumeSpec().digest == "4ba5b031294e"
    assert VolumeSpec(207).digest != VolumeSpec(208).digest


def test_shrinking_takes_the_mean_of_an_area() -> None:
    random = np.random.default_rng(1)
    volume = random.integers(-1024, 3000, (2, 64, 64)).astype(np.int16)
    means = volume.reshape(2, 16, 4, 16, 4).astype(float).mean(axis=(2, 4))
    assert np.abs(resized(volume, 16) - means).max() <= 0.51


def test_growing_stays_between_the_neighbours() -> None:
    ramp = np.tile(np.arange(0, 1600, 100, dtype=np.int16), (1, 16, 1))
    found = resized(ramp, 48)
    assert found.shape == (1, 48, 48)
    assert (np.diff(found[0, 0]) >= 0).all()
    assert (found.min(), found.max()) == (0, 1500)


def test_negative_halves_are_rounded_and_not_cut() -> None:
    pairs = np.array([[[-3, -4], [-3, -4]]], dtype=np.int16).repeat(16, 1).repeat(16, 2)
    assert resized(pairs, 16)[0].min() >= -4
    flat = np.full((1, 64, 64), -1001, dtype=np.int16)
    assert (resized(flat, 16) == -1001).all()


def test_the_right_size_is_left_as_it_is() -> None:
    volume = np.zeros((1, 20, 20), dtype=np.int16)
    assert resized(volume, 20) is volume


def test_smaller_volumes_are_made_once_from_the_ingested_ones(cohort_of_two: Cohort) -> None:
    small = VolumeSpec(16)
    assert not built(cohort_of_two, small)
    told: list[tuple[str, int, int]] = []
    build(cohort_of_two, small, lambda *one: told.append(one))
    assert told == [("volumes of 16 pixels", 1, 2), ("volumes of 16 pixels", 2, 2)]
    assert built(cohort_of_two, small)
    base, made = open_volumes(cohort_of_two, BASE), open_volumes(cohort_of_two, small)
    assert list(made) == ["c0", "c1"]
    for case in made:
        assert np.array_equal(made[case], resized(np.asarray(base[case]), 16))
    files = sorted((cohort_of_two.folder / "volumes" / small.digest).iterdir())
    for file in files:
        os.utime(file, ns=(1, 1))
    build(cohort_of_two, small)
    assert [file.stat().st_mtime_ns for file in files] == [1, 1]


def test_what_is_lacking_is_made_and_the_rest_left(cohort_of_two: Cohort) -> None:
    small = VolumeSpec(16)
    build(cohort_of_two, small)
    lost = cohort_of_two.folder / "volumes" / small.digest / "v1.npy"
    lost.unlink()
    assert not built(cohort_of_two, small)
    build(cohort_of_two, small)
    assert lost.exists()


def test_larger_than_ingested_is_refused_with_the_remedy(cohort_of_two: Cohort) -> None:
    with pytest.raises(DataError, match=r"needs slices of 64 .* with 32; .*--in-plane 64"):
        build(cohort_of_two, VolumeSpec(64))


def test_volumes_are_mapped_and_cannot_be_changed(cohort_of_two: Cohort) -> None:
    volume = open_volumes(cohort_of_two, BASE)["c0"]
    assert isinstance(volume, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        volume[0, 0, 0] = 1


@pytest.mark.parametrize("damage", ["cut", "gone", "pickle"])
def test_a_damaged_volume_is_named(cohort_of_two: Cohort, damage: str) -> None:
    path = cohort_of_two.folder / "volumes" / BASE.digest / "v1.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "gone":
        path.unlink()
    else:
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"v1\.npy is missing or damaged .*ingest the cohort again"):
        open_volumes(cohort_of_two, BASE)
    only = cohort_of_two.patients.head(1)
    assert list(open_volumes(replace(cohort_of_two, patients=only), BASE)) == ["c0"]
