"""The order of candidates: what decides, what is a tie, and what a choice rests on."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from mmcaf.data.ingest.series.preference import Candidate, ranked, rests_on_kernel


def candidate(uid: str = "1", **changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "series_uid": uid,
        "begin_mm": 0.0,
        "annotated_slices": 0,
        "coverage_mm": 300.0,
        "kernel": "STANDARD",
        "spacing_mm": 5.0,
        "slices": 60,
        "phase": 0,
    }
    return Candidate(**values | changes)


def order(*given: Candidate) -> list[tuple[str, str | None]]:
    """Series and what spoke against them, the same from every order they are given in."""
    found = {
        tuple((place.candidate.series_uid, place.decided_by) for place in ranked(one))
        for one in permutations(given)
    }
    (only,) = found
    return list(only)


VALUES: dict[str, tuple[Any, Any]] = {  # what is asked, in this order: a better one, a worse one
    "annotated_slices": (9, 8),
    "coverage_mm": (300.0, 230.0),
    "kernel": ("STANDARD", "LUNG"),
    "spacing_mm": (5.0, 5.5),
    "slices": (60, 50),
    "phase": (1, 0),
}


@pytest.mark.parametrize("decides", VALUES)
def test_what_is_asked_first_decides_whatever_comes_later(decides: str) -> None:
    at = list(VALUES).index(decides)
    first = {name: pair[number > at] for number, (name, pair) in enumerate(VALUES.items())}
    other = {name: pair[number == at] for number, (name, pair) in enumerate(VALUES.items())}
    assert order(candidate("2", **first), candidate("1", **other)) == [("2", None), ("1", decides)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"coverage_mm": 300.0}, {"coverage_mm": 241.0}),
        ({"coverage_mm": 320.0}, {"coverage_mm": 900.0}),
        ({"spacing_mm": 5.0}, {"spacing_mm": 4.9994}),
        ({"spacing_mm": 0.7812499}, {"spacing_mm": 0.7812501}),
        ({"spacing_mm": 1.0}, {"spacing_mm": 0.97}),
        ({"slices": 60}, {"slices": 60}),
    ],
)
def test_nearly_equal_values_are_ties(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, other = candidate("1", **first), candidate("2", **second)
    assert order(one, other) == [("1", None), ("2", "tie")]


def test_a_slice_more_does_not_outdo_the_venous_phase() -> None:
    venous, early = candidate(phase=1, slices=63), candidate(phase=0, slices=64)
    assert [place.candidate.phase for place in ranked([early, venous])] == [1, 0]


def test_of_what_is_else_equal_the_one_with_more_slices_is_taken() -> None:
    assert order(candidate("1", slices=63), candidate("2", slices=64))[0] == ("2", None)


def test_a_whole_body_is_no_better_than_a_chest() -> None:
    body = candidate("1", coverage_mm=980.0, kernel="LUNG", slices=196)
    assert order(body, candidate("2", coverage_mm=320.0))[0] == ("2", None)


def test_kernels_are_preferred_by_what_is_known_of_them() -> None:
    kernels = {"1": "BONE", "2": None, "3": "DETAIL", "4": "STANDARD"}
    given = [candidate(uid, kernel=kernel) for uid, kernel in kernels.items()]
    assert order(*given) == [("4", None), ("3", "kernel"), ("2", "kernel"), ("1", "kernel")]


def test_the_others_come_in_the_order_in_which_they_would_be_taken() -> None:
    given = [
        candidate("1", coverage_mm=80.0),
        candidate("2", kernel="LUNG"),
        candidate("3"),
        candidate("4", spacing_mm=8.0),
    ]
    assert order(*given) == [
        ("3", None),
        ("4", "spacing_mm"),
        ("2", "kernel"),
        ("1", "coverage_mm"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "rests"),
    [
        ({"kernel": "STANDARD"}, {"kernel": "LUNG"}, False),
        ({"kernel": None}, {"kernel": "LUNG"}, False),  # both sharp: the tie stays as it is
        ({"kernel": None}, {"kernel": "LUNG", "spacing_mm": 1.0}, True),
        ({"kernel": "STANDARD"}, {"kernel": None}, False),
        ({"kernel": "STANDARD"}, {"kernel": None, "spacing_mm": 1.0}, True),
        ({"kernel": "DETAIL"}, {"kernel": None}, True),
        ({"kernel": None}, {"kernel": None}, True),
        ({"kernel": "new 7"}, {"kernel": "new 7", "spacing_mm": 8.0}, False),
        ({"kernel": "new 7"}, {"kernel": "new 8", "spacing_mm": 8.0}, True),
        ({"annotated_slices": 1, "kernel": None}, {"kernel": "STANDARD"}, False),
        ({"kernel": None}, {"kernel": "STANDARD", "coverage_mm": 80.0}, False),
        ({"kernel": None, "phase": 1}, {"kernel": None, "series_uid": "1"}, False),
    ],
)
def test_what_a_choice_rests_on(first: dict[str, Any], second: dict[str, Any], rests: bool) -> None:
    places = ranked([candidate("1", **first), candidate(**{"series_uid": "2"} | second)])
    assert places[0].index == 0
    assert rests_on_kernel(places) == rests


def test_a_single_candidate_has_no_rival() -> None:
    places = ranked([candidate(kernel=None)])
    assert [place.decided_by for place in places] == [None]
    assert not rests_on_kernel(places)
