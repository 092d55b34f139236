"""What is wrong with a spec beyond its field types: each by itself, all together, none twice."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from mmstudy.errors import UsageError
from mmstudy.spec.study_spec import parse_spec
from support.tiny_spec import TINY_SPEC


def faults(changes: dict[str, Any]) -> list[str]:
    try:
        parse_spec(deepcopy(TINY_SPEC) | changes)
    except UsageError as error:
        return list(error.faults)
    return []


def space(**dimensions: Any) -> dict[str, Any]:
    return {"space": {"train.lr": {"float": [1e-4, 1e-2]}} | dimensions}


def test_a_right_spec_has_none() -> None:
    assert faults({}) == []


@pytest.mark.parametrize(
    ("changes", "place", "told"),
    [
        ({"train": {"epochz": 3}}, "train.epochz", "Did you mean 'epochs'"),
        (space(**{"train.lrr": {"float": [0.1, 0.2]}}), "space.train.lrr", "Did you mean"),
        (space(**{"model.name": {"choice": ["a", "b"]}}), "space.model.name", "of one network"),
        (space(**{"train.batch_size": {"int": [1, 8]}}), "space.train.batch_size", "got 1"),
        (
            space(**{"train.momentum": {"float": [0.1, 0.5], "when": {"train.optimizer": "sgd"}}}),
            "space.train.momentum.when.train.optimizer",
            "not in the space",
        ),
        (
            {"search": {"trials": 2, "enqueue": [{"train.lr": 5.0}]}},
            "search.enqueue[0].train.lr",
            "5.0 lies outside the space",
        ),
        (
            {"search": {"trials": 2, "enqueue": [{"train.decay": 5.0}]}},
            "search.enqueue[0].train.decay",
            "not in the space",
        ),
    ],
)
def test_a_fault_names_its_place_and_what_was_meant(
    changes: dict[str, Any], place: str, told: str
) -> None:
    found = [fault for fault in faults(changes) if fault.startswith(f"{place}:")]
    assert len(found) == 1
    assert told in found[0]


def test_faults_of_several_places_are_told_together() -> None:
    found = faults(
        {"data": {"windw": 1}, "train": {"epochz": 3}, **space(**{"train.lrr": {"int": [1, 2]}})}
    )
    assert {fault.partition(":")[0] for fault in found} >= {
        "data.windw",
        "train.epochz",
        "space.train.lrr",
    }
    assert len(found) == len(set(found))


@pytest.mark.parametrize("broken", [{"space": "all"}, {"search": []}, {"model": 3}])
def test_a_section_of_another_kind_hides_no_other_fault(broken: dict[str, Any]) -> None:
    found = faults({"data": {"windw": 1}} | broken)
    (section,) = broken
    assert any(fault.startswith("data.windw:") for fault in found)
    assert any(fault.startswith(section) for fault in found)
