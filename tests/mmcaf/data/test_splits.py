from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcaf.data.splits import PAPER_TEST_IDS, Fold, Protocol, Split, assign

CASES = [f"case{index:03}" for index in range(60)]
LABELS = [int(index % 5 == 0) for index in range(60)]  # 12 squamous, 48 adenocarcinoma
LABEL_OF = dict(zip(CASES, LABELS, strict=True))


def split(protocol: Protocol, groups: list[str] | None = None) -> Split:
    return assign(CASES, LABELS, groups or CASES, protocol=protocol)


def positives(cases: tuple[str, ...]) -> int:
    return sum(LABEL_OF[case] for case in cases)


def test_every_case_validates_exactly_once_over_the_folds() -> None:
    folds = split(Protocol(folds=5)).folds
    assert sorted(case for fold in folds for case in fold.val) == CASES


def test_training_is_all_that_does_not_validate() -> None:
    for fold in split(Protocol(folds=5)).folds:
        assert sorted(fold.train + fold.val) == CASES


@pytest.mark.parametrize("folds", [2, 5, 7, 12])
def test_folds_differ_by_one_case_of_a_class_at_most(folds: int) -> None:
    found = split(Protocol(folds=folds)).folds
    counts = [positives(fold.val) for fold in found]
    sizes = [len(fold.val) for fold in found]
    assert max(counts) - min(counts) <= 1
    assert max(sizes) - min(sizes) <= 1


def test_test_cases_are_in_no_fold() -> None:
    found = split(Protocol(folds=3, test=(0.25, 0)))
    used = {case for fold in found.folds for case in fold.train + fold.val}
    assert used == set(CASES) - set(found.test)


def test_the_test_set_has_its_share_of_both_classes() -> None:
    found = split(Protocol(folds=3, test=(0.25, 0)))
    assert (len(found.test), positives(found.test)) == (15, 3)


def test_the_folds_seed_leaves_the_test_set_alone() -> None:
    first, second = (split(Protocol(seed=seed, test=(0.25, 3))) for seed in (0, 1))
    assert first.test == second.test
    assert first.folds != second.folds


def test_another_test_seed_gives_another_test_set() -> None:
    first, second = (split(Protocol(test=(0.25, seed))) for seed in (0, 1))
    assert first.test != second.test


def test_a_holdout_has_one_fold_with_its_share_of_both_classes() -> None:
    (fold,) = split(Protocol(kind="holdout", fraction=0.25)).folds
    assert (len(fold.val), positives(fold.val)) == (15, 3)


@given(st.permutations(range(60)))
@settings(max_examples=20)
def test_the_order_of_rows_has_no_effect(order: list[int]) -> None:
    protocol = Protocol(folds=4, test=(0.2, 1))
    mixed = assign(
        [CASES[i] for i in order],
        [LABELS[i] for i in order],
        [f"g{i % 30}" for i in order],
        protocol=protocol,
    )
    assert mixed == split(protocol, [f"g{i % 30}" for i in range(60)])


def test_the_split_of_a_seed_is_pinned() -> None:
    cases = ["a", "b", "c", "d", "e", "f"]
    found = assign(cases, [0, 1, 0, 1, 0, 1], cases, protocol=Protocol(folds=3, seed=7))
    assert found.folds[0] == Fold(train=("a", "b", "e", "f"), val=("c", "d"))


def test_a_negative_seed_is_as_good_as_another() -> None:
    assert split(Protocol(seed=-1)) != split(Protocol(seed=1))


@pytest.mark.parametrize("seed", range(10))
def test_groups_never_cross_a_border(seed: int) -> None:
    group_of = {case: f"g{index % 30}" for index, case in enumerate(CASES)}
    found = split(Protocol(folds=4, seed=seed, test=(0.2, seed)), list(group_of.values()))
    for fold in found.folds:
        sides = [{group_of[case] for case in part} for part in (fold.train, fold.val, found.test)]
        assert max(Counter(group for side in sides for group in side).values()) == 1


def test_a_group_of_both_classes_is_kept_together() -> None:
    groups = ["pair", "pair", *CASES[2:]]  # case000 is squamous, case001 is not
    for fold in split(Protocol(folds=4), groups).folds:
        assert ("case000" in fold.val) == ("case001" in fold.val)


def test_a_group_of_both_classes_counts_as_squamous() -> None:
    found = assign(
        ["a", "b", "c", "d", "e"],
        [1, 0, 1, 0, 0],
        ["ab", "ab", "c", "d", "e"],
        protocol=Protocol(folds=2),
    )
    assert sorted(sum(case in "ac" for case in fold.val) for fold in found.folds) == [1, 1]


