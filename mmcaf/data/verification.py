"""Whether a cohort's volumes are those it was ingested with.

Rows and content of all volumes give the cohort's digest. Which case changed is told by the digests
that ingestion wrote beside the volumes, or by those of an earlier verification: either counts only
if it gives the cohort's own digest. A file is read once per state of it (`mmcaf.files.remembered`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from mmcaf.data.cohort import Cohort, content_digest
from mmcaf.data.volumes import (
    HU_RANGE,
    Hu,
    VolumeSpec,
    open_volume,
    open_volumes,
    resized,
    volume_path,
)
from mmcaf.errors import CohortError, DataError
from mmcaf.files.remembered import Remembered, State, remembered, state_of
from mmcaf.files.untrusted import read_json, within

__all__ = ["Fault", "check", "faults_of", "open_verified", "verify", "volume_digest"]

Progress = Callable[[str, int, int], None]

_MOST_TOLD = 5
_ROUNDED_APART = 0.01  # of voxels: other builds of OpenCV round some the other way


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one volume, or with all together."""

    text: str
    path: Path | None = None  # None: nobody knows which


@dataclass(frozen=True, slots=True)
class _File:
    """One volume at one size."""

    patient: str
    case: str
    name: str
    slices: int
    spec: VolumeSpec
    path: Path
    state: State

    @property
    def key(self) -> str:
        return f"{self.spec.digest}/{self.name}"


class _Facts(msgspec.Struct):
    """What ingestion wrote beside a volume, as far as it is read here."""

    sha256: str


def verify(
    cohort: Cohort, progress: Progress | None = None, *, sides: Sequence[int] | None = None
) -> list[str]:
    """Every fault of the cohort's volumes; empty where all is as it was ingested.

    Each names the case, the file and what to do.

    Args:
        cohort: rows and volumes.
        progress: told of every file that has to be read.
        sides: sizes made from the ingested one that are looked at too, where they were made; all
            that were, unless given.
    """
    if sides is None:
        folder = cohort.folder / "volumes"
        smaller = range(16, cohort.in_plane_px)
        sides = [side for side in smaller if (folder / VolumeSpec(side).digest).is_dir()]
    return [fault.text for fault in faults_of(cohort, sides, progress)]


def check(cohort: Cohort, sides: Sequence[int] = (), progress: Progress | None = None) -> None:
    """Refuse a cohort whose volumes are not those it was ingested with.

    Args:
        cohort: rows and volumes.
        sides: sizes made from the ingested one that are going to be used; what is not made yet is
            passed over.
        progress: told of every file that has to be read.

    Raises:
        CohortError: names the cases.
    """
    found = verify(cohort, progress, sides=sides)
    if found:
        more = len(found) - _MOST_TOLD
        told = [*found[:_MOST_TOLD], *([f"And {more} more."] if more > 0 else [])]
        raise CohortError(
            f"The cohort in {cohort.folder} is not as it was ingested; nothing runs on it:\n"
            + "\n".join(f"  - {one}" for one in told)
        )


def open_verified(
    cohort: Cohort, spec: VolumeSpec, progress: Progress | None = None
) -> dict[str, Hu]:
    """`volumes.open_volumes`, after `check`.

    Raises:
        CohortError: a volume is not what was ingested, or is missing.
    """
    check(cohort, (spec.in_plane_px,), progress)
    return open_volumes(cohort, spec)


def volume_digest(volume: Hu) -> str:
    """SHA-256 of a volume's voxels in C order."""
    return hashlib.sha256(np.ascontiguousarray(volume).data).hexdigest()


def faults_of(
    cohort: Cohort, sides: Sequence[int], progress: Progress | None = None
) -> list[Fault]:
    """Faults of the volumes as ingested, and of those made from them with slices of `sides`."""
    base = VolumeSpec(cohort.in_plane_px)
    faults: list[Fault] = []
    with remembered(cohort.folder) as known:
        ingested = list(_files(cohort, base, faults))
        smaller = [VolumeSpec(side) for side in sides if side != base.in_plane_px]
        made = [file for spec in smaller for file in _files(cohort, spec, faults)]
        proven = _proven(cohort, known)
        unread = [one for one in (*ingested, *made) if known.get(one.key, one.state) is None]
        told = _Counted(progress, len(unread))
        found = dict(_digests(ingested, known, faults, told))
        faults += _changed(cohort, ingested, found, proven)
        wrong = {fault.path for fault in faults}
        if None not in wrong:
            right = [one for one in ingested if one.path not in wrong]
            for one in right:
                _keep(known, one, found[one.patient])
            whole = {one.patient: one for one in right}
            faults += _badly_made(made, whole, found, known, told)
    return faults


