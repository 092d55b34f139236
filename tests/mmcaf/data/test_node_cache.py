"""A cohort at an address: fetched once, verified against its digest, then read like any other."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort, load
from mmcaf.data.node_cache import known_cohort, load_cohort, make_volumes, note_cohort
from mmcaf.data.volumes import VolumeSpec, built, open_volumes
from mmcaf.errors import DataError
from mmcaf.files.remote import place


@pytest.fixture
def store(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cohort's folder at an address, and a cache of its own."""
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    shutil.copytree(cohort.folder, tmp_path / "store")
    return tmp_path / "store"


def fetched(store: Path) -> Cohort:
    return load_cohort(place(f"file://{store}"))


def volume_of(folder: Path, cohort: Cohort, at: int = 0) -> Path:
    return folder / "volumes" / VolumeSpec(48).digest / f"{cohort.patients['volume'][at]}.npy"


def test_what_is_fetched_is_the_cohort_with_its_volumes(store: Path, cohort: Cohort) -> None:
    told: list[tuple[str, int, int]] = []
    found = load_cohort(place(f"file://{store}"), lambda *one: told.append(one))
    assert found.digest == cohort.digest
    assert found.folder != cohort.folder
    steps = ("volumes fetched", "volumes verified")
    assert told == [(what, n, 12) for what in steps for n in range(1, 13)]
    here, there = (open_volumes(one, VolumeSpec(48)) for one in (found, cohort))
    assert all(np.array_equal(here[case], there[case]) for case in there)


def test_a_second_time_nothing_is_fetched(store: Path) -> None:
    fetched(store)
    shutil.rmtree(store / "volumes")
    assert fetched(store).patients.height == 12


def test_a_fetch_that_was_cut_short_goes_on(store: Path, cohort: Cohort) -> None:
    lost = volume_of(store, cohort, at=5)
    lost.rename(store / "aside")
    with pytest.raises(DataError, match=rf"lacks .*{lost.name}; copy the whole cohort folder"):
        fetched(store)
    (store / "aside").rename(lost)
    assert fetched(store).digest == cohort.digest


def test_a_volume_that_is_another_s_is_refused(store: Path, cohort: Cohort) -> None:
    path = volume_of(store, cohort)
    volume = np.load(path)
    volume[0, 0, 0] += 1
    np.save(path, volume)
    with pytest.raises(DataError, match=f"are not those of cohort {cohort.digest}"):
        fetched(store)
    with pytest.raises(DataError, match="are not those of cohort"):  # and again, not kept as right
        fetched(store)
    volume[0, 0, 0] -= 1  # the folder is copied there again, as was asked
    np.save(path, volume)
    assert fetched(store).digest == cohort.digest


def test_a_damaged_volume_is_named_and_fetched_anew_later(store: Path, cohort: Cohort) -> None:
    path = volume_of(store, cohort)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(DataError, match=rf"Case {cohort.patients['case'][0]}: .*damaged"):
        fetched(store)
    path.write_bytes(whole)
    assert fetched(store).digest == cohort.digest


def test_a_cohort_ingested_anew_is_fetched_anew(
    store: Path, cohort: Cohort, tmp_path: Path
) -> None:
    copy = place(f"file://{store}")
    load_cohort(copy)
    text = (store / "cohort.json").read_text()
    (store / "cohort.json").write_text(text + "\n")  # written again, with the same content
    volume_of(copy, cohort).unlink()
    assert load_cohort(copy).digest == cohort.digest
    assert volume_of(copy, cohort).exists()


def test_an_address_without_a_cohort_is_told(tmp_path: Path, store: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"No cohort at file://.*empty: it has no cohort\.json"):
        fetched(tmp_path / "empty")


def test_a_plain_folder_is_read_as_it_is(cohort: Cohort) -> None:
    found = load_cohort(cohort.folder)
    assert (found.folder, found.digest) == (cohort.folder, cohort.digest)
    assert not (cohort.folder / ".verified.json").exists()


def test_volumes_that_are_there_need_no_folder_to_write_to(cohort: Cohort, tmp_path: Path) -> None:
    spec = VolumeSpec(17)  # which nobody else makes
    shutil.copytree(cohort.folder, tmp_path / "c")
    mine = load(tmp_path / "c")
    make_volumes(mine, spec)
    assert built(mine, spec)
    lock = tmp_path / "c" / f"..{spec.digest}.lock"
    assert lock.exists()
    lock.unlink()
    make_volumes(mine, spec)
    assert not lock.exists()


def test_patients_left_out_are_not_fetched(store: Path, cohort: Cohort) -> None:
    assert isinstance(fetched(store).patients, pl.DataFrame)
    extra = volume_of(store, cohort).with_name("extra.npy")
    np.save(extra, np.zeros(3))
    assert not volume_of(place(f"file://{store}"), cohort).with_name("extra.npy").exists()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_cohort_is_known_by_its_digest_where_it_was_named_last(
    cohort: Cohort, cache: Path, tmp_path: Path
) -> None:
    assert known_cohort(cohort.digest) is None
    moved = replace(cohort, folder=tmp_path / "moved")
    for one in (cohort, moved):
        one.folder.mkdir(exist_ok=True)
        note_cohort(one)
        assert known_cohort(one.digest) == one.folder
    shutil.rmtree(moved.folder)
    assert known_cohort(cohort.digest) is None


def test_a_digest_is_no_path(cohort: Cohort, cache: Path) -> None:
    note_cohort(replace(cohort, digest="../../x"))
    assert [path.parent.name for path in cache.rglob("*.json")] == ["cohorts"]


def test_without_a_cache_nothing_is_known_and_nothing_fails(cohort: Cohort, cache: Path) -> None:
    cache.write_text("a file")
    note_cohort(cohort)
    assert known_cohort(cohort.digest) is None


def test_a_damaged_note_is_none(cohort: Cohort, cache: Path) -> None:
    note_cohort(cohort)
    (note,) = cache.rglob("*.json")
    note.write_text("[")
    assert known_cohort(cohort.digest) is None
    note_cohort(cohort)
    assert known_cohort(cohort.digest) == cohort.folder