def test_a_split_survives_json() -> None:
    found = split(Protocol(folds=3, test=(0.2, 0)))
    assert msgspec.json.decode(json.dumps(found.to_json()), type=Split) == found


def test_more_folds_than_squamous_cases_are_refused() -> None:
    with pytest.raises(ValueError, match=r"13 folds need at least 13 squamous cases .*got 12\."):
        split(Protocol(folds=13))


def test_the_test_set_counts_when_folds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"outside the test set, got 6\."):
        split(Protocol(folds=7, test=(0.5, 0)))


def test_a_test_set_without_squamous_cases_is_refused() -> None:
    with pytest.raises(ValueError, match=r"test set with fraction 0\.01 would hold 0 of the 48"):
        split(Protocol(test=(0.01, 0)))


def test_a_holdout_that_leaves_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match=r"validation set .*12 of the 12 squamous"):
        split(Protocol(kind="holdout", fraction=0.98))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "loo"}, "holdout, kfold, paper43, got 'loo'"),
        ({"repeats": 0}, r"repeats of at least 1.* got 0"),
        ({"kind": "holdout", "repeats": 2}, "unless kind is kfold, got 2"),
        ({"folds": 1}, "at least 2 folds, got 1"),
        ({"fraction": 1.0}, r"between 0 and 1, got 1\.0"),
        ({"test": (0.0, 0)}, r"between 0 and 1, got 0\.0"),
    ],
)
def test_an_impossible_protocol_is_refused_when_built(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Protocol(**wrong)


def test_repeats_deal_the_folds_anew_and_keep_the_first_ones() -> None:
    once, thrice = split(Protocol(folds=4)), split(Protocol(folds=4, repeats=3))
    assert thrice.folds[:4] == once.folds
    for first in (0, 4, 8):
        assert (
            sorted(case for fold in thrice.folds[first : first + 4] for case in fold.val) == CASES
        )
    assert len({fold.val for fold in thrice.folds}) == 12


# The ids of the collection, as far as they are known: 251 and 61.
ABSENT_A = (60, 67, 76, 79, 122, 151, 158, 172, 186, 207, 209, 215, 219, 245)
COLLECTION = [
    *(f"A{n:04d}" for n in range(1, 266) if n not in ABSENT_A),
    *(f"G{n:04d}" for n in range(1, 63) if n != 61),
]


def paper43(patients: list[str], groups: list[str] | None = None) -> Split:
    cases = [f"hashed-{patient}" for patient in patients]
    labels = [int(patient[0] == "G") for patient in patients]
    protocol = Protocol(kind="paper43")
    return assign(cases, labels, groups or cases, protocol=protocol, patients=patients)


def classes(cases: tuple[str, ...]) -> tuple[int, int]:
    squamous = sum(case.startswith("hashed-G") for case in cases)
    return len(cases) - squamous, squamous


def test_paper43_has_the_published_sizes() -> None:
    found = paper43(COLLECTION)
    (fold,) = found.folds
    assert [classes(part) for part in (fold.train, fold.val, found.test)] == [
        (198, 34),
        (25, 12),
        (28, 15),
    ]
    assert {case.removeprefix("hashed-") for case in found.test} == set(PAPER_TEST_IDS)
    assert not set(fold.train) & set(fold.val)


def test_paper43_depends_on_patients_alone() -> None:
    mixed = list(np.random.default_rng(0).permutation(np.array(COLLECTION)).tolist())
    assert paper43(mixed) == paper43(COLLECTION)


def test_paper43_keeps_the_group_of_a_test_patient_out_of_the_folds() -> None:
    groups = ["pair" if p in ("A0001", "A0002") else p for p in COLLECTION]
    found = paper43(COLLECTION, groups)
    assert "hashed-A0002" not in found.folds[0].train + found.folds[0].val + found.test


def test_paper43_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"got 42 of the 43 \(A0001 missing\), 223 and 46"):
        paper43(COLLECTION[1:])
    with pytest.raises(ValueError, match=r"test set of its own"):
        Protocol(kind="paper43", test=(0.2, 0))


def test_a_label_of_a_third_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"labels in \{0, 1\}, got 2"):
        assign(["a", "b"], [0, 2], ["a", "b"], protocol=Protocol(folds=2))


def test_a_case_given_twice_is_named() -> None:
    with pytest.raises(ValueError, match="'a' more than once"):
        assign(["a", "a"], [0, 1], ["a", "b"], protocol=Protocol(folds=2))


def test_sequences_of_unequal_length_are_counted() -> None:
    with pytest.raises(ValueError, match="2 cases, 1 labels, 2 groups"):
        assign(["a", "b"], [0], ["a", "b"], protocol=Protocol(folds=2))
