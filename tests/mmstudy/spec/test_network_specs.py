"""A spec of any network: which settings it has, what fits, what is the same study."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mmcaf.net.registry import NETWORKS, reads_image
from mmstudy.benchmark.rows import ROWS
from mmstudy.comparison.published import published
from mmstudy.errors import UsageError
from mmstudy.search.optuna_study import Search
from mmstudy.spec.reading import find_spec, json_schema, load_spec
from mmstudy.spec.sections import known_paths
from mmstudy.spec.study_spec import parse_spec, resolved, trial_config
from support.tiny_spec import TINY_SPEC

STAGES = [{"part": "trunk", "epochs": 1, "lr": 1e-3}, {"part": "fusion"}]
PECON: dict[str, Any] = {
    **TINY_SPEC,
    "model": {"name": "pecon", "width": 0.0625},
    "train": {"stages": STAGES, "epochs": 2, "optimizer": "adamw", "step_epochs": 2},
    "space": {
        "train.step_lr": {"choice": [0.01, 0.1]},
        "model.target": {"choice": ["clip", "sup"]},
    },
}


def spec(**changes: Any) -> dict[str, Any]:
    return deepcopy(PECON) | changes


def faults(**changes: Any) -> str:
    with pytest.raises(UsageError) as caught:
        parse_spec(spec(**changes))
    return str(caught.value)


def test_the_name_selects_the_settings_there_are() -> None:
    config = trial_config(parse_spec(spec()), {"model.target": "sup"})
    assert type(config.model) is NETWORKS["pecon"].config
    assert config.setting("model.target") == "sup"
    assert "model.target" in known_paths("pecon")
    assert "model.heads" not in known_paths("pecon")
    assert "model.heads" in known_paths()


def test_a_spec_without_a_name_is_of_mmcaf_net_and_the_same_study_with_it() -> None:
    plain = parse_spec(deepcopy(TINY_SPEC))
    named = deepcopy(TINY_SPEC) | {"model": {"name": "mmcaf_net", **TINY_SPEC["model"]}}
    assert parse_spec(named).digest() == plain.digest()
    assert resolved(plain)["model"]["name"] == "mmcaf_net"
    assert parse_spec(spec()).digest() != plain.digest()


def test_a_resolved_spec_of_any_network_is_the_same_study() -> None:
    first = parse_spec(spec())
    again = parse_spec(resolved(first))
    assert again.digest() == first.digest()
    assert trial_config(again, {}) == trial_config(first, {})


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    told = faults(model={"name": "pecom"})
    assert "Did you mean 'pecon'?" in told
    assert "model.name: need one of" in faults(model={"name": ["pecon"]})


def test_a_setting_of_another_network_is_no_setting_of_this_one() -> None:
    told = faults(
        model={"name": "pecon", "heads": [1, 1, 1]}, space={"model.targets": {"choice": [1, 2]}}
    )
    assert "model.heads: no such setting." in told
    assert "space.model.targets: no such setting. Did you mean 'model.target'?" in told


def test_stages_that_do_not_lead_to_what_is_read_are_refused() -> None:
    told = faults(train={"epochs": 2})
    assert "train.stages: need one of: trunk, fusion; got" in told
    kan = spec(model={"name": "kan"}, train={"stages": STAGES}, space={})
    with pytest.raises(UsageError, match="since kan reads none"):
        parse_spec(kan)


def test_a_value_that_needs_other_stages_is_refused_before_anything_runs() -> None:
    mmtm = spec(model={"name": "mmtm"}, space={"model.modules": {"choice": ["last", "three"]}})
    with pytest.raises(
        UsageError, match=r"the value 'three' does not fit: .*since mmtm reads window"
    ):
        parse_spec(mmtm)


def test_the_network_itself_is_not_searched() -> None:
    told = faults(space={"model.name": {"choice": ["pecon", "daft"]}})
    assert "a study is of one network; `mmstudy benchmark` compares several" in told


def test_a_dimension_without_effect_is_refused_for_any_network() -> None:
    heads = {"model.heads": {"choice": [1, 4]}}
    stages = [STAGES[0], {"part": "image", "epochs": 1, "lr": 1e-3}, STAGES[1]]
    one = spec(model={"name": "cross_attention"}, train={"stages": stages}, space=heads)
    with pytest.raises(UsageError, match="softmax over one token is always 1"):
        parse_spec(one)
    parse_spec(one | {"space": heads | {"model.attention": {"choice": ["softmax", "linear"]}}})


def test_an_earlier_stage_has_its_own_recipe_and_the_last_none() -> None:
    stage = {**STAGES[0], "batch_size": 8, "optimizer": "sgd"}
    config = trial_config(
        parse_spec(spec(train={"stages": [stage, STAGES[1]], "batch_size": 2})), {}
    )
    of_trunk = config.train.of(config.train.stages[0])
    assert (of_trunk.batch_size, of_trunk.optimizer, of_trunk.lr) == (8, "sgd", 1e-3)
    assert config.train.batch_size == 2
    last = [STAGES[0], {**STAGES[1], "batch_size": 8}]
    assert "give no batch_size there" in faults(train={"stages": last})
    wrong = [{**STAGES[0], "momentum": 3.0}, STAGES[1]]
    assert "train.stages[0].momentum: need a number from 0 to 0.9999" in faults(
        train={"stages": wrong}
    )


def test_the_schema_knows_every_network() -> None:
    schema = json_schema()
    jsonschema.validate(spec(), schema)
    jsonschema.validate(deepcopy(TINY_SPEC), schema)
    for wrong in ({"name": "pecon", "heads": [1, 1, 1]}, {"name": "pecom"}, {"target": "sup"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spec(model=wrong), schema)


def test_every_spec_is_read_where_torch_is_not_installed() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; "  # importing it fails
        "from mmstudy.benchmark.rows import ROWS; "
        "from mmstudy.spec.reading import find_spec, json_schema, load_spec; "
        "from mmstudy.spec.study_spec import parse_spec, resolved; "
        "specs = [load_spec(find_spec(f'models/{key}'), environment={}) for key in ROWS]; "
        "print(len([parse_spec(resolved(spec)) for spec in specs]), len(json_schema()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == str(len(ROWS))


@pytest.mark.parametrize("key", ROWS)
def test_a_rows_space_can_be_sampled_and_fits_its_network(key: str) -> None:
    path = find_spec(f"models/{key}")
    loaded = load_spec(path, environment={})
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), json_schema())
    search = Search(None, loaded)
    for _ in range(5):
        proposal = search.ask()
        config = trial_config(loaded, proposal.params)
        search.complete(proposal.number, [0.5])
    assert bool(loaded.resources.gpu) == reads_image(config.model)


def test_all_rows_have_one_budget_protocol_and_trunk() -> None:
    rows = {key: load_spec(find_spec(f"models/{key}"), environment={}) for key in ROWS}
    assert len({row.protocol for row in rows.values()}) == 1
    assert {row.search.trials for row in rows.values() if row.space} == {20}
    assert {row.search.trials for row in rows.values() if not row.space} == {1}
    assert {row.search.seed for row in rows.values()} == {0}
    assert all(not row.data for row in rows.values())
    stages: dict[str, set[Any]] = {}
    for row in rows.values():
        for stage in trial_config(row, {}).train.stages[:-1]:
            stages.setdefault(stage.part, set()).add(stage)
    # Every field is given, so nothing of a row's own training reaches what all share.
    assert {part: len(found) for part, found in stages.items()} == {"trunk": 1, "image": 1}
    for (stage,) in stages.values():
        assert len(stage.recipe) == 11


def test_the_rows_stand_in_the_order_of_the_papers_tables() -> None:
    titles = [(row.key, row.table, row.published) for row in ROWS.values()]
    assert titles[:5] == [
        ("pecon", "1", "PECon"),
        ("medfuse", "1", "MedFuse"),
        ("drfuse", "1", "DrFuse"),
        ("mmtm", "1", "MMTM"),
        ("mmtm_three", "1", "MMTM"),
    ]
    of_paper = list(dict.fromkeys((row.table, row.method) for row in published()))
    told = [key for key in dict.fromkeys((table, name) for _, table, name in titles) if key[1]]
    tables = ("1", "2", "3")
    assert [key for key in told if key[0] in tables] == [k for k in of_paper if k[0] in tables]
    assert [*ROWS][-5:] == ["mlp", "kan", "mmcaf_mlp", "logistic", "lesion_box"]


def test_every_space_in_the_folder_is_a_row() -> None:
    folder = Path(find_spec("models/pecon")).parent
    assert {path.stem for path in folder.glob("*.yaml")} == ROWS.keys()
