"""One driver per study: seen from this process and from another one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mmstudy.errors import UsageError
from mmstudy.storage.lock import check_held, driver_lock, holder
from mmstudy.storage.paths import StudyPaths

DRIVES = """
import sys, time
from pathlib import Path
from mmstudy.storage.lock import driver_lock
from mmstudy.storage.paths import StudyPaths
with driver_lock(StudyPaths(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    return StudyPaths(tmp_path / "studies" / "s")


def test_who_holds_it_is_known_while_it_is_held(paths: StudyPaths) -> None:
    assert holder(paths) is None
    with driver_lock(paths):
        assert holder(paths) == (socket.gethostname(), os.getpid())
        check_held(paths)
    assert holder(paths) is None
    assert paths.lock.read_text() == ""


def test_a_second_driver_is_refused_and_told_who_has_it(paths: StudyPaths) -> None:
    with driver_lock(paths):
        with (
            pytest.raises(UsageError, match=rf"runs the study s: .*process {os.getpid()}\. Wait"),
            driver_lock(paths),
        ):
            pass
        assert holder(paths) == (socket.gethostname(), os.getpid())  # and it still has it


def test_looking_does_not_take_it_away(paths: StudyPaths) -> None:
    with driver_lock(paths):
        pass
    for _ in range(50):
        assert holder(paths) is None
        with driver_lock(paths):
            holder(paths)


def test_another_study_is_another_lock(paths: StudyPaths) -> None:
    with driver_lock(paths), driver_lock(StudyPaths(paths.root.with_name("other"))):
        assert holder(StudyPaths(paths.root.with_name("none"))) is None


def test_a_fault_gives_it_back(paths: StudyPaths) -> None:
    with pytest.raises(ZeroDivisionError), driver_lock(paths):
        _ = 1 / 0
    assert holder(paths) is None
    with driver_lock(paths):
        pass


def test_it_ends_with_a_driver_that_is_killed(paths: StudyPaths) -> None:
    """What the dead one wrote is still in the file; it says nothing."""
    command = [sys.executable, "-c", DRIVES, str(paths.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"held\n"
        assert holder(paths) == (socket.gethostname(), driver.pid)
        with pytest.raises(UsageError, match=f"process {driver.pid}"), driver_lock(paths):
            pass
        driver.kill()
        driver.wait()
    assert str(driver.pid) in paths.lock.read_text()
    assert holder(paths) is None
    with driver_lock(paths):
        assert holder(paths) == (socket.gethostname(), os.getpid())
