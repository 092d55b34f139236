"""The same function over many tasks, on all cores, results in the order of the tasks.

Workers are fresh processes (polars and OpenCV do not survive a fork), so few tasks are done in this
one. Only a handful of tasks is ever under way: memory does not grow with their number.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from mmcaf.errors import DataError

__all__ = ["available_cores", "in_groups", "spread"]

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_groups(items: Iterable[Task], size: int) -> Iterator[list[Task]]:
    """`items` in lists of `size`, the last one perhaps shorter.

    >>> list(in_groups("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    left = iter(items)
    while group := list(islice(left, size)):
        yield group


def spread(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """`function` of every task; with one worker in this process.

    Raises:
        DataError: a worker died, most likely for want of memory.
    """
    if workers <= 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError(
                "A worker process died, most likely because memory ran out (or a script has no "
                "`if __name__ == '__main__':` around its call); what is done is kept. Run the same "
                "again, with one process (--jobs 1) if it happens again."
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def wait() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()
