"""Which patients of one cohort are in another, under whatever names.

A patient is known again by the id of the collection, by the series that was taken, and by pixels:
slices that are the same HU for HU. A name and a UID can be given anew, and then the pixels are
left. Another scan of the same person shares none of the three and is not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from mmcaf.data.cohort import Cohort
from mmcaf.data.volumes import VolumeSpec, open_volumes
from mmcaf.errors import DataError
from mmcaf.files.untrusted import read_json, within

__all__ = ["Overlap", "shared_patients"]


class _Facts(msgspec.Struct):
    """What ingestion wrote beside a volume, as far as it is read here."""

    slice_digests: tuple[str | None, ...]  # of the HU of each slice, whatever size is cached


@dataclass(frozen=True, slots=True)
class Overlap:
    """The shared patients of the second cohort, and by what they were known."""

    patients: frozenset[str]
    by: Mapping[str, int]  # patient id, series, pixels -> how many were known by it


def shared_patients(one: Cohort, other: Cohort) -> Overlap:
    """Patients of `other` who are in `one`.

    Synthetic patients of every cohort have the same ids, so these say nothing of them. Pixels are
    compared by the digests that ingestion wrote beside the volumes. Where a cohort lacks those, as
    a copy from a store does, the cached slices themselves are compared, if both cohorts cached one
    size.

    Raises:
        CohortError: a volume that has to be read is missing or damaged.
    """
    found = {
        "patient id": set() if one.synthetic or other.synthetic else _alike(one, other),
        "series": _alike(one, other, "series_uid"),
        "pixels": _same_pixels(one, other),
    }
    everybody = frozenset().union(*found.values())
    return Overlap(everybody, {name: len(of) for name, of in found.items()})


def _alike(one: Cohort, other: Cohort, key: str = "patient_id") -> set[str]:
    known = one.patients[key].drop_nulls().to_list()
    return set(other.patients.filter(pl.col(key).is_in(known))["patient_id"])


def _same_pixels(one: Cohort, other: Cohort) -> set[str]:
    ours, theirs = _written(one), _written(other)
    if ours is None or theirs is None:
        if one.in_plane_px != other.in_plane_px:
            return set()
        ours, theirs = _cached(one), _cached(other)
    known = frozenset[str]().union(*ours.values())
    return {patient for patient, slices in theirs.items() if slices & known}


def _written(cohort: Cohort) -> dict[str, frozenset[str]] | None:
    """Patient -> digests of the slices, from the facts beside the volumes; None where any lacks."""
    folder = f"volumes/{VolumeSpec(cohort.in_plane_px).digest}"
    found = {}
    for patient, name in cohort.patients.select("patient_id", "volume").iter_rows():
        try:
            path = within(cohort.folder, f"{folder}/{name}.json")
            facts = read_json(path, _Facts, remedy="")
        except (OSError, DataError):
            return None
        found[patient] = _told(facts.slice_digests)
    return found


def _cached(cohort: Cohort) -> dict[str, frozenset[str]]:
    """Patient -> digests of the cached slices; a slice of one grey says nothing."""
    volumes = open_volumes(cohort, VolumeSpec(cohort.in_plane_px))
    return {
        patient: _told(
            hashlib.sha256(np.ascontiguousarray(plane).data).hexdigest()
            if plane.min() != plane.max()
            else None
            for plane in volumes[case]
        )
        for patient, case in cohort.patients.select("patient_id", "case").iter_rows()
    }


def _told(digests: Iterable[str | None]) -> frozenset[str]:
    return frozenset(one for one in digests if one is not None)
