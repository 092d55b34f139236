"""Which of a patient's stacks is taken, and which value decided against each of the others.

Criteria are asked in order. Each keeps the candidates that are as good as the best of those left,
within its tolerance: nearly equal values are ties and decide nothing. What is left after all of
them is told apart by the series UID and the position, never by names of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mmcaf.data.ingest.series.kernels import SHARPNESS, Sharpness, sharpness_of

__all__ = [
    "CRITERIA",
    "LAST_RESORT",
    "Candidate",
    "Criterion",
    "Place",
    "ranked",
    "rests_on_kernel",
]

_CHEST_MM = 300.0  # a chest is covered; more is other parts of the body, and no better


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What decides for or against a stack."""

    series_uid: str
    begin_mm: float  # position of the lowest slice
    annotated_slices: int
    coverage_mm: float  # along the normal, both end slices included
    kernel: str | None  # as the header has it
    spacing_mm: float
    slices: int
    phase: int  # which of its series' acquisitions, by time, from 0

    @property
    def sharpness(self) -> Sharpness:
        """Of its kernel."""
        return sharpness_of(self.kernel)


@dataclass(frozen=True, slots=True)
class Criterion:
    """`worth` is compared; candidates within `tolerance` of the best are tied."""

    name: str
    meaning: str
    worth: Callable[[Candidate], float]  # more is better
    tolerance: float = 0.0  # share of the best


CRITERIA = (
    Criterion(
        "annotated_slices",
        "more annotated slices: the lesion is covered",
        lambda of: of.annotated_slices,
    ),
    Criterion(
        "coverage_mm",
        "more of the chest along the body, up to 300 mm, by more than a fifth",
        lambda of: min(of.coverage_mm, _CHEST_MM),
        0.2,
    ),
    Criterion(
        "kernel",
        "a soft kernel before a medium one, an unknown one, a sharp one",
        lambda of: -SHARPNESS.index(of.sharpness),
    ),
    Criterion(
        "spacing_mm",
        "finer spacing, by more than a twentieth",
        lambda of: 1 / of.spacing_mm,
        0.05,
    ),
    Criterion("slices", "more slices, by more than a twentieth", lambda of: of.slices, 0.05),
    Criterion("phase", "a later phase of a series: the venous one", lambda of: of.phase),
)
LAST_RESORT = "tie"
"""Stands where no criterion decided: more slices, the smaller series UID, the lower position."""


@dataclass(frozen=True, slots=True)
class Place:
    """A candidate's place; they come in order, the one that is taken first."""

    index: int  # among the given ones
    candidate: Candidate
    decided_by: str | None  # the criterion that spoke against it; None for the one that is taken


def ranked(candidates: Sequence[Candidate]) -> list[Place]:
    """Candidates in the order of preference, each with the criterion by which it lost."""
    lost: dict[int, str] = {}
    order: list[int] = []
    left = list(range(len(candidates)))
    while left:
        rounds = dict(_eliminated(candidates, left))
        lost = lost or rounds
        order.append(next(index for index in left if index not in rounds))
        left.remove(order[-1])
    return [Place(index, candidates[index], lost.get(index)) for index in order]


def _eliminated(candidates: Sequence[Candidate], left: Sequence[int]) -> Iterator[tuple[int, str]]:
    """All of `left` but one, each with what it lost by."""
    kept = list(left)
    for criterion in CRITERIA:
        worth = {index: criterion.worth(candidates[index]) for index in kept}
        best = max(worth.values())
        least = best - criterion.tolerance * abs(best)
        yield from ((index, criterion.name) for index in kept if worth[index] < least)
        kept = [index for index in kept if worth[index] >= least]
    first = min(kept, key=lambda index: _last_resort(candidates[index]))
    yield from ((index, LAST_RESORT) for index in kept if index != first)


def _last_resort(of: Candidate) -> tuple[int, str, float]:
    return (-of.slices, of.series_uid, of.begin_mm)


def rests_on_kernel(places: Sequence[Place]) -> bool:
    """Whether another stack could be the first one, were unknown kernels known."""
    first = places[0].candidate
    for place in places[1:]:
        other = place.candidate
        same = other.series_uid == first.series_uid or (
            first.kernel is not None and first.kernel == other.kernel
        )
        if same or "unknown" not in (first.sharpness, other.sharpness):
            continue
        if ranked([_if_known(first, "LUNG"), _if_known(other, "SOFT")])[0].index == 1:
            return True
    return False


def _if_known(of: Candidate, kernel: str) -> Candidate:
    """The candidate, with `kernel` in the place of an unknown one."""
    return replace(of, kernel=kernel) if of.sharpness == "unknown" else of
