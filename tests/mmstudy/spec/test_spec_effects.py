"""Dimensions that can act in no trial are refused, and settings given for nothing are told."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mmstudy.errors import UsageError
from mmstudy.spec.effects import given_for_nothing
from mmstudy.spec.reading import load_spec, ready_specs
from mmstudy.spec.study_spec import parse_spec
from mmstudy.study import open_study
from support.dashboard_studies import OLD
from support.tiny_spec import TINY_SPEC

MOMENTUM = {"train.momentum": {"float": [0.0, 0.9]}}
DAMPENING = {"train.dampening": {"float": [0.0, 0.9]}}
OPTIMIZER = {"train.optimizer": {"choice": ["sgd", "adamw"]}}
STAGES = [
    {"part": "trunk", "epochs": 1, "lr": 1e-3},
    {"part": "image", "epochs": 1, "lr": 1e-3},
    {"part": "fusion"},
]


def refused(space: dict[str, Any], **sections: Any) -> list[str]:
    """The faults of a spec of TINY_SPEC with this space and these sections over its own."""
    written: dict[str, Any] = deepcopy(TINY_SPEC) | {"space": space}
    for name, values in sections.items():
        written[name] = written[name] | values
    try:
        parse_spec(written)
    except UsageError as error:
        return list(error.faults)
    return []


@pytest.mark.parametrize(
    ("space", "sections", "why"),
    [
        (MOMENTUM, {}, "adamw has no such setting"),
        (DAMPENING, {}, "adamw has no such setting"),
        (DAMPENING, {"train": {"optimizer": "sgd", "momentum": 0.0}}, "momentum is 0"),
        ({"train.frozen_draws": {"int": [1, 8]}}, {}, "leaves the image side frozen"),
        (
            {"train.schedule": {"choice": ["constant", "cosine"]}},
            {"train": {"epochs": 1}},
            "nothing to fall",
        ),
        ({"train.warmup_epochs": {"int": [0, 1]}}, {}, "begins at the learning rate"),
        (
            {"data.tile_stride": {"int": [1, 8]}},
            {"data": {"location": "oracle"}},
            "a case has one window",
        ),
        (
            {"model.token_grid": {"choice": [[2, 2, 2], [2, 3, 3]]}},
            {},
            "the map it pools has 1 x 2 x 2 cells in a window of [8, 32, 32]",
        ),
        (
            {"model.preset": {"choice": ["paper", "reference"]}},
            {"model": {"tokens": "grid"}},
            "decides the tokens alone",
        ),
        ({"model.heads": {"choice": [[1, 1, 1], [4, 2, 2]]}}, {"model": {"tokens": "pooled"}}, "1"),
    ],
)
def test_what_can_act_in_no_trial_is_refused_with_the_reason(
    space: dict[str, Any], sections: dict[str, Any], why: str
) -> None:
    (fault,) = refused(space, **sections)
    (path,) = space
    assert fault.startswith(f"space.{path}: cannot have an effect: ")
    assert why in fault


@pytest.mark.parametrize(
    ("space", "sections"),
    [
        (MOMENTUM | OPTIMIZER, {}),  # in half of the trials
        (DAMPENING | MOMENTUM, {"train": {"optimizer": "sgd"}}),
        ({"train.warmup_epochs": {"int": [0, 2]}}, {}),
        ({"train.frozen_draws": {"int": [1, 8]}}, {"train": {"stages": STAGES}}),
        (
            {
                "data.tile_stride": {"int": [1, 8]},
                "data.location": {"choice": ["tiling", "oracle"]},
            },
            {},
        ),
        ({"model.token_grid": {"choice": [[1, 1, 1], [1, 2, 2]]}}, {}),
        ({"model.preset": {"choice": ["paper", "reference"]}}, {}),
        (
            {
                "train.schedule": {"choice": ["constant", "cosine"]},
                "train.epochs": {"int": [1, 4]},
            },
            {},
        ),
        (
            {
                "model.token_grid": {"choice": [[1, 1, 2], [2, 4, 4]]},
                "data.window": {"choice": [[8, 32, 32], [16, 64, 64]]},
            },
            {},
        ),
    ],
)
def test_what_acts_in_some_trials_is_searched(
    space: dict[str, Any], sections: dict[str, Any]
) -> None:
    assert refused(space, **sections) == []


def test_a_condition_counts_only_the_trials_that_have_the_setting() -> None:
    def momentum(optimizer: str) -> dict[str, Any]:
        return {"train.momentum": {"float": [0.0, 0.9], "when": {"train.optimizer": optimizer}}}

    assert refused(OPTIMIZER | momentum("sgd")) == []
    (fault,) = refused(OPTIMIZER | momentum("adamw"))
    assert fault.startswith("space.train.momentum: cannot have an effect")
    # A number that another one waits for is tried besides the ends.
    epochs = {"train.epochs": {"int": [1, 3]}}
    when = {"choice": ["constant", "cosine"], "when": {"train.epochs": 2}}
    assert refused(epochs | {"train.schedule": when}) == []


def test_of_a_token_grid_each_value_is_asked() -> None:
    (fault,) = refused({"model.token_grid": {"choice": [[1, 2, 2], [2, 3, 3]]}})
    assert fault.startswith(
        "space.model.token_grid: the value [2, 3, 3] cannot have an effect: the map it pools"
    )


def test_a_study_that_has_begun_keeps_what_it_searches(tmp_path: Path) -> None:
    written = deepcopy(TINY_SPEC) | {"space": MOMENTUM}
    with pytest.raises(UsageError, match="cannot have an effect"):
        parse_spec(written)
    assert [*parse_spec(written, begun=True).space] == ["train.momentum"]
    shutil.copytree(OLD, tmp_path / "old")
    path = tmp_path / "old" / "study.json"
    kept = json.loads(path.read_text())
    kept["spec"]["space"] |= MOMENTUM
    kept["spec"]["train"]["optimizer"] = "adamw"
    path.write_text(json.dumps(kept))
    assert "train.momentum" in open_study(tmp_path / "old").about.spec.space


def test_what_is_given_for_nothing_is_told_and_taken() -> None:
    written: dict[str, Any] = deepcopy(TINY_SPEC)
    assert given_for_nothing(parse_spec(written)) == []
    written["train"] |= {"momentum": 0.5, "frozen_draws": 3}
    written["model"] |= {"token_grid": [2, 4, 4]}
    told = given_for_nothing(parse_spec(written))
    assert [line.split()[0] for line in told] == [
        "model.token_grid",
        "train.momentum",
        "train.frozen_draws",
    ]
    assert told[1] == (
        "train.momentum has no effect here: adamw has no such setting; set optimizer: sgd."
    )


def test_what_acts_once_another_setting_is_searched_is_not_told() -> None:
    written: dict[str, Any] = deepcopy(TINY_SPEC) | {"space": deepcopy(OPTIMIZER)}
    written["train"] = {"momentum": 0.5}
    assert given_for_nothing(parse_spec(written)) == []


@pytest.mark.parametrize("name", sorted(ready_specs()))
def test_the_ready_spaces_give_nothing_for_nothing(name: str) -> None:
    loaded = load_spec(ready_specs()[name], environment={})
    # Of a network without steps the rows of the benchmark give the batch of all others.
    assert {line.split()[0] for line in given_for_nothing(loaded)} <= {"train.batch_size"}
