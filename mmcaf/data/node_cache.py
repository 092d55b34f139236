"""A cohort at an address, on this machine: fetched once, verified, then read like any other.

One process fills it, the others of the machine wait. The copy is verified as every cohort is
(`mmcaf.data.verification`): its content must give its own digest, which the study knows.

Also kept is where the cohorts lie that the user named, by their digests: what a study says of the
way to its cohort may be a stranger's word.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from mmcaf.data import cohort, volumes
from mmcaf.data.cohort import Cohort, cohort_faults
from mmcaf.data.verification import faults_of
from mmcaf.data.volumes import VolumeSpec, volume_path
from mmcaf.errors import CohortError, DataError
from mmcaf.files.atomic import locked, replacing, write_json
from mmcaf.files.remote import Remote, cache_folder, origin
from mmcaf.files.untrusted import read_json

__all__ = ["known_cohort", "load_cohort", "load_patients", "make_volumes", "note_cohort"]

Progress = Callable[[str, int, int], None]

_TABLES = ("cohort.parquet", "cohort.json")
_COPY = ".copy"  # what is locked while it is made


@cohort_faults()
def load_cohort(folder: Path, progress: Progress | None = None) -> Cohort:
    """The cohort in `folder`, fetched and verified first if that is a copy.

    Raises:
        CohortError: none there, unreachable, or not what its digest says.
    """
    remote = origin(folder)
    if remote is not None:
        with locked(folder / _COPY):
            _fill(remote, folder, progress)
    return cohort.load(folder)


@cohort_faults()
def load_patients(folder: Path) -> Cohort:
    """The cohort in `folder` for whoever needs its rows alone: no volume is fetched or read.

    Raises:
        CohortError: none there, unreachable, or not the table that its `cohort.json` says.
    """
    remote = origin(folder)
    if remote is not None:
        with locked(folder / _COPY):
            _fetch_tables(remote, folder)
    return cohort.load(folder)


@cohort_faults()
def make_volumes(patients: Cohort, spec: VolumeSpec, progress: Progress | None = None) -> None:
    """`volumes.build`, by one process of this machine; the others wait.

    On a cohort folder that is no copy only a driver may call this.
    """
    if volumes.built(patients, spec):  # nothing to write, perhaps nowhere to
        return
    with locked(patients.folder / f".{spec.digest}"):
        volumes.build(patients, spec, progress)


def _fetch_tables(remote: Remote, folder: Path) -> None:
    told = remote.read("cohort.json")
    if told is None:
        raise CohortError(f"No cohort at {remote.address}: it has no cohort.json.")
    here = folder / "cohort.json"
    if not here.exists() or here.read_bytes() != told:
        for name in _TABLES:
            remote.get(name, folder / name)


def _fill(remote: Remote, folder: Path, progress: Progress | None) -> None:
    _fetch_tables(remote, folder)
    found = cohort.load(folder)
    if not (folder / cohort.NOTICE).exists():
        with replacing(folder / cohort.NOTICE) as beside:
            beside.write_text(cohort.notice(found.patients), encoding="utf-8")
    base = VolumeSpec(found.in_plane_px)
    names = found.patients["volume"].to_list()
    lacking = [name for name in names if not volume_path(folder, base, name).exists()]
    for done, name in enumerate(lacking, 1):
        path = volume_path(folder, base, name)
        there = str(path.relative_to(folder))
        if not remote.get(there, path):
            raise CohortError(
                f"{remote.address} lacks {there}; copy the whole cohort folder there."
            )
        if progress is not None:
            progress("volumes fetched", done, len(lacking))
    if faults := faults_of(found, (), progress):
        for fault in faults:  # the next call fetches them anew
            if fault.path is None:  # nobody knows which one is wrong
                shutil.rmtree(folder / "volumes" / base.digest)
            else:
                fault.path.unlink(missing_ok=True)
        raise CohortError(
            f"The volumes at {remote.address} are not those of cohort {found.digest}: they were "
            "copied in part, or ingested anew. Copy the whole cohort folder there again. "
            f"{faults[0].text}"
        )


class _Known(msgspec.Struct, frozen=True):
    folder: str


def note_cohort(cohort: Cohort) -> None:
    """Remember where a cohort lies that the user named; one in a store is named by its address.

    Where the cache cannot be written nothing is remembered.
    """
    folder = cohort.folder.resolve()
    if origin(cohort.folder) is None and known_cohort(cohort.digest) != folder:
        with suppress(OSError):
            write_json(_place(cohort.digest), {"folder": str(folder)})


def known_cohort(digest: str) -> Path | None:
    """The folder of the cohort with that digest, if it was named once and is still there."""
    with suppress(OSError, DataError):
        folder = Path(read_json(_place(digest), _Known, remedy="").folder)
        return folder if folder.is_dir() else None
    return None


def _place(digest: str) -> Path:
    return cache_folder() / "cohorts" / f"{hashlib.sha256(digest.encode()).hexdigest()[:32]}.json"
