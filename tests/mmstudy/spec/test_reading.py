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


def test_a_value_of_the_command_line_is_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(TINY_SPEC))
    assert load_spec(path, ["train.lr=1e-4"], {}).train["lr"] == 1e-4
    for text in ("yes", "1:30", "'5'"):
        with pytest.raises(UsageError, match=r"train.epochs: need a whole number"):
            load_spec(path, [f"train.epochs={text}"], {})
    with pytest.raises(UsageError, match=r"--set 'train.epochs=010', line 1, column 1: 010 means"):
        load_spec(path, ["train.epochs=010"], {})
    with pytest.raises(UsageError, match=r"^MMSTUDY_TRAIN__EPOCHS, line 1.*given twice"):
        load_spec(path, (), {"MMSTUDY_TRAIN__EPOCHS": "{a: 1, a: 2}"})
    with pytest.raises(UsageError, match="nested more than 32 deep"):
        load_spec(path, ["train." + "a." * 5000 + "b=1"], {})


def test_a_section_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(TINY_SPEC) + "train: {epochs: 3}\n")
    with pytest.raises(UsageError, match="the key 'train' is given twice"):
        load_spec(path, (), {})


def test_a_spec_lies_where_a_tilde_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(TINY_SPEC))
    assert find_spec("~/spec.yaml") == tmp_path / "spec.yaml"
