"""How a driver is asked to stop: a signal to its process, or a file in its study's folder.

The file is for whoever shares the folder but not the machine: a driver that was submitted to a
cluster, or runs in a container, has a process number that means nothing elsewhere.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmstudy.storage.paths import StudyPaths

__all__ = ["ask_to_stop", "stoppable"]

_LOOK_SECONDS = 1.0


def ask_to_stop(paths: StudyPaths) -> None:
    """Ask the driver of the study to stop after the epochs now being trained."""
    paths.stop.touch()


@contextmanager
def stoppable(
    paths: StudyPaths, interrupt: Callable[[], None], interrupted: Callable[[], bool]
) -> Iterator[None]:
    """The first SIGINT, SIGTERM or request calls `interrupt`; a second signal stops at once.

    Args:
        paths: of the study, whose lock this process holds.
        interrupt: may only set flags.
        interrupted: whether it was called.
    """

    def stop(*_: object) -> None:
        if interrupted():
            raise KeyboardInterrupt
        interrupt()

    with _requests(paths, interrupt):
        if threading.current_thread() is not threading.main_thread():  # only that gets signals
            yield
            return
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _requests(paths: StudyPaths, interrupt: Callable[[], None]) -> Iterator[None]:
    paths.stop.unlink(missing_ok=True)  # meant for an earlier driver
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            if paths.stop.exists():
                interrupt()
                return

    watch = threading.Thread(target=look, name="stop requests", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()
        paths.stop.unlink(missing_ok=True)
