"""A file of a stranger is data: no link is followed, nothing waits, a wrong type is a sentence."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from mmcaf.errors import DataError
from mmcaf.files import untrusted


class Note(msgspec.Struct):
    name: str
    numbers: list[int] = []


def read(path: Path) -> Note:
    return untrusted.read_json(path, Note, remedy="Copy it again.")


def test_what_is_right_is_read(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    path.write_text('{"name": "a", "numbers": [1, 2], "later": true}')
    assert read(path) == Note("a", [1, 2])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "truncated"),
        ('{"name": "a"', "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"name": 5}', r"Expected `str`, got `int` - at `\$.name`"),
        ('{"name": "a", "numbers": [1, "x"]}', r"\$.numbers\[1\]"),
        ('{"numbers": []}', "missing required field `name`"),
        ("[" * 200_000, "Expected `object`"),
        ('{"later": ' + "[" * 200_000 + "}", "nested too deeply"),
        (b"\xff\xfe\x00", "malformed|invalid"),
        ('{"name": "\ud800"}'.encode("utf-8", "surrogatepass"), "Invalid UTF-8|invalid"),
    ],
)
def test_what_is_wrong_is_a_sentence_with_file_field_and_remedy(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    path = tmp_path / "note.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=rf"note\.json is damaged: .*({told}).* Copy it again\."):
        read(path)


def test_a_missing_file_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.json")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"name": "of somebody else"}')
    link, fifo, folder, sock = (tmp_path / name for name in ("link", "fifo", "folder", "sock"))
    link.symlink_to(secret)
    os.mkfifo(fifo)
    folder.mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(sock))
    for path, kind in ((link, "link"), (fifo, "FIFO"), (folder, "folder"), (sock, "sock")):
        with pytest.raises(DataError, match=kind):
            read(path)
        with pytest.raises(DataError, match=kind):
            untrusted.checked(path, tmp_path)
    server.close()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(DataError, match="larger than 100 bytes"):
        untrusted.read_bytes(path, most=100)


def test_a_small_file_is_read_in_one_go_and_a_larger_one_not(tmp_path: Path) -> None:
    path = tmp_path / "some"
    path.write_bytes(b"x" * 100)
    assert untrusted.read_if_small(path, 100) == b"x" * 100
    assert untrusted.read_if_small(path, 99) is None
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="link"):
        untrusted.read_if_small(tmp_path / "link", 100)
    for other, kind in ((tmp_path / "fifo", "FIFO"), (tmp_path, "folder")):
        with pytest.raises(DataError, match=kind):
            untrusted.read_if_small(other, 100)


@pytest.mark.parametrize("text", ["", "/etc/passwd", "../x", "a/../../x", "a\0b", "..", "link/x"])
def test_a_way_out_of_the_folder_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(DataError):
        untrusted.within(tmp_path, text)


def test_a_way_inside_is_followed_and_the_folder_may_be_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "a").mkdir(parents=True)
    link.symlink_to(real)
    assert untrusted.within(link, "a/b.json") == link / "a/b.json"


class TestArrays:
    @pytest.mark.parametrize(
        "array", [np.arange(6.0).reshape(2, 3), np.int16(3), np.zeros((0, 2)), np.ones(2, bool)]
    )
    def test_what_numpy_saved_is_opened(self, tmp_path: Path, array: Any) -> None:
        np.save(tmp_path / "a.npy", array)
        found = untrusted.open_array(tmp_path / "a.npy")
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)

    def test_changes_stay_in_memory(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros(3))
        untrusted.open_array(tmp_path / "a.npy", mode="c")[0] = 1
        assert not np.load(tmp_path / "a.npy").any()

    @pytest.mark.parametrize(
        "header",
        [
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '<x9', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
            "(" * 500,
            "",
        ],
        ids=lambda header: header[:40],
    )
    def test_a_header_of_another_kind_is_told(self, tmp_path: Path, header: str) -> None:
        text = (header + "\n").encode()
        start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
        (tmp_path / "a.npy").write_bytes(start + text + bytes(8))
        with pytest.raises(DataError, match=r"a\.npy is damaged"):
            untrusted.open_array(tmp_path / "a.npy")


class TestManyFiles:
    def test_a_link_among_them_or_on_the_way_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x").write_text("")
        untrusted.all_checked([tmp_path / "a" / "x", tmp_path / "a" / "gone"], tmp_path)
        (tmp_path / "b").symlink_to(tmp_path / "a")
        (tmp_path / "a" / "l").symlink_to(tmp_path)
        for way in ("a/l", "b/x"):
            with pytest.raises(DataError, match="is a link"):
                untrusted.all_checked([tmp_path / "a" / "x", tmp_path / way], tmp_path)

    def test_what_is_replaced_may_be_a_link_itself(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "l").symlink_to(tmp_path)
        assert untrusted.straight(tmp_path / "a" / "l", tmp_path) == tmp_path / "a" / "l"
