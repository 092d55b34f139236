"""Which cases train, which validate, which are set aside for testing.

Decided once per study from case names, labels, groups and a seed; independent of the order of
rows. Stratified by class; a group (one patient under two ids, say) never crosses a border. Test
cases are set aside first and appear in no fold. Sizes are counted in groups, which are single cases
in nearly every cohort.

`paper43` has the published network's own 43 test patients (28 adenocarcinoma, 15 squamous), and of
the rest a fixed 37 to validate (25 and 12), as many as the authors had: which ones they were is not
published, so ours are drawn from the patients' ids, alike in every cohort; other seeds give others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, get_args

import numpy as np
from msgspec import Meta

__all__ = ["PAPER_TEST_IDS", "Fold", "Protocol", "Split", "assign"]

Kind = Literal["holdout", "kfold", "paper43"]

# Recovered from the authors' published predictions.
_PAPER_ADENO = """1 6 13 18 32 46 58 72 78 82 86 108 117 118 123 130 133 142 144 148 166 170 176 181
223 256 257 265"""
_PAPER_SQUAMOUS = "6 7 15 18 24 35 37 38 40 41 45 47 53 60 62"
_PAPER_VALIDATION = (25, 12)  # adenocarcinoma, squamous
_PAPER_REST = (223, 46)  # of each class outside the test set
PAPER_TEST_IDS = tuple(
    f"{letter}{int(number):04d}"
    for letter, numbers in (("A", _PAPER_ADENO), ("G", _PAPER_SQUAMOUS))
    for number in numbers.split()
)


Case = Annotated[str, Meta(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class Fold:
    """Case names of one fold."""

    train: tuple[Case, ...]
    val: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Case names of the test set and of every fold of the rest."""

    test: tuple[Case, ...]
    folds: Annotated[tuple[Fold, ...], Meta(min_length=1, max_length=10_000)]

    def to_json(self) -> dict[str, Any]:
        """Plain lists, as kept in `study.json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How to split.

    `kfold` uses `folds`, dealt anew `repeats` times; `holdout` one fold with the share `fraction`;
    `paper43` needs the whole collection and nothing else.
    """

    kind: Kind = "kfold"
    folds: int = 5
    repeats: int = 1
    fraction: float = 0.25
    seed: int = 0
    test: tuple[float, int] | None = None  # fraction, seed

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            allowed = ", ".join(get_args(Kind))
            raise ValueError(f"Need kind to be one of {allowed}, got {self.kind!r}.")
        if self.folds < 2:
            raise ValueError(f"Need at least 2 folds, got {self.folds!r}; or use kind: holdout.")
        if self.repeats < 1 or (self.repeats > 1 and self.kind != "kfold"):
            raise ValueError(
                f"Need repeats of at least 1, and 1 unless kind is kfold, got {self.repeats!r}."
            )
        if self.kind == "paper43" and self.test is not None:
            raise ValueError("paper43 has a test set of its own; leave out test.")
        for share in (self.fraction, *(self.test or ())[:1]):
            if not 0 < share < 1:
                raise ValueError(f"Need a fraction between 0 and 1, got {share!r}.")


def assign(
    cases: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[str],
    *,
    protocol: Protocol,
    patients: Sequence[str] = (),
) -> Split:
    """Split the cohort.

    Args:
        cases: distinct names.
        labels: 1 squamous, 0 adenocarcinoma; one per case.
        groups: cases of one group stay on one side of every border; one per case.
        protocol: what is asked for.
        patients: the collection's ids, one per case; only `paper43` needs them.

    Raises:
        ValueError: too few groups of a class for what is asked; says how many there are.
    """
    members = _groups(cases, labels, groups)
    if protocol.kind == "paper43":
        patient_of = dict(zip(cases, patients, strict=bool(patients)))
        return _paper43(members, patient_of, protocol.seed)
    test: list[str] = []
    if protocol.test is not None:
        fraction, seed = protocol.test
        set_aside = _share(members, fraction, seed, "The test set")
        test = [case for group in set_aside for case in members[group][1]]
        members = {g: found for g, found in members.items() if g not in set_aside}
    if protocol.kind == "holdout":
        parts = [_share(members, protocol.fraction, protocol.seed, "The validation set")]
    else:
        parts = [
            part
            for repeat in range(protocol.repeats)
            for part in _parts(members, protocol.folds, protocol.seed, repeat)
        ]
    return Split(tuple(sorted(test)), tuple(_fold(members, part) for part in parts))


