"""Whether a cohort's volumes are those it was ingested with, and which case is not."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort, content_digest, load
from mmcaf.data.verification import check, open_verified, verify, volume_digest
from mmcaf.data.volumes import VolumeSpec, build, resized
from mmcaf.errors import CohortError
from mmcaf.files import remembered

INGESTED, SMALL = VolumeSpec(48), VolumeSpec(20)


@pytest.fixture
def mine(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cohort:
    """A copy that is remembered from the first moment on, in a cache of its own."""
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "_SETTLED_NS", -1)
    shutil.copytree(cohort.folder, tmp_path / "c")
    for size in (tmp_path / "c" / "volumes").iterdir():
        if size.name != INGESTED.digest:  # that other tests asked for
            shutil.rmtree(size)
    return load(tmp_path / "c")


def volume_of(cohort: Cohort, at: int = 0, spec: VolumeSpec = INGESTED) -> Path:
    return cohort.folder / "volumes" / spec.digest / f"{cohort.patients['volume'][at]}.npy"


def named(cohort: Cohort, at: int = 0) -> str:
    return f"Case {cohort.patients['case'][at]}: "


def without_facts(cohort: Cohort) -> None:
    for path in (cohort.folder / "volumes").rglob("*.json"):
        path.unlink()


def read_by(cohort: Cohort) -> int:
    """Files that a look at the cohort has to read."""
    told: list[tuple[str, int, int]] = []
    verify(cohort, lambda *one: told.append(one))
    assert told == [("volumes verified", n, len(told)) for n in range(1, len(told) + 1)]
    return len(told)


def test_a_cohort_as_it_was_ingested_has_no_fault_at_any_size(mine: Cohort) -> None:
    build(mine, SMALL)
    build(mine, VolumeSpec(31))
    assert verify(mine) == []
    check(mine, (20, 31, 48))


CHANGES = {
    "one voxel": lambda v: np.add(v, np.eye(1, v.size, 9, dtype=np.int16).reshape(v.shape)),
    "seven HU": lambda v: np.clip(v, -1024, 3000) + np.int16(7),
    "upside down": lambda v: v[::-1].copy(),
    "zeros": np.zeros_like,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("facts", [True, False])
def test_a_changed_volume_is_told_with_its_case(mine: Cohort, change: str, facts: bool) -> None:
    if not facts:  # then those of the first verification count
        without_facts(mine)
        assert verify(mine) == []
    path = volume_of(mine, 3)
    np.save(path, CHANGES[change](np.load(path)))
    (fault,) = verify(mine)
    assert fault.startswith(f"{named(mine, 3)}{path} has other voxels than were ingested.")
    with pytest.raises(CohortError, match=f"not as it was ingested; nothing runs.*\n.*{fault}"):
        check(mine)


def test_volumes_of_two_cases_cannot_be_exchanged(mine: Cohort) -> None:
    first, second = volume_of(mine, 0), volume_of(mine, 1)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert [fault.startswith((named(mine, 0), named(mine, 1))) for fault in verify(mine)] == [
        True
    ] * 2


def test_every_kind_of_damage_is_told_and_many_are_counted(mine: Cohort) -> None:
    volume_of(mine, 0).unlink()
    np.save(volume_of(mine, 1), np.zeros((12, 48, 48)))
    volume_of(mine, 2).unlink()
    os.mkfifo(volume_of(mine, 2))
    for at in range(3, 12):
        volume_of(mine, at).write_bytes(b"")
    faults = verify(mine)
    assert "is missing" in faults[0]
    assert "is a FIFO" in faults[1]
    assert "holds float64" in faults[2]
    assert len(faults) == 12
    with pytest.raises(CohortError, match=r"And 7 more\."):
        check(mine)


def test_without_facts_the_digest_alone_tells(mine: Cohort) -> None:
    without_facts(mine)
    np.save(volume_of(mine), np.load(volume_of(mine))[::-1].copy())
    (fault,) = verify(mine)
    assert f"do not give the cohort's digest {mine.digest}. Which case changed" in fault
    assert verify(mine) == [fault]
    assert read_by(mine) == 12  # nothing was remembered as right


def test_facts_that_were_changed_too_prove_nothing(mine: Cohort) -> None:
    path = volume_of(mine)
    other = np.load(path)[::-1].copy()
    np.save(path, other)
    facts = path.with_suffix(".json")
    text = json.loads(facts.read_text()) | {"sha256": volume_digest(other)}
    facts.write_text(json.dumps(text))
    assert "do not give the cohort's digest" in verify(mine)[0]


def test_rows_are_under_the_digest_too(mine: Cohort) -> None:
    turned = mine.patients.with_columns(label=1 - pl.col("label"))
    assert "Rows and volumes do not give" in verify(replace(mine, patients=turned))[0]


def test_values_that_are_no_hu_are_refused_in_a_cohort_of_one_piece(mine: Cohort) -> None:
    without_facts(mine)
    path = volume_of(mine, 2)
    volume = np.load(path)
    volume[0, 0, 0] = 5000
    np.save(path, volume)
    digests = {
        patient: volume_digest(np.load(volume_of(mine, at)))
        for at, patient in enumerate(mine.patients["patient_id"])
    }
    forged = replace(mine, digest=content_digest(mine.patients, digests))
    (fault,) = verify(forged)
    assert fault.startswith(named(mine, 2))
    assert "has values from -1024 to 5000" in fault


def test_a_smaller_volume_is_held_against_the_ingested_one(mine: Cohort) -> None:
    build(mine, SMALL)
    path = volume_of(mine, 5, SMALL)
    whole = path.read_bytes()
    np.save(path, np.load(path) + np.int16(1))
    (fault,) = verify(mine)
    assert fault.startswith(f"{named(mine, 5)}{path} is not what resampling the ingested volume")
    check(mine)  # nobody asks for it
    with pytest.raises(CohortError, match=r"Delete the file; it is made again"):
        open_verified(mine, SMALL)
    path.unlink()
    build(mine, SMALL)
    assert path.read_bytes() == whole
    assert list(open_verified(mine, SMALL)) == mine.patients["case"].to_list()


def test_a_few_halves_may_have_been_rounded_the_other_way(mine: Cohort) -> None:
    build(mine, SMALL)
    path = volume_of(mine, 1, SMALL)
    volume = np.load(path)
    volume[0, 0, :3] += 1
    np.save(path, volume)
    assert verify(mine) == []
    volume[0, 0, 0] += 1
    np.save(path, volume)
    assert len(verify(mine)) == 1


def test_a_damaged_smaller_volume_is_told(mine: Cohort) -> None:
    build(mine, SMALL)
    np.save(volume_of(mine, 0, SMALL), resized(np.load(volume_of(mine)), 18))
    volume_of(mine, 1, SMALL).unlink()
    volume_of(mine, 1, SMALL).symlink_to(volume_of(mine, 1))
    linked, cut = verify(mine)
    assert "is a link" in linked
    assert cut.startswith(named(mine, 0))
    assert "cannot be used" in cut


def test_a_file_is_read_once_per_state(mine: Cohort) -> None:
    build(mine, SMALL)
    assert read_by(mine) == 24
    assert read_by(mine) == 0
    path = volume_of(mine, 4)
    path.write_bytes(path.read_bytes())  # again, with the same content
    assert read_by(mine) == 1
    assert read_by(mine) == 0


def test_times_that_were_put_back_hide_nothing(mine: Cohort) -> None:
    assert verify(mine) == []
    path = volume_of(mine, 4)
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:  # the same inode and size
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (fault,) = verify(mine)
    assert fault.startswith(named(mine, 4))


def test_a_cohort_ingested_anew_in_its_place_is_read_anew(mine: Cohort) -> None:
    assert verify(mine) == []
    path = volume_of(mine)
    np.save(path, np.load(path)[::-1].copy())
    without_facts(mine)
    digests = {
        patient: volume_digest(np.load(volume_of(mine, at)))
        for at, patient in enumerate(mine.patients["patient_id"])
    }
    again = replace(mine, digest=content_digest(mine.patients, digests))
    assert verify(again) == []
    assert verify(mine)[0].startswith("Rows and volumes do not give")


def test_without_a_cache_it_is_verified_every_time(
    mine: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "file" / "cache"))
    assert read_by(mine) == read_by(mine) == 12
    np.save(volume_of(mine), np.zeros((12, 48, 48), dtype=np.int16))
    assert verify(mine)[0].startswith(named(mine))


def test_nothing_is_written_beside_the_volumes(mine: Cohort) -> None:
    before = sorted(mine.folder.rglob("*"))
    verify(mine)
    assert sorted(mine.folder.rglob("*")) == before