@dataclass(slots=True)
class _Counted:
    """Tells the progress of reading `of` files."""

    progress: Progress | None
    of: int
    done: int = 0

    def one(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress("volumes verified", self.done, self.of)


def _files(cohort: Cohort, spec: VolumeSpec, faults: list[Fault]) -> Iterator[_File]:
    """The volumes of `spec` that lie there; that an ingested one does not is a fault."""
    columns = ("patient_id", "case", "volume", "n_slices")
    for patient, case, name, slices in cohort.patients.select(columns).iter_rows():
        path = cohort.folder / "volumes" / spec.digest / f"{name}.npy"
        try:
            state = state_of(volume_path(cohort.folder, spec, name))
        except FileNotFoundError:
            if spec.in_plane_px == cohort.in_plane_px:
                text = f"Case {case}: {path} is missing; copy it again from where it was made."
                faults.append(Fault(text, path))
        except (OSError, CohortError) as error:
            faults.append(Fault(f"Case {case}: {error}", path))
        else:
            yield _File(patient, case, name, slices, spec, path, state)


def _proven(cohort: Cohort, known: Remembered) -> Mapping[str, str] | None:
    """Patient -> digest of the volume, if they give the cohort's digest; None where none do."""
    base = VolumeSpec(cohort.in_plane_px).digest
    rows = cohort.patients.select("patient_id", "volume").rows()
    earlier = {patient: known.files.get(f"{base}/{name}") for patient, name in rows}
    kept = {patient: of[1] for patient, of in earlier.items() if of is not None}
    if content_digest(cohort.patients, kept) == cohort.digest:
        return kept
    written: dict[str, str] = {}
    for patient, name in rows:
        try:
            path = within(cohort.folder, f"volumes/{base}/{name}.json")
            facts = read_json(path, _Facts, remedy="")
        except (OSError, DataError):
            return None
        written[patient] = facts.sha256
    return written if content_digest(cohort.patients, written) == cohort.digest else None


def _digests(
    files: Sequence[_File], known: Remembered, faults: list[Fault], told: _Counted
) -> Iterator[tuple[str, str]]:
    """Patient -> digest of the volume; what cannot be read is a fault."""
    for one in files:
        digest = known.get(one.key, one.state)
        if digest is None:
            try:
                volume = _opened(one)
            except CohortError as error:
                faults.append(Fault(str(error), one.path))
                continue
            finally:
                told.one()
            digest = volume_digest(volume)
        yield one.patient, digest


def _opened(one: _File) -> Hu:
    volume = open_volume(one.path, one.spec.in_plane_px, case=one.case, slices=one.slices)
    low, high = int(volume.min()), int(volume.max())
    if low < HU_RANGE[0] or high > HU_RANGE[1]:
        raise CohortError(
            f"Case {one.case}: {one.path} has values from {low} to {high}, no HU that ingestion "
            f"writes ({HU_RANGE[0]} to {HU_RANGE[1]}); ingest the cohort again."
        )
    return volume


def _changed(
    cohort: Cohort,
    files: Sequence[_File],
    found: Mapping[str, str],
    proven: Mapping[str, str] | None,
) -> Iterator[Fault]:
    """Volumes of another content than was ingested."""
    if proven is not None:
        for one in files:
            if one.patient in found and found[one.patient] != proven[one.patient]:
                text = (
                    f"Case {one.case}: {one.path} has other voxels than were ingested. Copy it "
                    "again from where the cohort was made, or ingest the cohort again."
                )
                yield Fault(text, one.path)
    elif len(found) == cohort.patients.height and (
        content_digest(cohort.patients, found) != cohort.digest
    ):
        yield Fault(
            f"Rows and volumes do not give the cohort's digest {cohort.digest}. Which case changed "
            "cannot be told: the digests that ingestion wrote beside the volumes are missing, or "
            "are others too. Copy the whole cohort folder again, or ingest it again."
        )


def _badly_made(
    made: Sequence[_File],
    whole: Mapping[str, _File],
    found: Mapping[str, str],
    known: Remembered,
    told: _Counted,
) -> Iterator[Fault]:
    """Volumes that are not what resampling the ingested one gives."""
    for one in made:
        of = whole.get(one.patient)
        if of is None or known.get(one.key, one.state) == found[one.patient]:
            continue
        try:
            alike = _alike(_opened(one), resized(_opened(of), one.spec.in_plane_px))
            why = "is not what resampling the ingested volume gives"
        except CohortError as error:
            alike, why = False, f"cannot be used ({error})"
        told.one()
        if alike:
            _keep(known, one, found[one.patient])
        else:
            text = f"Case {one.case}: {one.path} {why}. Delete the file; it is made again."
            yield Fault(text, one.path)


def _alike(volume: Hu, made: Hu) -> bool:
    """Whether two volumes differ in nothing but how a few halves were rounded."""
    if volume.shape != made.shape:
        return False
    apart = np.abs(volume.astype(np.int32) - made)
    return bool(apart.max() <= 1 and np.count_nonzero(apart) <= _ROUNDED_APART * apart.size)


def _keep(known: Remembered, one: _File, digest: str) -> None:
    """Remember of which ingested content the file is, if it is still the one that was read."""
    with suppress(OSError):
        if known.get(one.key, one.state) != digest and state_of(one.path) == one.state:
            known.keep(one.key, one.state, digest)
