"""Folders by address: here `file://`, with the same calls as an object store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError
from mmcaf.files.home import from_home
from mmcaf.files.remote import Remote, address_of, cache_folder, origin, place


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def remote(store: Path) -> Remote:
    return Remote.at(f"file://{store}")


class TestAddress:
    @pytest.mark.parametrize("address", ["gs://bucket/x", "http://host/x", "relative/path"])
    def test_another_scheme_is_refused_with_what_it_should_be(self, address: str) -> None:
        with pytest.raises(DataError, match=rf"begins with s3://, got {address}"):
            Remote.at(address)

    @pytest.mark.parametrize("who", ["user:secret@", "user@", ":secret@"])
    def test_credentials_are_refused_and_not_repeated(self, who: str) -> None:
        with pytest.raises(DataError, match="AWS_ACCESS_KEY_ID") as told:
            Remote.at(f"s3://{who}bucket/x")
        assert "secret" not in str(told.value)
        assert "bucket" not in str(told.value)

    def test_a_child_keeps_the_options_behind_its_name(self, remote: Remote) -> None:
        with_query = Remote("s3://b/x/?region=eu&scheme=http", remote.files, "b/x")
        assert with_query.child("study 1").address == "s3://b/x/study 1?region=eu&scheme=http"
        assert with_query.child("study 1").base == "b/x/study 1"
        assert remote.child("a").address == f"{remote.address}/a"


class TestObjects:
    def test_what_is_written_is_read(self, remote: Remote, store: Path) -> None:
        remote.write("deep/er/name", b"\0\1")
        assert remote.read("deep/er/name") == b"\0\1"
        assert (store / "deep/er/name").read_bytes() == b"\0\1"
        assert remote.child("deep").read("er/name") == b"\0\1"

    def test_what_is_not_there_is_none(self, remote: Remote, tmp_path: Path) -> None:
        assert remote.read("none") is None
        assert remote.get("none", tmp_path / "copy") is False
        assert not (tmp_path / "copy").exists()
        assert remote.listed("none") == {}
        assert remote.child("none").folders() == []
        remote.delete("none")

    def test_a_file_goes_there_and_back_with_its_time(self, remote: Remote, tmp_path: Path) -> None:
        (tmp_path / "mine").write_bytes(b"x" * 1000)
        remote.put("a/mine", tmp_path / "mine")
        ((name, mark),) = remote.listed("a").items()
        assert name == "a/mine"
        assert mark[0] == 1000
        assert remote.get(name, tmp_path / "new" / "copy", mark)
        copied = (tmp_path / "new" / "copy").stat()
        assert (copied.st_size, copied.st_mtime_ns) == mark

    def test_a_changed_object_has_another_mark(self, remote: Remote, store: Path) -> None:
        remote.write("a", b"1")
        before = remote.listed()["a"]
        os.utime(store / "a", ns=(1, before[1] + 1000))
        assert remote.listed()["a"] != before

    def test_a_listing_names_files_only_and_folders_only(self, remote: Remote) -> None:
        for name in ("a", "s2/x", "s1/x", "s1/deep/y"):
            remote.write(name, b"")
        assert list(remote.listed()) == ["a"]
        assert list(remote.listed("s1")) == ["s1/x"]
        assert remote.folders() == ["s1", "s2"]

    @pytest.mark.parametrize("count", [0, 1, 40])
    def test_several_are_fetched_at_once_in_their_order(
        self, remote: Remote, tmp_path: Path, count: int
    ) -> None:
        for at in range(0, count, 2):
            remote.write(f"{at}", f"content {at}".encode())
        wanted = [(f"{at}", tmp_path / f"c{at}", None) for at in range(count)]
        assert remote.get_all(wanted) == [at % 2 == 0 for at in range(count)]
        for at in range(0, count, 2):
            assert (tmp_path / f"c{at}").read_text() == f"content {at}"

    def test_deleting_takes_one_or_all(self, remote: Remote, store: Path) -> None:
        for name in ("a", "s/x", "s/y/z"):
            remote.write(name, b"")
        remote.delete("a")
        assert remote.listed() == {}
        remote.child("s").delete_all()
        assert not (store / "s").exists()

    def test_what_cannot_be_stored_is_told_with_name_and_address(
        self, remote: Remote, store: Path
    ) -> None:
        (store / "file").write_text("")
        with pytest.raises(StorageError, match=rf"Cannot store file/x at file://{store}"):
            remote.write("file/x", b"")
        with pytest.raises(StorageError, match="Cannot delete"):
            remote.child("file").delete_all()

    def test_what_cannot_be_read_is_told_with_the_remedy(self, remote: Remote, store: Path) -> None:
        (store / "folder").mkdir()
        with pytest.raises(DataError, match="Are address, region and credentials right"):
            remote.read("folder")


class TestPlace:
    def test_a_path_is_itself(self, cache: Path) -> None:
        assert place("some/folder") == Path("some/folder")
        assert not cache.exists()

    def test_a_tilde_is_the_home_folder_at_the_start_only(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert place("~/cohort") == tmp_path / "cohort"
        assert place("a/~/b") == Path("a/~/b")
        assert place("~no-such-user/b") == Path.cwd() / "~no-such-user/b"  # read twice, it stays
        assert from_home("s3://bucket/~/b") == "s3://bucket/~/b"

    def test_an_address_has_one_copy_a_kind(self, store: Path, cache: Path) -> None:
        address = f"file://{store}"
        read, kept = place(address), place(address, "kept")
        assert place(address) == read
        assert read.is_relative_to(cache)
        assert read != kept
        assert place(f"{address}/other") != read

    def test_a_copy_knows_what_it_is_of(self, store: Path) -> None:
        folder = place(f"file://{store}")
        of = origin(folder)
        assert of is not None
        assert of.address == f"file://{store}"
        inner = origin(folder / "study")
        assert inner is not None
        assert inner.address == f"file://{store}/study"
        assert address_of(folder / "study") == f"file://{store}/study"

    def test_a_plain_folder_is_a_copy_of_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert origin(tmp_path) is None
        monkeypatch.chdir(tmp_path)
        assert address_of(Path("here")) == str(tmp_path / "here")

    def test_a_wrong_address_makes_no_folder(self, cache: Path) -> None:
        with pytest.raises(DataError):
            place("ftp://host/x")
        assert not cache.exists()

    def test_copies_lie_where_the_environment_says_or_at_home(
        self, monkeypatch: pytest.MonkeyPatch, cache: Path
    ) -> None:
        assert cache_folder() == cache
        monkeypatch.delenv("MMCAF_CACHE")
        monkeypatch.setenv("HOME", "/somewhere")
        assert cache_folder() == Path("/somewhere/.cache/mmstudy")


def test_a_mark_in_a_folder_from_somebody_else_means_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A received folder that names another study of the user, or a stranger's server."""
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    victim = f"file://{tmp_path}/victim"
    ours = place(victim)
    assert origin(ours) is not None
    received = tmp_path / "studies" / "stranger"
    disguised = tmp_path / "received" / "read" / ours.name
    for folder in (received, disguised, tmp_path / "studies"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".address").write_text(victim)
        assert origin(folder) is None
        assert origin(folder / "s") is None
        assert address_of(folder) == str(folder)


def test_a_mark_of_another_address_in_the_cache_means_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    folder = place(f"file://{tmp_path}/mine")
    (folder / ".address").write_text(f"file://{tmp_path}/theirs")
    assert origin(folder) is None


def test_a_link_into_the_cache_is_what_it_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    folder = place(f"file://{tmp_path}/mine")
    linked = tmp_path / folder.name
    linked.symlink_to(folder)
    assert address_of(folder) == f"file://{tmp_path}/mine"
    assert origin(linked) is not None
