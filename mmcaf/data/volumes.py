"""Volumes as int16 HU memory maps, one file per patient and in-plane size.

Ingestion writes the base size from DICOM; smaller ones are made from it by area resampling when a
study first asks, so a study needs no DICOM. Slices run from foot to head and stay as they are in z.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.cohort import Cohort, cohort_faults
from mmcaf.errors import CohortError, DataError
from mmcaf.files.atomic import replacing
from mmcaf.files.untrusted import open_regular, within

__all__ = [
    "HU_RANGE",
    "VolumeSpec",
    "build",
    "built",
    "open_volume",
    "open_volumes",
    "resized",
    "volume_path",
    "write_volume",
]

HU_RANGE = (-1024, 3071)
"""Ingestion clips every voxel to it."""

Hu = NDArray[np.int16]  # [slices, rows, columns]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """How volumes are cached."""

    in_plane_px: int = 208

    def __post_init__(self) -> None:
        if not 16 <= self.in_plane_px <= 1024:
            raise ValueError(f"Need 16 <= in_plane_px <= 1024, got {self.in_plane_px}.")

    @property
    def digest(self) -> str:
        """Name of the folder that holds volumes of this kind."""
        text = f"int16 HU, square of {self.in_plane_px}, z native"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@cohort_faults()
def build(cohort: Cohort, spec: VolumeSpec, progress: Progress | None = None) -> None:
    """Make what is missing of the volumes of `spec`; complete ones are left alone.

    Raises:
        CohortError: larger than what was ingested, or a volume cannot be read.
    """
    base = VolumeSpec(cohort.in_plane_px)
    if spec.in_plane_px > base.in_plane_px:
        raise CohortError(
            f"The study needs slices of {spec.in_plane_px} pixels, the cohort was ingested with "
            f"{base.in_plane_px}; ingest it again with --in-plane {spec.in_plane_px}."
        )
    rows = _rows(cohort)
    for done, (case, name, slices) in enumerate(rows, 1):
        path = volume_path(cohort.folder, spec, name)
        if not path.exists():
            ingested = volume_path(cohort.folder, base, name)
            volume = open_volume(ingested, base.in_plane_px, case=case, slices=slices)
            write_volume(path, resized(volume, spec.in_plane_px))
        if progress is not None:
            progress(f"volumes of {spec.in_plane_px} pixels", done, len(rows))


@cohort_faults()
def built(cohort: Cohort, spec: VolumeSpec) -> bool:
    """Whether `build` has nothing left to do.

    Raises:
        CohortError: in a volume's place is a link, or no regular file.
    """
    names = cohort.patients["volume"].to_list()
    return all(volume_path(cohort.folder, spec, name).exists() for name in names)


@cohort_faults()
def open_volumes(cohort: Cohort, spec: VolumeSpec) -> dict[str, Hu]:
    """Case name -> memory-mapped volume, [slices, in_plane_px, in_plane_px].

    Raises:
        CohortError: one is missing, damaged, or not of the kind that ingestion writes; names it.
    """
    found = {}
    for case, name, slices in _rows(cohort):
        path = volume_path(cohort.folder, spec, name)
        found[case] = open_volume(path, spec.in_plane_px, case=case, slices=slices)
    return found


def open_volume(path: Path, side: int, *, case: str, slices: int | None = None) -> Hu:
    """One volume, memory-mapped; its voxels are not read.

    Args:
        path: where it lies.
        side: pixels per side of its slices.
        case: whose it is, for a fault.
        slices: how many it has, where that is known.

    Raises:
        CohortError: it is missing, damaged, or no int16 [slices, side, side] in C order; or it is
            a link, or no regular file.
    """
    try:
        return _mapped(path, side, slices)
    except (OSError, ValueError, DataError) as error:
        raise CohortError(
            f"Case {case}: its cached volume {path.name} is missing or damaged ({error}); "
            "ingest the cohort again, or copy the file again from where it was made."
        ) from error


def volume_path(folder: Path, spec: VolumeSpec, name: str) -> Path:
    """Where the volume `name` of the cohort in `folder` lies; it need not be there.

    Raises:
        CohortError: a link leads there, or no regular file is in its place; or the name leads out
            of the folder.
    """
    with cohort_faults():
        return within(folder, f"volumes/{spec.digest}/{name}.npy")


def resized(volume: Hu, side: int) -> Hu:
    """Every slice at `side` x `side`: by area where it shrinks, linear where it grows."""
    if volume.shape[1:] == (side, side):
        return volume
    import cv2  # a dashboard opens volumes without it

    how = cv2.INTER_AREA if side <= min(volume.shape[1:]) else cv2.INTER_LINEAR
    planes = [cv2.resize(p.astype(np.float32), (side, side), interpolation=how) for p in volume]
    rounded: Hu = np.rint(np.stack(planes)).astype(np.int16)
    return rounded


def write_volume(path: Path, volume: Hu) -> None:
    """Write one volume, whole or not at all."""
    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, volume, allow_pickle=False)


def _rows(cohort: Cohort) -> list[tuple[str, str, int | None]]:
    """Case, volume and number of slices, where the table has it."""
    slices = pl.col("n_slices") if "n_slices" in cohort.patients.columns else pl.lit(None)
    return cohort.patients.select("case", "volume", slices).rows()


def _mapped(path: Path, side: int, slices: int | None) -> Hu:
    """The array in a NumPy file, which must be what `write_volume` writes."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it has another version of NumPy's format")
        shape, in_columns, kind = np.lib.format.read_array_header_1_0(file)
        wanted = (slices or shape[0] if len(shape) == 3 else 0, side, side)
        if kind != np.dtype("<i2") or in_columns or shape != wanted or shape[0] < 1:
            raise ValueError(f"it holds {kind} {list(shape)}, expected int16 {list(wanted)}")
        offset = file.tell()
        if size != offset + int(np.prod(shape)) * kind.itemsize:
            raise ValueError(f"it has {size} bytes, too few or too many for {list(shape)}")
        volume: Hu = np.memmap(file, dtype=kind, mode="r", offset=offset, shape=shape)
    return volume
