"""Counts by state, kept up to date: against counting anew."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmstudy.driver import tally as module
from mmstudy.driver.tally import Standing, Tally
from mmstudy.storage.schema import State

events = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(State),
        st.none() | st.floats(0, 1),
        st.sampled_from([None, "oom", "infeasible: train.lr > 1"]),
    ),
    max_size=30,
)


def standing(of: Tally, *, asked: int = 10, running: int = 0) -> Standing:
    return of.standing(asked=asked, running=running, stopping=None)


def test_of_two_equals_the_earlier_trial_is_best_whichever_ended_first() -> None:
    tally = Tally()
    for number in (4, 2, 3):
        tally.set(number, State.COMPLETE, 0.7)
    assert tally.best == (0.7, 2)
    tally.set(9, State.COMPLETE, 0.71)
    assert tally.best == (0.71, 9)


@pytest.mark.parametrize("state", [State.PRUNED, State.FAIL, State.RUNNING])
def test_only_a_complete_trial_is_best(state: State) -> None:
    tally = Tally()
    tally.set(0, state, 0.9)
    assert tally.best is None
    assert standing(tally).best_number is None


def test_failed_trials_do_not_count_and_those_that_never_ran_are_told_apart() -> None:
    tally = Tally()
    tally.set(0, State.COMPLETE, 0.5)
    tally.set(1, State.PRUNED)
    tally.set(2, State.FAIL, reason="oom")
    tally.set(3, State.FAIL, reason="infeasible: x")
    tally.set(4, State.RUNNING)
    assert (tally.counted, tally.failed) == (2, 1)
    found = standing(tally, running=1)
    assert (found.complete, found.pruned, found.failed, found.infeasible) == (1, 1, 1, 1)


def test_infeasible_ones_in_a_row_are_counted_until_one_ran() -> None:
    tally = Tally()
    seen = []
    for number, (state, reason) in enumerate(
        [(State.FAIL, "infeasible"), (State.FAIL, "infeasible: y"), (State.RUNNING, None),
         (State.FAIL, "infeasible"), (State.FAIL, "oom"), (State.FAIL, "infeasible")]
    ):  # fmt: skip
        tally.set(number, state, reason=reason)
        seen.append(tally.infeasible_in_a_row)
    assert seen == [1, 2, 2, 3, 0, 1]


def test_time_left_is_from_trials_that_ended_here(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 130.0, 160.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    tally = Tally()
    tally.set(0, State.COMPLETE, 0.5)  # of an earlier driver
    assert standing(tally).seconds_left is None
    tally.set(1, State.RUNNING)
    assert standing(tally).seconds_left is None
    tally.set(1, State.COMPLETE, 0.6)
    assert standing(tally).seconds_left == 30.0 * 8
    tally.set(2, State.RUNNING)
    tally.set(2, State.FAIL, reason="oom")
    assert standing(tally).seconds_left == 60.0 / 2 * 8


def test_nothing_is_left_of_a_study_that_was_asked_for_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tally = Tally()
    tally.set(0, State.RUNNING)
    tally.set(0, State.COMPLETE, 0.5)
    assert standing(tally, asked=0).seconds_left == 0


@given(events)
def test_counts_are_those_of_counting_anew(
    happened: list[tuple[int, State, float | None, str | None]],
) -> None:
    tally, states = Tally(), {}
    for number, state, value, reason in happened:
        tally.set(number, state, value, reason)
        states[number] = state
    counted = Counter(states.values())
    assert tally.counted == counted[State.COMPLETE] + counted[State.PRUNED]
    found = standing(tally)
    assert (found.complete, found.pruned) == (counted[State.COMPLETE], counted[State.PRUNED])
