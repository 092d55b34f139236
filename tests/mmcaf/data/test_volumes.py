"""Cached volumes: sizes, rounding, damage."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest import dicom
from mmcaf.data.volumes import (
    HU_RANGE,
    VolumeSpec,
    build,
    built,
    open_volumes,
    resized,
    write_volume,
)
from mmcaf.errors import CohortError, DataError

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
def test_a_damaged_volume_is_named_with_its_case(cohort_of_two: Cohort, damage: str) -> None:
    path = cohort_of_two.folder / "volumes" / BASE.digest / "v1.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "gone":
        path.unlink()
    else:
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(
        CohortError, match=r"Case c1: .*v1\.npy is missing or damaged .*ingest the cohort again"
    ):
        open_volumes(cohort_of_two, BASE)
    only = cohort_of_two.patients.head(1)
    assert list(open_volumes(replace(cohort_of_two, patients=only), BASE)) == ["c0"]


FITS = np.zeros((3, 32, 32), dtype=np.int16)
OTHERS = {
    "float64": (np.zeros((3, 32, 32)), r"holds float64 \[3, 32, 32\], expected int16"),
    "big-endian": (FITS.astype(">i2"), r"holds >i2"),
    "in columns": (np.asfortranarray(np.zeros((3, 32, 32), dtype=np.int16)), "holds int16"),
    "two dimensions": (FITS[0], r"holds int16 \[32, 32\]"),
    "another side": (np.zeros((3, 16, 32), dtype=np.int16), r"expected int16 \[3, 32, 32\]"),
    "no slice": (FITS[:0], r"holds int16 \[0, 32, 32\]"),
    "no dimension": (np.int16(3), r"holds int16 \[\]"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_an_array_of_another_kind_is_refused(cohort_of_two: Cohort, kind: str) -> None:
    array, told = OTHERS[kind]
    np.save(cohort_of_two.folder / "volumes" / BASE.digest / "v1.npy", array)
    with pytest.raises(CohortError, match=f"Case c1: .*{told}"):
        open_volumes(cohort_of_two, BASE)


def test_slices_are_as_many_as_the_table_says(cohort_of_two: Cohort) -> None:
    told = replace(cohort_of_two, patients=cohort_of_two.patients.with_columns(n_slices=pl.lit(3)))
    assert list(open_volumes(told, BASE)) == ["c0", "c1"]
    told = replace(told, patients=told.patients.with_columns(n_slices=pl.Series([3, 4])))
    with pytest.raises(CohortError, match=r"Case c1: .*expected int16 \[4, 32, 32\]"):
        open_volumes(told, BASE)


@pytest.mark.parametrize("bytes_more", [1, -1])
def test_a_file_has_the_bytes_its_header_says(cohort_of_two: Cohort, bytes_more: int) -> None:
    path = cohort_of_two.folder / "volumes" / BASE.digest / "v0.npy"
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" if bytes_more > 0 else whole[:bytes_more])
    with pytest.raises(CohortError, match=r"Case c0: .*too few or too many"):
        open_volumes(cohort_of_two, BASE)


@pytest.mark.parametrize("kind", ["link", "FIFO", "folder"])
def test_no_link_is_followed_and_no_fifo_waited_for(cohort_of_two: Cohort, kind: str) -> None:
    path = cohort_of_two.folder / "volumes" / BASE.digest / "v1.npy"
    path.rename(cohort_of_two.folder / "aside.npy")
    if kind == "link":
        path.symlink_to(cohort_of_two.folder / "aside.npy")
    elif kind == "FIFO":
        os.mkfifo(path)
    else:
        path.mkdir()
    for look in (open_volumes, build, built):
        with pytest.raises(CohortError, match=f"v1.npy is a {kind}"):
            look(cohort_of_two, VolumeSpec(16) if look is build else BASE)


def test_nothing_is_made_in_a_folder_that_a_link_leads_to(
    cohort_of_two: Cohort, tmp_path: Path
) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "volumes" / VolumeSpec(16).digest).symlink_to(tmp_path / "others")
    with pytest.raises(CohortError, match="is a link"):
        build(cohort_of_two, VolumeSpec(16))
    assert list((tmp_path / "others").iterdir()) == []


def test_values_are_those_ingestion_clips_to() -> None:
    assert HU_RANGE == (dicom.AIR_HU, dicom.MAX_HU)


def test_a_name_does_not_lead_out_of_the_folder(cohort_of_two: Cohort) -> None:
    outside = cohort_of_two.patients.with_columns(volume=pl.lit("../../../v0"))
    with pytest.raises(CohortError, match="Only a way inside the folder is followed"):
        open_volumes(replace(cohort_of_two, patients=outside), BASE)
