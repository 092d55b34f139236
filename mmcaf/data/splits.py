"""Which cases train, which validate, which are set aside for testing.

Decided once per study from case names, labels, groups and a seed; independent of the order of
rows. Stratified by class; a group (one patient under two ids, say) never crosses a border. Test
cases are set aside first and appear in no fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["Fold", "Protocol", "Split", "assign"]


@dataclass(frozen=True, slots=True)
class Fold:
    """Case names of one fold."""

    train: tuple[str, ...]
    val: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Case names of the test set and of every fold of the rest."""

    test: tuple[str, ...]
    folds: tuple[Fold, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain lists, as kept in `study.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Split:
        """The inverse of `to_json`."""
        folds = (Fold(tuple(f["train"]), tuple(f["val"])) for f in value["folds"])
        return cls(tuple(value["test"]), tuple(folds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How to split: `kfold` uses `folds`, `holdout` one fold with the share `fraction`."""

    kind: Literal["holdout", "kfold"] = "kfold"
    folds: int = 5
    fraction: float = 0.25
    seed: int = 0
    test: tuple[float, int] | None = None  # fraction, seed


def assign(
    cases: Sequence[str], labels: Sequence[int], groups: Sequence[str], *, protocol: Protocol
) -> Split:
    """Split `cases` (all three sequences have one entry per case).

    Raises:
        ValueError: too few groups of a class for what is asked; says how many there are.
    """
    members = _groups(cases, labels, groups)
    test: list[str] = []
    if protocol.test is not None:
        fraction, seed = protocol.test
        set_aside = _share(members, fraction, seed, "the test set")
        test = [case for group in set_aside for case in members[group][1]]
        members = {g: found for g, found in members.items() if g not in set_aside}
    if protocol.kind == "holdout":
        parts = [_share(members, protocol.fraction, protocol.seed, "the validation set")]
    else:
        parts = _parts(members, protocol.folds, protocol.seed)
    return Split(tuple(sorted(test)), tuple(_fold(members, part) for part in parts))


Members = dict[str, tuple[int, list[str]]]  # group -> label, cases


def _groups(cases: Sequence[str], labels: Sequence[int], groups: Sequence[str]) -> Members:
    if not len(cases) == len(labels) == len(groups):
        raise ValueError(
            "Need one label and one group per case, got "
            f"{len(cases)} cases, {len(labels)} labels, {len(groups)} groups."
        )
    if len(set(cases)) != len(cases):
        raise ValueError("Need distinct case names, got some twice.")
    members: Members = {}
    for case, label, group in sorted(zip(cases, labels, groups, strict=True)):
        known = members.setdefault(group, (label, []))
        # A mixed group is stratified with its positive members, the rarer class.
        members[group] = (max(known[0], label), [*known[1], case])
    return members


def _shuffled(members: Members, label: int, seed: int) -> list[str]:
    names = sorted(group for group, (of, _) in members.items() if of == label)
    np.random.Generator(np.random.Philox([seed, label])).shuffle(names)
    return names


def _share(members: Members, fraction: float, seed: int, what: str) -> set[str]:
    chosen: set[str] = set()
    for label in (0, 1):
        names = _shuffled(members, label, seed)
        size = round(fraction * len(names))
        if not 0 < size < len(names):
            raise ValueError(
                f"{what} with fraction {fraction} would hold {size} of {len(names)} cases of "
                f"class {label}; both it and the rest need at least one of each class."
            )
        chosen.update(names[:size])
    return chosen


def _parts(members: Members, folds: int, seed: int) -> list[set[str]]:
    parts: list[set[str]] = [set() for _ in range(folds)]
    dealt = 0
    for label in (0, 1):
        names = _shuffled(members, label, seed)
        if len(names) < folds:
            raise ValueError(
                f"{folds} folds need at least {folds} cases of each class, "
                f"got {len(names)} of class {label}; ask for fewer folds."
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
