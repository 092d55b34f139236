"""How a driver is asked to stop: a signal to its process, or a file in its study's folder.

The file is for whoever shares the folder, or its store, but not the machine: a driver that was
submitted to a cluster, or runs in a container, has a process number that means nothing elsewhere.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mmcaf.errors import DataError
from mmstudy.storage.folder import StudyFolder

__all__ = ["ask_to_stop", "stoppable"]

_LOOK_SECONDS = 1.0
_LOOK_STORE_SECONDS = 5.0


def ask_to_stop(folder: StudyFolder) -> None:
    """Ask the driver of the study to stop after the epochs now being trained.

    Raises:
        StorageError: the request cannot be left in the study's store.
    """
    folder.put_text(folder.stop, "")


@contextmanager
def stoppable(
    folder: StudyFolder, interrupt: Callable[[], None], interrupted: Callable[[], bool]
) -> Iterator[None]:
    """The first SIGINT, SIGTERM or request calls `interrupt`; a second signal stops at once.

    Args:
        folder: of the study, whose lock this process holds.
        interrupt: may only set flags.
        interrupted: whether it was called.
    """

    def stop(*_: object) -> None:
        if interrupted():
            raise KeyboardInterrupt
        interrupt()

    with _requests(folder, interrupt):
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
def _requests(folder: StudyFolder, interrupt: Callable[[], None]) -> Iterator[None]:
    folder.drop(folder.stop)  # meant for an earlier driver
    over, pause = threading.Event(), _LOOK_STORE_SECONDS if folder.stored else _LOOK_SECONDS

    def look() -> None:
        while not over.wait(pause):
            with suppress(DataError):  # a store that cannot be reached now
                folder.fetch(folder.stop)
            if folder.stop.exists():
                interrupt()
                return

    watch = threading.Thread(target=look, name="stop requests", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()
        if folder.stop.exists():
            folder.drop(folder.stop)
