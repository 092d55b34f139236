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


def told(wrong: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as caught:
        parse_spec(wrong)
    heading, *lines = str(caught.value).split("\n")
    assert heading == f"spec has {len(lines)} fault{'s' * (len(lines) > 1)}:"
    return lines


def test_nine_faults_in_five_sections_are_nine_lines_in_the_order_of_the_spec() -> None:
    wrong = spec(
        data={"tile_stride": 0, "windw": [8, 32, 32]},
        model={"width": 0.3, "heads": [5, 2, 2]},
        train={"lr": -1, "epochs": "ten"},
        space={"train.momentum": {"float": [0.1, 3]}, "model.head": {"choice": [1, 2]}},
        search={"trials": 0},
    )
    assert told(wrong) == [
        "  - data.tile_stride: need a whole number from 1 to 4096, got 0",
        "  - data.windw: no such setting. Did you mean 'window'?",
        "  - model.width: need one of 0.0625, 0.125, 0.25, 0.5, 1, got 0.3: "
        "channels must stay divisible by their groups",
        "  - model.heads[0]: need a divisor of its width 24: "
        "one of 1, 2, 3, 4, 6, 8, 12, 24, got 5",
        "  - train.epochs: need a whole number from 1 to 10000, got 'ten'",
        "  - train.lr: need a number from 1e-09 to 10, got -1",
        "  - space.train.momentum: the value 3.0 is refused: "
        "need a number from 0 to 0.9999, got 3.0",
        "  - space.model.head: no such setting. Did you mean 'model.heads'?",
        "  - search.trials: need a whole number from 1 to 100000, got 0",
    ]


def test_a_section_that_is_no_mapping_hides_no_other_fault() -> None:
    assert told(spec(data=[1], search=3, train={"lr": 0, "epochs": 2})) == [
        "  - data: need a mapping, got [1]",
        "  - train.lr: need a number from 1e-09 to 10, got 0",
        "  - search: need a mapping of settings, got 3",
    ]


def test_a_wrong_setting_draws_no_fault_of_another() -> None:
    # With the batch as wrong as this, half of it is no bound for the micro-batches.
    assert told(spec(train={"batch_size": 0, "accumulate": 3})) == [
        "  - train.batch_size: need a whole number from 2 to 4096, got 0"
    ]
    # Nothing is known of what the unknown network reads, so no stages are wrong for it.
    (line,) = told(spec(model={"name": "pecom"}, space={}))
    assert line.startswith("  - model.name: need one of mmcaf_net, ")
    assert line.endswith("got 'pecom'. Did you mean 'pecon'?")


def test_a_wrong_setting_hides_no_fault_of_the_space() -> None:
    heads = {"model.heads": {"choice": [[1, 1, 1], [4, 2, 2]]}}
    lines = told(spec(model={"preset": "reference", "width": 0.3}, space=heads))
    assert [line.split(":")[0] for line in lines] == ["  - model.width", "  - space.model.heads"]
    assert "cannot have an effect" in lines[1]


def test_a_fault_deep_in_a_section_has_its_whole_path_once() -> None:
    wrong = spec(
        train={"stages": [{"part": "trunk", "epochs": 1, "lr": 9e9}, {"part": "fussion"}]},
        protocol={"test": {"fraction": 2}},
        space={"train.lr": {"float": ["low", 1], "stp": 2}},
    )
    assert told(wrong) == [
        "  - protocol.test.fraction: need a number above 0 and below 0.9, got 2",
        "  - train.stages[0].lr: need a number from 1e-09 to 10, or null, got 9000000000.0",
        "  - train.stages[1].part: need one of end_to_end, trunk, image, fusion, got 'fussion'",
        "  - space.train.lr.float: need a list of 2 numbers, got ['low', 1]",
        "  - space.train.lr.stp: no such setting. Did you mean 'step'?",
    ]


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
    assert "train.lr: need a number from 1e-09 to 10, got -1" in text
    assert "space.model.head: no such setting. Did you mean 'model.heads'?" in text


@pytest.mark.parametrize(
    ("dimension", "told"),
    [
        ({"float": [1.0, 0.1]}, "low < high"),
        ({"float": [0.0, 0.1], "log": True}, "low > 0"),
        ({"choice": [1]}, "2 to 1000 values"),
        ({"choise": [1, 2]}, "float, int or choice"),
    ],
)
def test_a_wrong_dimension_says_what_it_needs(dimension: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_spec(spec(space={"train.lr": dimension}))


def test_heads_that_do_not_divide_their_width_are_refused() -> None:
    with pytest.raises(UsageError, match=r"heads\[2\]: need a divisor of its width 6"):
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
