"""Ingestion on several processes, killed and continued."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from mmcaf.data.cohort import load
from mmcaf.data.ingest.run import check, ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write

pytestmark = pytest.mark.slow

CODE = """
import sys
from pathlib import Path
from mmcaf.data.ingest.run import ingest
if __name__ == "__main__":
    ingest([Path(sys.argv[1])], Path(sys.argv[2]), in_plane_px=48, workers=2)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,600 slices: enough for processes to be started."""
    folder = tmp_path_factory.mktemp("large") / "tree"
    write(folder, SyntheticSpec(patients=48, size=48, slices=25, seed=2))
    return folder


def start(tree: Path, out: Path) -> subprocess.Popen[bytes]:
    script = out.parent / "ingesting.py"
    script.write_text(CODE)
    return subprocess.Popen([sys.executable, str(script), str(tree), str(out)])


def wait(child: subprocess.Popen[bytes], out: Path, volumes: int | None, seconds: float) -> bool:
    """Until so many volumes are done, or else so many seconds; whether the child still runs."""
    begun = time.monotonic()
    while child.poll() is None:
        done = len(list(out.glob("volumes/*/*.json")))
        if done >= volumes if volumes is not None else time.monotonic() - begun > seconds:
            return True
        time.sleep(0.002)
    return False


def test_killed_at_random_moments_it_ends_with_the_same_cohort(tree: Path, tmp_path: Path) -> None:
    whole = ingest([tree], tmp_path / "whole", in_plane_px=48, workers=1)
    begun = time.monotonic()
    assert start(tree, tmp_path / "timed").wait() == 0
    length = time.monotonic() - begun
    assert load(tmp_path / "timed").digest == whole.digest  # two processes, the same cohort
    random = np.random.default_rng(0)
    killed = 0
    while killed < 6:
        out = tmp_path / f"killed-{killed}"
        begun = time.monotonic()
        child = start(tree, out)
        # Every other one dies while volumes are written, wherever the load puts that moment.
        volumes = int(random.integers(1, 44)) if killed % 2 else None
        if not wait(child, out, volumes, random.uniform(0.35, 0.98) * length):
            length = time.monotonic() - begun  # it was done before the moment came
            shutil.rmtree(out)
            continue
        workers = psutil.Process(child.pid).children(recursive=True)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        killed += 1
        _, alive = psutil.wait_procs(workers, timeout=120)
        assert not alive, "a worker outlived its parent"
        kept = len(list(out.glob("volumes/*/*.json")))
        assert ingest([tree], out, in_plane_px=48, workers=1).digest == whole.digest
        sys.stdout.write(f"killed with {kept} of 48 volumes done: the same digest\n")
        assert not list(out.rglob(".*.tmp-*"))
        assert not (out / "index").exists()


CHECK = """
import sys
from pathlib import Path
from mmcaf.data.ingest.run import check
check([Path(sys.argv[1])], in_plane_px=48, workers=1)
"""


def test_a_killed_check_leaves_nothing_where_it_read_or_stood(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    stands, before = tmp_path / "stands", sorted(tree.rglob("*"))
    stands.mkdir()
    child = subprocess.Popen([sys.executable, "-c", CHECK, str(tree)], cwd=stands)
    assert wait(child, next_place(tmp_path / "cache" / "check", child), 3, 60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert sorted(tree.rglob("*")) == before
    assert list(stands.iterdir()) == []
    assert list((tmp_path / "cache" / "check").iterdir())
    check([tree], in_plane_px=48, workers=1)
    assert list((tmp_path / "cache" / "check").iterdir()) == []


def next_place(home: Path, child: subprocess.Popen[bytes]) -> Path:
    """The folder that a check has made in `home`, once it is there."""
    while child.poll() is None:
        if home.is_dir() and (found := list(home.iterdir())):
            return found[0]
        time.sleep(0.01)
    raise AssertionError("The check ended too early.")
