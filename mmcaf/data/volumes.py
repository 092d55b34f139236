"""Volumes as int16 HU memory maps, one file per patient and in-plane size.

Ingestion writes the base size from DICOM; smaller ones are made from it by area resampling when a
study first asks, so a study needs no DICOM. Slices run from foot to head and stay as they are in z.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmcaf.data.cohort import Cohort
from mmcaf.errors import DataError
from mmcaf.files.atomic import replacing

__all__ = ["VolumeSpec", "build", "built", "open_volumes", "resized", "write_volume"]

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


def build(cohort: Cohort, spec: VolumeSpec, progress: Progress | None = None) -> None:
    """Make what is missing of the volumes of `spec`; complete ones are left alone.

    Raises:
        DataError: larger than what was ingested.
    """
    base = VolumeSpec(cohort.in_plane_px)
    if spec.in_plane_px > base.in_plane_px:
        raise DataError(
            f"The study needs slices of {spec.in_plane_px} pixels, the cohort was ingested with "
            f"{base.in_plane_px}; ingest it again with --in-plane {spec.in_plane_px}."
        )
    names = cohort.patients["volume"].to_list()
    for done, name in enumerate(names, 1):
        path = _path(cohort.folder, spec, name)
        if not path.exists():
            write_volume(path, resized(_open(_path(cohort.folder, base, name)), spec.in_plane_px))
        if progress is not None:
            progress(f"volumes of {spec.in_plane_px} pixels", done, len(names))


def built(cohort: Cohort, spec: VolumeSpec) -> bool:
    """Whether `build` has nothing left to do."""
    names = cohort.patients["volume"].to_list()
    return all(_path(cohort.folder, spec, name).exists() for name in names)


def open_volumes(cohort: Cohort, spec: VolumeSpec) -> dict[str, Hu]:
    """Case name -> memory-mapped volume, [slices, in_plane_px, in_plane_px]."""
    rows = cohort.patients.select("case", "volume").iter_rows()
    return {case: _open(_path(cohort.folder, spec, name)) for case, name in rows}


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


def _path(folder: Path, spec: VolumeSpec, name: str) -> Path:
    return folder / "volumes" / spec.digest / f"{name}.npy"


def _open(path: Path) -> Hu:
    try:
        volume: Hu = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"The cached volume {path.name} is missing or damaged ({error}); "
            "ingest the cohort again."
        ) from error
    return volume
