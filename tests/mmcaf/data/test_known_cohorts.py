"""Where the user's cohorts lie is remembered by digest, in the program's own cache alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.known_cohorts import known_cohort, note_cohort


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_cohort_is_known_by_its_digest_where_it_was_named_last(
    cohort: Cohort, tmp_path: Path
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
