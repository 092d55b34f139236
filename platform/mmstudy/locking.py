"""One driver per study: who holds the lock may write. It ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from mmstudy.errors import UsageError
from mmstudy.paths import StudyPaths

__all__ = ["driver_lock", "holder"]


@contextmanager
def driver_lock(paths: StudyPaths) -> Iterator[None]:
    """Hold the study's lock.

    Raises:
        UsageError: another driver runs the study; names its host and process.
    """
    paths.root.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"Another driver runs the study {paths.name}: {file.read().strip()}. "
                "Wait for it, or stop it first (`mmstudy stop`)."
            ) from None
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}")
        file.flush()
        yield
        file.truncate(0)


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
