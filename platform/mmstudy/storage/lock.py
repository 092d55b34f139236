"""One driver per study: who holds the lock may write. It ends with the process that holds it.

On a study in an object store a lease stands for the lock; `mmstudy.storage.lease` tells its
limits.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mmcaf.files.atomic import flocked, make_folder, open_for_locking
from mmcaf.files.remote import origin
from mmstudy.errors import UsageError
from mmstudy.storage.lease import Lease, lease_holder
from mmstudy.storage.paths import StudyPaths

__all__ = ["check_held", "driver_lock", "holder", "may_be_held"]

_TRIES, _PAUSE_SECONDS = 5, 0.05
_HOLDER, _MOST_TOLD = re.compile(r"host (\S{1,300}), process ([0-9]{1,9})"), 400
_held: dict[Path, Lease] = {}  # by this process


@contextmanager
def driver_lock(paths: StudyPaths) -> Iterator[None]:
    """Hold the study's lock.

    Raises:
        UsageError: another driver runs the study; names its host and process.
    """
    make_folder(paths.root)
    with open_for_locking(paths.lock) as file:
        if not _taken(file):
            raise UsageError(
                f"Another driver runs the study {paths.name}: {file.read(_MOST_TOLD).strip()}. "
                "Wait for it, or stop it first (`mmstudy stop`)."
            )
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}")
        file.flush()
        remote = origin(paths.root)
        if remote is None:
            yield
        else:
            with Lease(remote) as lease:
                _held[paths.root] = lease
                try:
                    yield
                finally:
                    del _held[paths.root]
        file.truncate(0)


def check_held(paths: StudyPaths) -> None:
    """Before the driver writes: whether a study in an object store is still its own.

    Raises:
        MMStudyError: another driver has taken over, or may soon.
    """
    if (lease := _held.get(paths.root)) is not None:
        lease.check()


def _taken(file: TextIO) -> bool:
    """Whether the lock is ours now; who only looks at it (`holder`) has it for a moment."""
    for _ in range(_TRIES):
        if flocked(file, wait=False):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def may_be_held(paths: StudyPaths) -> bool:
    """Whether the lock of a study in a folder says that somebody holds it, who may be dead by now.

    Who takes the lock writes into it, and empties it in the end; so most locks need not be opened.
    """
    try:
        return paths.lock.lstat().st_size > 0
    except FileNotFoundError:
        return False


def holder(paths: StudyPaths) -> tuple[str, int] | None:
    """Host and process of the driver that holds the lock; None where none does.

    Raises:
        StorageError: the lock is a link or no regular file.
        DataError: the study's store cannot be reached, or its lease is damaged.
    """
    if (remote := origin(paths.root)) is not None:
        return lease_holder(remote)
    if not may_be_held(paths):
        return None
    with open_for_locking(paths.lock) as file:
        if not flocked(file, wait=False):
            found = _HOLDER.fullmatch(file.read(_MOST_TOLD))
            return (found[1], int(found[2])) if found else ("unknown", 0)  # it is being written
    return None
