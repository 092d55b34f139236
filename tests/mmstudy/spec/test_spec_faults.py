"""What is wrong with a spec beyond its field types: each by itself, all together, none twice."""

from __future__ import annotations

import time
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


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": {"epochs": "5"}}, "train.epochs: need a whole number from 1 to 10000, got '5'"),
        ({"train": {"epochs": "yes"}}, "train.epochs: need a whole number from 1 to 10000"),
        ({"train": {"epochs": "1:30"}}, "train.epochs: need a whole number from 1 to 10000"),
        (
            {"train": {"epochs": True}},
            "train.epochs: need a whole number from 1 to 10000, got True",
        ),
        ({"train": {"oversample": "yes"}}, "train.oversample: need true or false, got 'yes'"),
        ({"data": {"window": ["8", 32, 32], "tile_stride": 8}}, "data.window: need a list of 3"),
        (
            {
                "train": {
                    "stages": [{"part": "trunk", "epochs": "5", "lr": 0.1}, {"part": "fusion"}]
                }
            },
            "train.stages: need a list of mappings",
        ),
        ({"search": {"trials": "5"}}, "search.trials: need a whole number from 1 to 100000"),
        ({"search": {"trials": True}}, "search.trials: need a whole number from 1 to 100000"),
        ({"resources": {"concurrent": "2"}}, "resources.concurrent: need a whole number"),
        (
            space(**{"train.epochs": {"int": ["1", "5"]}}),
            "space.train.epochs.int: need a list of 2",
        ),
    ],
)
def test_text_and_truth_are_no_numbers(changes: dict[str, Any], told: str) -> None:
    (found,) = faults(changes)
    assert found.startswith(told)


def test_what_is_quoted_by_mistake_is_told_with_all_else() -> None:
    found = faults({"train": {"epochs": "5", "lr": -1}, "search": {"trials": "5"}})
    assert [fault.partition(":")[0] for fault in found] == [
        "train.lr",
        "train.epochs",
        "search.trials",
    ]


def test_a_whole_number_may_have_a_point_and_a_setting_the_name_of_a_method() -> None:
    assert faults({"train": {"epochs": 2.0}}) == []
    (found,) = faults({"train": {"items": "x"}})
    assert found.startswith("train.items: no such setting")


@pytest.mark.parametrize(
    "changes",
    [
        {"search": {"trials": 10**12}},
        {"search": {"startup_trials": 10**12}},
        {"search": {"seed": 2**40}},
        {"protocol": {"folds": 10**9}},
        {"protocol": {"seed": 10**30}},
        {"train": {"epochs": 10**9}},
        {"data": {"window": [10**9, 32, 32], "tile_stride": 8}},
        {"data": {"window": [8, 10**9, 10**9], "tile_stride": 8}},
        {"resources": {"concurrent": 10**9}},
        {"resources": {"concurrent": 0}},
        {"resources": {"cpu": 10**9}},
        {"limits": {"hours": float("inf")}},
        {"limits": {"epoch_minutes": float("nan")}},
        {"pruning": {"grace_epochs": 10**9}},
    ],
)
def test_a_huge_number_is_refused(changes: dict[str, Any]) -> None:
    ((section, given),) = changes.items()
    (found,) = faults(changes)
    assert found.startswith(f"{section}.{next(iter(given))}")


def test_a_huge_grid_is_refused_without_being_counted_out() -> None:
    fine = {"float": [0.0, 0.5], "step": 0.001}
    dimensions = {f"train.{name}": fine for name in ("momentum", "dampening", "weight_decay")}
    dimensions |= {"data.rotate_degrees": {"float": [0.0, 180.0], "step": 0.1}}
    dimensions |= {"train.epochs": {"int": [1, 100]}}
    started = time.process_time()
    search = {"sampler": "grid", "trials": 5}
    found = faults({"space": dimensions, "search": search, "train": {"optimizer": "sgd"}})
    assert time.process_time() - started < 5
    assert found == [
        "search.sampler: a grid has 100000 points at most, this one has 2.26478e+13; widen the "
        "steps, search less, or use another sampler"
    ]


def test_a_wrong_value_is_not_told_at_full_length() -> None:
    (found,) = faults({"train": {"epochs": "5" * 10_000}})
    assert len(found) < 300
