from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from mmstudy.errors import UsageError
from mmstudy.spec.reading import find_spec, load_spec
from mmstudy.spec.study_spec import parse_spec, resolved, trial_config
from support.tiny_spec import TINY_SPEC


def spec(**changes: Any) -> dict[str, Any]:
    return deepcopy(TINY_SPEC) | changes


def test_three_faults_are_listed_at_once() -> None:
    wrong = spec(
        train={"lr": -1, "epochs": 2},
        space={"model.head": {"choice": [[1, 1, 1], [2, 2, 2]]}},
        search={"trails": 3},
    )
    with pytest.raises(UsageError) as caught:
        parse_spec(wrong)
    text = str(caught.value)
    assert "3 faults" in text
    assert "search.trails: no such setting. Did you mean 'trials'?" in text
    assert "train: Need 1e-09 <= lr <= 10.0, got -1.0." in text
    assert "space.model.head: no such setting. Did you mean 'model.heads'?" in text


@pytest.mark.parametrize(
    ("dimension", "told"),
    [
        ({"float": [1.0, 0.1]}, "low < high"),
        ({"float": [0.0, 0.1], "log": True}, "low > 0"),
        ({"choice": [1]}, "at least 2"),
        ({"choise": [1, 2]}, "float, int or choice"),
    ],
)
def test_a_wrong_dimension_says_what_it_needs(dimension: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_spec(spec(space={"train.lr": dimension}))


def test_heads_that_do_not_divide_their_width_are_refused() -> None:
    with pytest.raises(UsageError, match=r"heads\[2\] to divide its width 6"):
        parse_spec(spec(space={"model.heads": {"choice": [[4, 4, 4], [4, 2, 2]]}}))


def test_a_search_over_heads_without_effect_is_refused_with_the_reason() -> None:
    heads = {"model.heads": {"choice": [[1, 1, 1], [4, 2, 2]]}}
    with pytest.raises(UsageError, match="softmax over one pooled token is always 1"):
        parse_spec(spec(model={"preset": "reference"}, space=heads))
    parse_spec(spec(model={"preset": "paper"}, space=heads))
    searched = heads | {"model.attention": {"choice": ["softmax", "linear"]}}
    parse_spec(spec(model={"preset": "reference"}, space=searched))


def test_an_enqueued_point_outside_the_space_is_refused() -> None:
    with pytest.raises(UsageError, match=r"5\.0 lies outside the space, \[0\.0001, 0\.01\] log"):
        parse_spec(spec(search={"enqueue": [{"train.lr": 5.0}]}))


def test_a_resolved_spec_is_the_same_study() -> None:
    first = parse_spec(spec())
    again = parse_spec(resolved(first))
    assert trial_config(again, {"train.lr": 0.01}) == trial_config(first, {"train.lr": 0.01})


def test_more_trials_are_the_same_study_another_space_is_not() -> None:
    first = parse_spec(spec())
    assert parse_spec(spec(search={"trials": 9, "startup_trials": 2})).digest() == first.digest()
    assert parse_spec(spec(space={})).digest() != first.digest()


def test_overrides_reach_sections_and_dimensions() -> None:
    found = load_spec(find_spec("smoke"), ["search.trials=3", "space.train.lr.log=false"])
    assert found.search.trials == 3
    assert str(found.space["train.lr"]) == "[0.0003, 0.01]"


def test_a_misspelt_ready_space_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'smoke'"):
        find_spec("smok")


def test_hu_windows_can_be_searched() -> None:
    three = [[-1150, 350], [-160, 240], [-1000, 400]]
    options = [[-1000, 400], [-160, 240], three]
    parsed = parse_spec({**TINY_SPEC, "space": {"data.hu": {"choice": options}}})
    assert trial_config(parsed, {"data.hu": [-160, 240]}).data.hu == (-160, 240)
    assert len(trial_config(parsed, {"data.hu": three}).data.windows_hu) == 3
