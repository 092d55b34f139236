from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import pytest

from mmstudy.errors import UsageError
from mmstudy.search.optuna_study import Search
from mmstudy.spec.constraints import Constraint
from mmstudy.spec.space import Floats, in_order
from mmstudy.spec.study_spec import StudySpec, parse_spec, trial_config
from support.tiny_spec import TINY_SPEC


def spec(**changes: Any) -> StudySpec:
    return parse_spec(deepcopy(TINY_SPEC) | changes)


CONDITIONAL = {
    "model.token_grid": {"choice": [[1, 1, 2], [1, 2, 2]], "when": {"model.tokens": "grid"}},
    "model.tokens": {"choice": ["pooled", "grid"]},
    "train.lr": {"float": [1e-4, 1e-2]},
}


def test_a_condition_decides_whether_a_dimension_is_part_of_a_trial() -> None:
    search = Search(None, spec(space=CONDITIONAL, search={"trials": 30, "sampler": "random"}))
    seen = [search.ask().params for _ in range(30)]
    assert {"pooled", "grid"} == {params["model.tokens"] for params in seen}
    for params in seen:
        assert ("model.token_grid" in params) == (params["model.tokens"] == "grid")


def test_what_a_condition_leaves_out_keeps_its_fixed_value() -> None:
    config = trial_config(spec(space=CONDITIONAL), {"model.tokens": "pooled", "train.lr": 1e-3})
    assert config.model.token_grid == (1, 1, 2)


def test_a_condition_may_accept_several_values() -> None:
    space = {
        "model.pyramid_scales": {"choice": [[3], [2, 3], [1, 2, 3]]},
        "model.bfpu": {
            "choice": ["reference", "paper"],
            "when": {"model.pyramid_scales": {"any": [[2, 3], [1, 2, 3]]}},
        },
    }
    search = Search(None, spec(space=space, search={"trials": 40, "sampler": "random"}))
    seen = [search.ask().params for _ in range(40)]
    having = {tuple(p["model.pyramid_scales"]): "model.bfpu" in p for p in seen}
    assert having == {(3,): False, (2, 3): True, (1, 2, 3): True}


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({"model.tokns": "grid"}, "not in the space. Did you mean 'model.tokens'?"),
        ({"model.tokens": "griid"}, "never 'griid', it is one of pooled, grid"),
        ({"model.token_grid": [1, 1, 2]}, "conditions of model.token_grid can never be decided"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(when: dict[str, Any], told: str) -> None:
    space = deepcopy(CONDITIONAL)
    space["model.token_grid"]["when"] = when
    with pytest.raises(UsageError) as caught:
        spec(space=space)
    assert told in str(caught.value)


def test_dimensions_come_after_what_they_depend_on() -> None:
    assert [path for path, _ in in_order(spec(space=CONDITIONAL).space)][-1] == "model.token_grid"


def test_steps_are_values_of_the_grid() -> None:
    dimension = Floats.model_validate({"float": [0.0, 0.9], "step": 0.3})
    assert dimension.grid() == pytest.approx((0.0, 0.3, 0.6, 0.9))
    assert dimension.contains(0.3 * 2)
    assert not dimension.contains(0.5)


@pytest.mark.parametrize(
    ("dimension", "told"),
    [
        ({"float": [0.0, 1.0], "step": 0.3}, "need steps that end at 1.0"),
        ({"float": [0.1, 1.0], "step": 0.3, "log": True}, "a log scale has no step"),
        ({"int": [1, 8], "step": 2}, "need steps that end at 8"),
        ({"float": [0.0, 1.0], "step": -1}, "step: need a number above 0"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(dimension: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        spec(space={"train.momentum": dimension})


@pytest.mark.parametrize(
    ("text", "settings", "holds"),
    [
        ("train.lr < 0.5", {"train.lr": 0.1}, True),
        ("train.lr*10 < train.momentum", {"train.lr": 0.1, "train.momentum": 0.9}, False),
        ("model.heads[0] >= model.heads[2]", {"model.heads": (4, 2, 2)}, True),
        ("2 * 3 == train.epochs", {"train.epochs": 6}, True),
        ("train.epochs != 6", {"train.epochs": 6}, False),
    ],
)
def test_a_constraint_is_a_comparison(text: str, settings: dict[str, Any], holds: bool) -> None:
    assert Constraint.parse(text).holds(settings.__getitem__) is holds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train.lr", "need two sides and one of <= >="),
        ("train.lr < train.epochs < 3", "need two sides"),
        ("__import__('os') < 3", "need a number or a path such as train.lr"),
        ("train.lrr < 3", "no such setting train.lrr. Did you mean 'train.lr'?"),
        ("train.epochs < 3", "looks at nothing that is searched"),
        ("train.lr * model.pyramid_scales < 3", "need numbers to multiply"),
        ("model.pyramid_scales[7] < 3", "out of range"),
    ],
)
def test_a_wrong_constraint_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec(constraints=[text])
    assert told in str(caught.value)


def test_a_trial_that_breaks_a_constraint_is_not_built() -> None:
    found = spec(constraints=["train.lr <= 0.005"])
    with pytest.raises(ValueError, match=r"'train.lr <= 0.005' does not hold"):
        trial_config(found, {"train.lr": 0.008})
    assert trial_config(found, {"train.lr": 0.004}).train.lr == 0.004


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        ({"int": [1, 10**12]}, "1e+12"),
        ({"int": [0, 10**290], "step": 10**280}, "1e+10"),
        ({"float": [0.0, 1.0], "step": 1e-12}, "1e+12"),
        ({"float": [-1e308, 1e308], "step": 1e-300}, "inf"),
    ],
)
def test_a_range_of_very_many_values_is_refused_at_once(
    dimension: dict[str, Any], values: str
) -> None:
    started = time.process_time()
    with pytest.raises(UsageError) as caught:
        spec(space={"train.momentum": dimension})
    assert f"need 10000 values at most, got {values}; widen the step" in str(caught.value)
    assert time.process_time() - started < 5


def test_ten_thousand_values_are_allowed_and_counted() -> None:
    for written in ({"int": [1, 10_000]}, {"float": [0.0, 0.9999], "step": 0.0001}):
        path = "train.epochs" if "int" in written else "train.momentum"
        dimension = spec(space={path: written}, train={"optimizer": "sgd"})
        (of,) = dimension.space.values()
        assert of.count() == len(of.grid()) == 10_000


def test_a_choice_of_very_many_options_is_refused() -> None:
    with pytest.raises(UsageError, match="need a list of 2 to 1000 values"):
        spec(space={"train.lr": {"choice": [*range(1001)]}})
