"""The disk that forgets does forget, and what `mmcaf.files.atomic` has written it keeps."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmcaf.files import atomic
from soak.disk import MODES, Change, read_log, rebuild
from soak.shim import built

Recorded = Callable[[str], list[Change]]


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    with built() as found:
        yield found


@pytest.fixture
def recorded(library: Path, tmp_path: Path) -> Recorded:
    """The changes that a few lines of Python make in the folder `f`, where they begin."""
    folder = tmp_path / "f"
    folder.mkdir()
    variables = {"LD_PRELOAD": str(library), "SOAK_FOLDER": str(folder)}
    variables["SOAK_LOG"] = str(tmp_path / "log")
    variables["PYTHONPATH"] = str(Path(atomic.__file__).parents[2])

    def run(code: str) -> list[Change]:
        words = [sys.executable, "-B", "-c", "import os\nfrom pathlib import Path\n" + code]
        subprocess.run(words, cwd=folder, env=os.environ | variables, check=True)
        return read_log(tmp_path / "log")

    return run


def held(changes: list[Change], tmp_path: Path, mode: str, seed: int = 0) -> dict[str, bytes]:
    out = tmp_path / f"out-{len(changes)}-{mode}-{seed}"
    chance = random.Random(seed)  # noqa: S311 - no secret
    rebuild(changes, tmp_path / "f", out, mode, chance)  # type: ignore[arg-type]
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_what_is_not_synced_is_lost(recorded: Recorded, tmp_path: Path) -> None:
    changes = recorded("Path('a').write_text('new')\nos.rename('a', 'b')")
    assert held(changes, tmp_path, "nothing") == {}
    assert held(changes, tmp_path, "names") == {"b": b""}  # as ext4 leaves it
    found = [held(changes, tmp_path, "any", seed).get("b") for seed in range(40)]
    assert {None, b"", b"new", bytes(3)} <= set(found)


def test_a_synced_file_needs_a_synced_folder_only_where_names_are_not_its_own(
    recorded: Recorded, tmp_path: Path
) -> None:
    changes = recorded("file = open('a', 'w')\nfile.write('new')\nfile.flush()\nos.fsync(file)")
    assert held(changes, tmp_path, "nothing") == {}
    assert held(changes, tmp_path, "names") == {"a": b"new"}


def test_a_name_comes_back_until_its_folder_is_synced(recorded: Recorded, tmp_path: Path) -> None:
    sync = "os.fsync(os.open('.', os.O_RDONLY))\n"
    changes = recorded(f"Path('a').touch()\n{sync}os.unlink('a')\n{sync}")
    assert held(changes[:-1], tmp_path, "nothing") == {"a": b""}
    assert held(changes, tmp_path, "nothing") == {}


def test_a_file_written_in_one_step_is_old_or_new_at_every_moment(
    recorded: Recorded, tmp_path: Path
) -> None:
    write = "with replacing(Path('deep/er/file')) as beside: beside.write_text('{}')\n"
    code = "from mmcaf.files.atomic import replacing\n"
    changes = recorded(code + write.format("old") + write.format("new"))
    renamed = [i for i, one in enumerate(changes) if one.kind == "R"]
    ends = [i + 2 for i in renamed]  # the folder is synced next
    assert [changes[i - 1].kind for i in ends] == ["D", "D"]
    for upto in range(len(changes) + 1):
        for mode in MODES:
            for seed in range(3):
                found = held(changes[:upto], tmp_path, mode, seed).get("deep/er/file")
                allowed = {b"new"} if upto >= ends[1] else {b"old", b"new"}
                assert found in allowed | (set() if upto >= ends[0] else {None})


def test_names_changed_without_libc_are_seen(recorded: Recorded, tmp_path: Path) -> None:
    changes = recorded(
        "import numpy, safetensors.numpy as st\nst.save_file({'a': numpy.ones(3)}, 'file')"
    )
    assert {one.kind for one in changes} >= {"C", "R"}
    assert held(changes, tmp_path, "names") == {"file": b""}
