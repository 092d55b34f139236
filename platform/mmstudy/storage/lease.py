"""One driver per study in an object store: a lease that is renewed while its driver lives.

The store offers no lock, and its client no conditional write; so this is what can be had. The
lease is one object. Its holder writes it anew every few seconds and, when that fails for long,
stops writing anything else. Who wants it waits until it has not changed for longer than that; no
two clocks are compared. What is left: two drivers that begin within a second of each other where
one then stalls for longer than `_SETTLE_SECONDS`, and a write already under way when the lease is
lost. Both end with the loser's stop; the next start mends its rows like those of a killed driver.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError
from mmcaf.files.remote import Remote
from mmcaf.files.untrusted import decode
from mmstudy.errors import MMStudyError, UsageError

__all__ = ["Lease", "lease_holder"]

_NAME = "driver.lease.json"
_BEAT_SECONDS = 5.0
_OWN_SECONDS = 40.0  # without a beat that could be written, the holder writes nothing any more
_STALE_SECONDS = 60.0  # without a beat that could be read, another may take it
_SETTLE_SECONDS = 2.0


class _Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What the object says: who holds the lease, and when it was last renewed."""

    owner: Annotated[str, Meta(max_length=100)]
    host: Annotated[str, Meta(max_length=300)]
    process: Annotated[int, Meta(ge=1, lt=2**31)]
    beat: Annotated[int, Meta(ge=0, lt=2**53)]
    at: Annotated[datetime, Meta(tz=True)]


class Lease:
    """The right to drive the study at `remote`; used as a context.

    Raises:
        UsageError: on entry, another driver has it; names its host and process.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote, self._owner = remote, uuid.uuid4().hex
        self._beats, self._last, self._lost = 0, time.monotonic(), False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        """Wait until it is certain that no other driver lives, then take it."""
        self._wait_for_silence()
        self._beat()
        time.sleep(_SETTLE_SECONDS)
        found = _read(self._remote)
        if found is None or found.owner != self._owner:
            raise _taken(self._remote, found)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self._ended.set()
        self._thread.join()
        with suppress(StorageError, DataError):
            if not self._lost and _owner(self._remote) == self._owner:
                self._remote.delete(_NAME)

    def check(self) -> None:
        """Whether it is still held.

        Raises:
            MMStudyError: it is not, or may soon not be; nothing more may be written.
        """
        if self._lost:
            raise MMStudyError("Another driver has taken over this study; this one stops.")
        if time.monotonic() - self._last > _OWN_SECONDS:
            raise MMStudyError(
                f"{self._remote.address} could not be written for {_OWN_SECONDS:g} s, so another "
                "driver may take over; this one stops. The same command goes on from there."
            )

    def _wait_for_silence(self) -> None:
        found, since = _read(self._remote), time.monotonic()
        if found is None or _is_dead(found):
            return
        while time.monotonic() - since < _STALE_SECONDS:
            time.sleep(min(1.0, _BEAT_SECONDS / 5))
            now = _read(self._remote)
            if now is None:
                return
            if (now.owner, now.beat) != (found.owner, found.beat):
                raise _taken(self._remote, now)

    def _renew(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with suppress(StorageError, DataError):  # the next beat may come through
                asked = time.monotonic()
                if _owner(self._remote) != self._owner:
                    self._lost = True
                    return
                if time.monotonic() - asked < _BEAT_SECONDS:  # else it stood still: ask again
                    self._beat()

    def _beat(self) -> None:
        begun = time.monotonic()
        beat = _Beat(
            owner=self._owner,
            host=socket.gethostname(),
            process=os.getpid(),
            beat=self._beats,
            at=datetime.now(UTC),
        )
        self._remote.write(_NAME, msgspec.json.encode(beat))
        self._beats, self._last = self._beats + 1, begun


def lease_holder(remote: Remote) -> tuple[str, int] | None:
    """Host and process of the driver that has the lease; trusts the two machines' clocks.

    Raises:
        DataError: the store cannot be reached, or the lease is damaged.
    """
    found = _read(remote)
    if found is None or _is_dead(found):
        return None
    age = (datetime.now(UTC) - found.at).total_seconds()
    return (found.host, found.process) if age < _STALE_SECONDS else None


def _is_dead(found: _Beat) -> bool:
    """Whether it is certain that the holder lives no more: a process of this very machine."""
    if found.host != socket.gethostname():
        return False
    try:
        os.kill(found.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _owner(remote: Remote) -> str | None:
    found = _read(remote)
    return found.owner if found else None


def _read(remote: Remote) -> _Beat | None:
    content = remote.read(_NAME)
    if not content:
        return None
    remedy = "If no driver runs, delete it."
    return decode(content, _Beat, source=f"{_NAME} at {remote.address}", remedy=remedy)


def _taken(remote: Remote, found: _Beat | None) -> UsageError:
    who = f"host {found.host}, process {found.process}" if found else "unknown"
    return UsageError(
        f"Another driver runs the study at {remote.address}: {who}. Wait for it, or stop it first."
    )