Members = dict[str, tuple[int, list[str]]]  # group -> label, cases
_CLASS = ("adenocarcinoma", "squamous")


def _groups(cases: Sequence[str], labels: Sequence[int], groups: Sequence[str]) -> Members:
    if not len(cases) == len(labels) == len(groups):
        raise ValueError(
            "Need one label and one group per case, got "
            f"{len(cases)} cases, {len(labels)} labels, {len(groups)} groups."
        )
    if len(set(cases)) != len(cases):
        twice = next(case for case in cases if list(cases).count(case) > 1)
        raise ValueError(f"Need distinct case names, got {twice!r} more than once.")
    odd = sorted(set(labels) - {0, 1})
    if odd:
        raise ValueError(f"Need labels in {{0, 1}}, got {odd[0]!r} too.")
    members: Members = {}
    for case, label, group in zip(cases, labels, groups, strict=True):
        known = members.setdefault(group, (label, []))
        # A mixed group is stratified with its positive members, the rarer class.
        members[group] = (max(known[0], label), [*known[1], case])
    return members


def _shuffled(members: Members, label: int, seed: int, repeat: int = 0) -> list[str]:
    names = sorted(group for group, (of, _) in members.items() if of == label)
    key = [seed % 2**64, label, *([repeat] if repeat else [])]
    np.random.Generator(np.random.Philox(key)).shuffle(names)
    return names


def _paper43(members: Members, patient_of: Mapping[str, str], seed: int) -> Split:
    """The published test set; of the rest a part validates, fixed for each seed."""
    named = {
        group: (label, sorted(of, key=lambda case: patient_of.get(case, "")))
        for group, (label, of) in members.items()
    }
    ids = {group: patient_of.get(of[0], "") for group, (_, of) in named.items()}
    test = [case for case, patient in patient_of.items() if patient in PAPER_TEST_IDS]
    # Who shares a group with a test patient is in no fold either.
    rest = {g: found for g, found in named.items() if not set(found[1]) & set(test)}
    have = [sum(len(of) for label, of in rest.values() if label == wanted) for wanted in (0, 1)]
    lacking = sorted(set(PAPER_TEST_IDS) - set(patient_of.values()))
    short = any(n < of - 5 for n, of in zip(have, _PAPER_REST, strict=True))
    if lacking or short:
        raise ValueError(
            f"paper43 needs its 43 test patients and about {_PAPER_REST[0]} adenocarcinoma and "
            f"{_PAPER_REST[1]} squamous patients more, got {len(test)} of the 43 "
            f"({', '.join(lacking[:5])}{', ...' if len(lacking) > 5 else ''} missing), "
            f"{have[0]} and {have[1]}. Ingest the whole collection, or use kind: kfold."
        )
    val: set[str] = set()
    for label, size in enumerate(_PAPER_VALIDATION):
        names = sorted((g for g, (of, _) in rest.items() if of == label), key=ids.__getitem__)
        np.random.Generator(np.random.Philox([43, label, *([seed] if seed else [])])).shuffle(names)
        val.update(names[:size])
    return Split(tuple(sorted(test)), (_fold(rest, val),))


def _share(members: Members, fraction: float, seed: int, what: str) -> set[str]:
    chosen: set[str] = set()
    for label in (0, 1):
        names = _shuffled(members, label, seed)
        size = round(fraction * len(names))
        if not 0 < size < len(names):
            raise ValueError(
                f"{what} with fraction {fraction} would hold {size} of the {len(names)} "
                f"{_CLASS[label]} cases; it and the rest need at least one each. "
                "Choose another fraction, or ingest more patients."
            )
        chosen.update(names[:size])
    return chosen


def _parts(members: Members, folds: int, seed: int, repeat: int) -> list[set[str]]:
    parts: list[set[str]] = [set() for _ in range(folds)]
    dealt = 0
    for label in (0, 1):
        names = _shuffled(members, label, seed, repeat)
        if len(names) < folds:
            raise ValueError(
                f"{folds} folds need at least {folds} {_CLASS[label]} cases outside the test set, "
                f"got {len(names)}. Ask for fewer folds, or ingest more patients."
            )
        for name in names:  # dealing on across classes keeps the folds equally large
            parts[dealt % folds].add(name)
            dealt += 1
    return parts


def _fold(members: Members, val: set[str]) -> Fold:
    def cases(wanted: bool) -> tuple[str, ...]:
        found = (of for group, (_, of) in members.items() if (group in val) == wanted)
        return tuple(sorted(case for part in found for case in part))

    return Fold(train=cases(wanted=False), val=cases(wanted=True))
