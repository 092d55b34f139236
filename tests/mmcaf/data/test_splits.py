from __future__ import annotations

import pytest

from mmcaf.data.splits import Protocol, Split, assign

CASES = [f"c{i:02d}" for i in range(40)]
LABELS = [int(i % 3 == 0) for i in range(40)]
GROUPS = [f"g{i // 2}" if i < 6 else f"g{i}" for i in range(40)]


def test_every_case_validates_once_and_no_test_case_trains() -> None:
    split = assign(CASES, LABELS, CASES, protocol=Protocol(folds=4, test=(0.2, 1)))
    validated = [case for fold in split.folds for case in fold.val]
    assert sorted([*validated, *split.test]) == CASES
    for fold in split.folds:
        assert not {*fold.train} & {*fold.val, *split.test}


def test_folds_hold_the_classes_in_equal_shares() -> None:
    split = assign(CASES, LABELS, CASES, protocol=Protocol(folds=4))
    positives = [sum(LABELS[CASES.index(case)] for case in fold.val) for fold in split.folds]
    assert max(positives) - min(positives) <= 1
    assert {len(fold.val) for fold in split.folds} == {10}


@pytest.mark.parametrize("seed", range(8))
def test_a_group_never_crosses_a_border(seed: int) -> None:
    split = assign(CASES, LABELS, GROUPS, protocol=Protocol(folds=3, seed=seed, test=(0.2, seed)))
    group = dict(zip(CASES, GROUPS, strict=True))
    for fold in split.folds:
        parts = [{group[c] for c in part} for part in (fold.train, fold.val, split.test)]
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]


def test_the_order_of_rows_does_not_matter() -> None:
    protocol = Protocol(folds=4, seed=3, test=(0.2, 0))
    forward = assign(CASES, LABELS, GROUPS, protocol=protocol)
    assert assign(CASES[::-1], LABELS[::-1], GROUPS[::-1], protocol=protocol) == forward


def test_another_seed_splits_otherwise() -> None:
    one, two = (assign(CASES, LABELS, CASES, protocol=Protocol(seed=s)) for s in (0, 1))
    assert one != two


def test_a_split_survives_json() -> None:
    split = assign(CASES, LABELS, CASES, protocol=Protocol(kind="holdout", fraction=0.25))
    assert Split.from_json(split.to_json()) == split
    assert len(split.folds) == 1


def test_more_folds_than_cases_of_a_class_are_refused() -> None:
    with pytest.raises(ValueError, match="15 folds need at least 15 cases of each class, got 14"):
        assign(CASES, LABELS, CASES, protocol=Protocol(folds=15))
