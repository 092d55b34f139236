"""A cohort at an address, on this machine: fetched once, verified, then read like any other.

One process fills it, the others of the machine wait. Every volume's content is hashed, and the
hashes together with the table must give the cohort's own digest, which the study knows.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmcaf.data import cohort, volumes
from mmcaf.data.cohort import Cohort
from mmcaf.data.volumes import VolumeSpec
from mmcaf.errors import DataError
from mmcaf.files.atomic import locked, write_json
from mmcaf.files.remote import Remote, origin

__all__ = ["load_cohort", "load_patients", "make_volumes"]

Progress = Callable[[str, int, int], None]

_TABLES = ("cohort.parquet", "cohort.json")
_MARK = ".verified.json"


def load_cohort(folder: Path, progress: Progress | None = None) -> Cohort:
    """The cohort in `folder`, fetched first if that is a copy.

    Raises:
        DataError: none there, unreachable, or not what its digest says.
    """
    remote = origin(folder)
    if remote is not None:
        with locked(folder / _MARK):
            if not _is_filled(remote, folder):
                _fill(remote, folder, progress)
    return cohort.load(folder)


def load_patients(folder: Path) -> Cohort:
    """The cohort in `folder` for whoever needs its rows alone: no volume is fetched or read.

    Raises:
        DataError: none there, unreachable, or not the table that its `cohort.json` says.
    """
    remote = origin(folder)
    if remote is not None:
        with locked(folder / _MARK):
            told, here = _told(remote), folder / "cohort.json"
            if not here.exists() or here.read_bytes() != told:
                for name in _TABLES:
                    remote.get(name, folder / name)
    return cohort.load(folder)


def make_volumes(patients: Cohort, spec: VolumeSpec, progress: Progress | None = None) -> None:
    """`volumes.build`, by one process of this machine; the others wait.

    On a cohort folder that is no copy only a driver may call this.
    """
    if volumes.built(patients, spec):  # nothing to write, perhaps nowhere to
        return
    with locked(patients.folder / f".{spec.digest}"):
        volumes.build(patients, spec, progress)


def _is_filled(remote: Remote, folder: Path) -> bool:
    mark, told = folder / _MARK, _told(remote)
    return mark.exists() and json.loads(mark.read_text())["of"] == hashlib.sha256(told).hexdigest()


def _told(remote: Remote) -> bytes:
    told = remote.read("cohort.json")
    if told is None:
        raise DataError(f"No cohort at {remote.address}: it has no cohort.json.")
    return told


def _fill(remote: Remote, folder: Path, progress: Progress | None) -> None:
    for name in _TABLES:
        remote.get(name, folder / name)
    found = cohort.load(folder)
    base = f"volumes/{VolumeSpec(found.in_plane_px).digest}"
    names = found.patients.select("volume", "patient_id").rows()
    digests: dict[str, str] = {}
    for done, (name, patient) in enumerate(names, 1):
        digests[patient] = _fetched(remote, folder, f"{base}/{name}.npy")
        if progress is not None:
            progress("volumes fetched", done, len(names))
    if cohort.content_digest(found.patients, digests) != found.digest:
        shutil.rmtree(folder / base)  # nobody knows which one is wrong: all are fetched again
        raise DataError(
            f"The volumes at {remote.address} are not those of cohort {found.digest}: they were "
            "copied in part, or ingested anew. Copy the whole cohort folder there again."
        )
    told = (folder / "cohort.json").read_bytes()
    write_json(folder / _MARK, {"of": hashlib.sha256(told).hexdigest(), "digest": found.digest})


def _fetched(remote: Remote, folder: Path, name: str) -> str:
    """SHA-256 of a volume's content, fetched unless it is there."""
    path = folder / name
    if not path.exists() and not remote.get(name, path):
        raise DataError(f"{remote.address} lacks {name}; copy the whole cohort folder there.")
    try:
        volume = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise DataError(f"{name} of {remote.address} is damaged: {error}") from error
    return hashlib.sha256(volume.tobytes()).hexdigest()
