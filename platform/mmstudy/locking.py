"""One driver per study: who holds the lock may write. It ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from mmstudy.errors import UsageError
from mmstudy.paths import StudyPaths

__all__ = ["driver_lock", "holder"]

_TRIES, _PAUSE_SECONDS = 5, 0.05


@contextmanager
def driver_lock(paths: StudyPaths) -> Iterator[None]:
    """Hold the study's lock.

    Raises:
        UsageError: another driver runs the study; names its host and process.
    """
    paths.root.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("a+", encoding="utf-8") as file:
        if not _taken(file):
            file.seek(0)
            raise UsageError(
                f"Another driver runs the study {paths.name}: {file.read().strip()}. "
                "Wait for it, or stop it first (`mmstudy stop`)."
            )
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}")
        file.flush()
        yield
        file.truncate(0)


def _taken(file: TextIO) -> bool:
    """Whether the lock is ours now; who only looks at it (`holder`) has it for a moment."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return True
    return False


def holder(paths: StudyPaths) -> tuple[str, int] | None:
    """Host and process of the driver that holds the lock; None where none does."""
    if not paths.lock.exists():
        return None
    with paths.lock.open("r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            host, _, process = file.read().removeprefix("host ").partition(", process ")
            return host, int(process)
    return None
