from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mmstudy.errors import UsageError
from mmstudy.search.optuna_study import Search
from mmstudy.spec.reading import find_spec, json_schema, load_spec, ready_specs
from support.tiny_spec import TINY_SPEC

READY = ["fusion", "heads", "joint", "learning_rate", "paper", "pyramid_scales", "smoke"]


def test_the_ready_spaces_are_these() -> None:
    of_models = {name for name in ready_specs() if name.startswith("models/")}
    assert sorted(ready_specs().keys() - of_models) == READY
    assert of_models  # see test_network_specs


@pytest.mark.parametrize("name", READY)
def test_a_ready_space_asks_a_question_and_can_be_sampled(name: str) -> None:
    spec = load_spec(find_spec(name), environment={})
    assert spec.question.endswith(("?", ".", "network."))
    search = Search(None, spec)
    for _ in range(3):
        assert search.ask().params.keys() <= spec.space.keys()


@pytest.mark.parametrize("name", READY)
def test_the_schema_accepts_every_ready_space(name: str) -> None:
    raw = yaml.safe_load(find_spec(name).read_text(encoding="utf-8"))
    faults = jsonschema.validators.validator_for(json_schema())(json_schema()).iter_errors(raw)
    assert [fault.message for fault in faults] == []


@pytest.mark.parametrize(
    "change",
    [
        {"train": {"lrr": 0.1}},
        {"space": {"train.lrr": {"float": [0.1, 0.2]}}},
        {"search": {"sampler": "magic"}},
        {"model": {"attention": "quadratic"}},
    ],
)
def test_the_schema_refuses_what_the_program_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(deepcopy(TINY_SPEC) | change, json_schema())


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(TINY_SPEC))
    environment = {"MMSTUDY_TRAIN__EPOCHS": "7", "MMSTUDY_SEARCH__TRIALS": "9", "HOME": "/"}
    spec = load_spec(path, ["search.trials=11"], environment)
    assert spec.train["epochs"] == 7
    assert spec.search.trials == 11
    assert load_spec(path, (), {}).train["epochs"] == 2


def test_the_environment_reaches_into_a_dimension(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(TINY_SPEC))
    spec = load_spec(path, (), {"MMSTUDY_SPACE__TRAIN__LR__LOG": "false"})
    assert str(spec.space["train.lr"]) == "[0.0001, 0.01]"


def test_an_unknown_variable_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(TINY_SPEC))
    with pytest.raises(UsageError, match=r"MMSTUDY_SERCH__TRIALS.*Did you mean 'search'"):
        load_spec(path, (), {"MMSTUDY_SERCH__TRIALS": "9"})
