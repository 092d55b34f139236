"""The same function over many tasks, in this process or in several."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mmcaf.data.ingest.workers import available_cores, in_groups, spread
from mmcaf.errors import DataError


def own_process(task: int) -> tuple[int, int]:
    return task, os.getpid()


def ends_at_three(task: int) -> int:
    if task == 3:
        os._exit(9)
    return task


def fails_at_three(task: int) -> int:
    if task == 3:
        raise ValueError("three")
    return task


def test_one_worker_is_this_process_and_does_no_more_than_is_asked_for() -> None:
    begun = []

    def tasks() -> Iterator[int]:
        for task in range(100):
            begun.append(task)
            yield task

    results = spread(own_process, tasks(), 1)
    assert [next(results) for _ in range(3)] == [(n, os.getpid()) for n in range(3)]
    assert begun == [0, 1, 2]


def test_several_give_the_results_in_the_order_of_the_tasks_from_other_processes() -> None:
    begun = []

    def tasks() -> Iterator[int]:
        for task in range(24):
            begun.append(task)
            yield task

    results = spread(own_process, tasks(), 2)
    first = next(results)
    assert len(begun) == 6  # three a worker are under way, never all
    found = [first, *results]
    assert [task for task, _ in found] == list(range(24))
    assert os.getpid() not in {process for _, process in found}


def test_a_worker_that_dies_is_told_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"worker process died.*--jobs 1"):
        list(spread(ends_at_three, range(8), 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_raises_is_raised(workers: int) -> None:
    with pytest.raises(ValueError, match="three"):
        list(spread(fails_at_three, range(8), workers))


def test_groups_hold_everything_once_in_order() -> None:
    assert list(in_groups(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_groups([], 3)) == []
    assert list(in_groups(iter("ab"), 2)) == [["a", "b"]]


def test_cores_are_those_this_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert available_cores() == len(before)
