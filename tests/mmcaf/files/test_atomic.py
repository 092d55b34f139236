"""Files that appear whole or not at all, and one maker at a time."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmcaf.files.atomic import (
    StorageError,
    is_shared,
    locked,
    make_folder,
    replacing,
    write_json,
)

WRITES_AND_DIES = """
import os, sys
from pathlib import Path
from mmcaf.files.atomic import replacing
with replacing(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    os._exit(9)
"""
HOLDS = """
import sys, time
from pathlib import Path
from mmcaf.files.atomic import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_until_the_end_readers_see_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with replacing(path) as beside:
        beside.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    with replacing(path) as beside:
        beside.write_text("newer")
        assert path.read_text() == "new"
    assert path.read_text() == "newer"
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_readers_ignore_the_name_it_is_written_under(tmp_path: Path) -> None:
    with replacing(tmp_path / "table.parquet") as beside:
        beside.write_text("")
        assert beside.parent == tmp_path
        assert beside.name.startswith(".")
        assert list(tmp_path.glob("*.parquet")) == []


@pytest.mark.parametrize("fault", [ValueError("mine"), KeyboardInterrupt()])
def test_a_fault_leaves_the_old_file_and_nothing_else(tmp_path: Path, fault: BaseException) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as beside:
            beside.write_text("half")
            raise fault

    with pytest.raises(type(fault)):
        write()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_process_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", WRITES_AND_DIES, str(path)], check=False)
    assert done.returncode == 9
    assert path.read_text() == "old"
    with replacing(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new"


def test_where_nothing_can_be_written_it_is_told_with_path_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"Cannot write .*file/x") as told:
        write_json(tmp_path / "file" / "x", {})
    assert "Free some space or choose another folder" in str(told.value)
    assert told.value.errno is not None


def test_a_full_disk_is_a_storage_error_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    full = Path("/dev/full")
    with pytest.raises(StorageError, match="No space left"), replacing(path):
        full.write_text("x" * 100_000)
    assert path.read_text() == "old"


def test_nothing_written_is_told_and_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Cannot write"), replacing(tmp_path / "file"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_json_keeps_the_order_of_keys_and_every_letter(tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", {"z": "Größe 3 µm", "a": [1, None]})
    text = (tmp_path / "f.json").read_text("utf-8")
    assert "Größe 3 µm" in text
    assert text.endswith("}\n")
    assert list(json.loads(text).items()) == [("z", "Größe 3 µm"), ("a", [1, None])]


def test_what_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


def test_one_maker_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0
    together = threading.Barrier(4)

    def make() -> None:
        nonlocal inside, most
        together.wait()
        for _ in range(25):
            with locked(tmp_path / "made") as taken:
                assert taken
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)


def test_without_waiting_it_is_told_that_another_process_has_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "made"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with locked(path, wait=False) as taken:
            assert not taken
        other.kill()
        other.wait()
    with locked(path, wait=False) as taken:  # it ended with its process
        assert taken


def test_a_lock_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write beside"), locked(tmp_path / "file" / "x"):
        pass


def test_two_processes_write_beside_each_other(tmp_path: Path) -> None:
    with replacing(tmp_path / "f") as beside:
        beside.write_text("x")
        assert str(os.getpid()) in beside.name


@pytest.fixture
def open_umask(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """That of a user who lets everybody read."""
    monkeypatch.delenv("MMCAF_SHARED", raising=False)
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"{stat.S_IMODE(path.stat().st_mode):o}"
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.usefixtures("open_umask")
def test_what_is_made_is_for_its_user_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b" / "f", {})
    with locked(tmp_path / "c" / "g"):
        pass
    make_folder(tmp_path / "d" / "e")
    make_folder(tmp_path / "d" / "e")
    private = {"a": "700", "a/b": "700", "a/b/f": "600", "c": "700", "c/.g.lock": "600"}
    assert modes(tmp_path) == private | {"d": "700", "d/e": "700"}


@pytest.mark.usefixtures("open_umask")
def test_shared_the_umask_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCAF_SHARED", "1")
    write_json(tmp_path / "a" / "f", {})
    with locked(tmp_path / "a" / "g"):
        pass
    assert modes(tmp_path) == {"a": "755", "a/.g.lock": "644", "a/f": "644"}
    os.umask(0o027)
    write_json(tmp_path / "a" / "f", {})
    assert modes(tmp_path)["a/f"] == "640"


@pytest.mark.usefixtures("open_umask")
def test_folders_that_exist_keep_their_mode(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(0o755)
    (tmp_path / "a" / "old").write_text("")
    write_json(tmp_path / "a" / "f", {})
    assert modes(tmp_path) == {"a": "755", "a/f": "600", "a/old": "644"}


@pytest.mark.parametrize(("value", "shared"), [("", False), ("0", False), ("1", True)])
def test_sharing_is_asked_for(monkeypatch: pytest.MonkeyPatch, value: str, shared: bool) -> None:
    monkeypatch.setenv("MMCAF_SHARED", value)
    assert is_shared() is shared


def test_a_file_in_a_folder_s_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(OSError, match="f"):
        make_folder(tmp_path / "f" / "g")
