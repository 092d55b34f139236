"""A lease where no lock can be had: who may take it, who must stop, and when."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mmcaf.files.atomic import StorageError
from mmcaf.files.remote import Remote
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.storage import lease as module
from mmstudy.storage.lease import Lease, lease_holder

NAME = "driver.lease.json"
ELSEWHERE: dict[str, Any] = {"owner": "other", "host": "elsewhere", "process": 7, "beat": 0}


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A store in a folder, and times in hundredths of what they are."""
    for name in ("_BEAT_SECONDS", "_OWN_SECONDS", "_STALE_SECONDS", "_SETTLE_SECONDS"):
        monkeypatch.setattr(module, name, getattr(module, name) / 100)
    (tmp_path / "store").mkdir()
    return Remote.at(f"file://{tmp_path / 'store'}").child("s")


def put(remote: Remote, **changes: Any) -> None:
    value = ELSEWHERE | {"at": datetime.now(UTC).isoformat()} | changes
    remote.write(NAME, json.dumps(value).encode())


def beat_of(remote: Remote) -> dict[str, Any]:
    """The lease as it stands; a folder, unlike an object store, shows a file half-written."""
    while True:
        with suppress(ValueError):
            found: dict[str, Any] = json.loads(remote.read(NAME) or b"")
            return found


def eventually(holds: Any) -> bool:
    deadline = time.monotonic() + 120
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_while_it_is_held_it_is_renewed_and_afterwards_it_is_gone(remote: Remote) -> None:
    with Lease(remote) as lease:
        assert lease_holder(remote) == (socket.gethostname(), os.getpid())
        first = beat_of(remote)["beat"]
        assert eventually(lambda: beat_of(remote)["beat"] > first + 1)
        lease.check()
    assert remote.read(NAME) is None
    assert lease_holder(remote) is None


def test_a_living_holder_elsewhere_is_told_and_left_alone(remote: Remote) -> None:
    put(remote)
    real, beats = Remote.read, iter(range(1, 100))

    class Beating(Remote):
        def read(self, name: str) -> bytes | None:
            put(remote, beat=next(beats))
            return real(remote, name)

    living = Beating(remote.address, remote.files, remote.base)
    with (
        pytest.raises(UsageError, match=r"host elsewhere, process 7\. Wait for it"),
        Lease(living),
    ):
        pass
    assert beat_of(remote)["owner"] == "other"


def test_a_silent_holder_elsewhere_loses_it_after_a_while(remote: Remote) -> None:
    put(remote)
    begun = time.monotonic()
    with Lease(remote):
        assert time.monotonic() - begun >= module._STALE_SECONDS
        assert beat_of(remote)["owner"] != "other"


def test_a_dead_process_of_this_machine_is_not_waited_for(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STALE_SECONDS", 600.0)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    put(remote, host=socket.gethostname(), process=dead.pid)
    assert lease_holder(remote) is None
    begun = time.monotonic()
    with Lease(remote):
        assert time.monotonic() - begun < 300


def test_a_living_process_of_this_machine_holds_it(remote: Remote) -> None:
    put(remote, host=socket.gethostname(), process=os.getpid())
    assert lease_holder(remote) == (socket.gethostname(), os.getpid())


def test_a_lease_that_is_old_by_the_clock_has_no_holder(remote: Remote) -> None:
    put(remote, at=(datetime.now(UTC) - timedelta(seconds=30)).isoformat())
    assert lease_holder(remote) is None


def test_of_two_that_begin_together_the_later_write_has_it(remote: Remote) -> None:
    class Overtaken(Remote):
        def write(self, name: str, content: bytes) -> None:
            Remote.write(self, name, content)
            put(remote)  # another driver, right behind

    overtaken = Overtaken(remote.address, remote.files, remote.base)
    with pytest.raises(UsageError, match="host elsewhere, process 7"), Lease(overtaken):
        pass


def test_whoever_lost_it_stops_and_does_not_take_it_away_from_the_next(remote: Remote) -> None:
    with Lease(remote) as lease:
        put(remote)
        assert eventually(lambda: lease._lost)
        with pytest.raises(MMStudyError, match="Another driver has taken over this study"):
            lease.check()
    assert beat_of(remote)["owner"] == "other"


def test_a_holder_that_cannot_write_for_long_stops_before_another_may_begin(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module._OWN_SECONDS < module._STALE_SECONDS
    with Lease(remote) as lease:

        def fails(self: Remote, name: str, content: bytes) -> None:
            raise StorageError(5, "no store")

        monkeypatch.setattr(Remote, "write", fails)
        lease.check()
        time.sleep(module._OWN_SECONDS + 0.1)
        with pytest.raises(MMStudyError, match=r"could not be written for 0\.4 s, so another"):
            lease.check()
        monkeypatch.undo()


def test_one_write_that_fails_is_made_good_by_the_next(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = Remote.write, []

    def fails_once(self: Remote, name: str, content: bytes) -> None:
        if not failed:
            failed.append(name)
            raise StorageError(5, "for a moment")
        real(self, name, content)

    with Lease(remote) as lease:
        beat = beat_of(remote)["beat"]
        monkeypatch.setattr(Remote, "write", fails_once)
        assert eventually(lambda: beat_of(remote)["beat"] > beat)
        assert failed
        lease.check()


def test_a_holder_that_stood_still_while_it_looked_does_not_write_over_the_next(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []

    def slow(of: Remote) -> str | None:
        found = str(beat_of(of)["owner"])
        if not stopped:
            stopped.append(found)
            put(of)  # another takes over
            time.sleep(3 * module._BEAT_SECONDS)
        return found

    with Lease(remote) as lease:
        monkeypatch.setattr(module, "_owner", slow)
        assert eventually(lambda: stopped)
        assert eventually(lambda: lease._lost)
        assert beat_of(remote)["owner"] == "other"
        with pytest.raises(MMStudyError, match="taken over"):
            lease.check()
