"""A cohort of which one volume is not what was ingested any more."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmcaf.data.cohort import Cohort
from mmcaf.data.volumes import VolumeSpec

__all__ = ["damage", "damaged_copy"]


def damage(cohort: Cohort, at: int = 2) -> tuple[Path, bytes, str]:
    """Turn a volume upside down: its path, what was in it, and its case."""
    case, name = cohort.patients.select("case", "volume").row(at)
    spec = VolumeSpec(cohort.in_plane_px)
    path = cohort.folder / "volumes" / spec.digest / f"{name}.npy"
    whole = path.read_bytes()
    np.save(path, np.load(path)[::-1].copy())
    return path, whole, case


def damaged_copy(cohort: Cohort, folder: Path) -> tuple[Cohort, str]:
    """A copy in `folder`, and what a command that refuses it says, as a pattern."""
    shutil.copytree(cohort.folder, folder)
    copy = replace(cohort, folder=folder)
    path, _, case = damage(copy)
    return copy, rf"Case {case}: {path} has other voxels than were ingested"
