"""From a protocol and a cohort to case names: through the spec, with the collection's own rows."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.splits import Protocol, assign
from mmstudy.errors import UsageError
from mmstudy.spec.study_spec import ProtocolSpec
from mmstudy.trial.folds import split_cohort


def protocol(**given: Any) -> ProtocolSpec:
    return ProtocolSpec.model_validate({"kind": "kfold", "folds": 3} | given)


def test_each_case_is_validated_once_and_no_group_is_on_both_sides(cohort: Cohort) -> None:
    split = split_cohort(protocol(), cohort)
    rows = cohort.patients
    group = dict(rows.select("case", "group_id").iter_rows())
    validated = [case for fold in split.folds for case in fold.val]
    assert sorted(validated) == sorted(rows["case"])
    for fold in split.folds:
        assert not {group[c] for c in fold.train} & {group[c] for c in fold.val}
        assert sorted([*fold.train, *fold.val]) == sorted(rows["case"])


def test_it_is_the_split_of_the_cohort_s_columns(cohort: Cohort) -> None:
    rows = cohort.patients
    given = protocol(repeats=2, seed=5, test={"fraction": 0.2, "seed": 1})
    expected = assign(
        rows["case"].to_list(),
        rows["label"].to_list(),
        rows["group_id"].to_list(),
        protocol=Protocol(kind="kfold", folds=3, repeats=2, seed=5, test=(0.2, 1)),
    )
    assert split_cohort(given, cohort) == expected


def test_another_seed_deals_other_folds_and_leaves_the_test_set(cohort: Cohort) -> None:
    given = protocol(folds=2, test={"fraction": 0.2, "seed": 1})
    ours, other = split_cohort(given, cohort), split_cohort(given, cohort, seed=9)
    assert ours.test == other.test != ()
    assert ours.folds != other.folds
    assert split_cohort(given, cohort, seed=0) == ours


def test_the_order_of_rows_does_not_matter(cohort: Cohort) -> None:
    turned = Cohort(cohort.folder, cohort.patients.reverse(), cohort.digest, True, 48)
    ours, theirs = split_cohort(protocol(), cohort), split_cohort(protocol(), turned)
    assert [set(fold.val) for fold in ours.folds] == [set(fold.val) for fold in theirs.folds]


@pytest.mark.parametrize(
    ("given", "told"),
    [({"folds": 12}, "protocol: "), ({"kind": "paper43"}, "protocol: ")],
)
def test_what_does_not_fit_the_cohort_is_told_with_its_section(
    cohort: Cohort, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        split_cohort(protocol(**given), cohort)


def test_labels_are_those_of_the_table(cohort: Cohort) -> None:
    one_class = cohort.patients.with_columns(label=pl.lit(0))
    with pytest.raises(UsageError, match="squamous"):
        split_cohort(protocol(), Cohort(cohort.folder, one_class, "d", True, 48))
