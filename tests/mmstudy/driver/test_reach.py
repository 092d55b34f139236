"""The probe: where settings are held, their extremes, and real trainings whose answer is known."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mmcaf.data.cohort import Cohort
from mmstudy.driver import reach
from mmstudy.driver.drive import plan_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.driver.reach import base_point, extremes, origin_of, probe
from mmstudy.errors import Interrupted, UsageError
from mmstudy.spec.reading import load_spec, ready_specs
from mmstudy.spec.space import Choice, Floats, Ints
from mmstudy.spec.study_spec import StudySpec, parse_spec
from mmstudy.storage.about import write_about
from mmstudy.storage.schema import Probe, ProbeRun
from mmstudy.study import open_study
from support.tiny_spec import TINY_SPEC


def spec(**changes: Any) -> StudySpec:
    return parse_spec(deepcopy(TINY_SPEC) | changes, begun=True)


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ([[1, 1, 1], [2, 2, 2], [4, 2, 2], [8, 4, 2]], ([1, 1, 1], [8, 4, 2])),
        ([[1, 3, 5], [3], [1, 3, 5, 7]], ([3], [1, 3, 5, 7])),
        (["sgd", "adamw", "other"], ("sgd", "other")),
        ([0.25, 1.0, 0.5], (0.25, 1.0)),
        ([[1, 2], [2, 1]], ([1, 2], [2, 1])),
    ],
)
def test_the_extremes_of_a_choice(options: list[Any], ends: tuple[Any, Any]) -> None:
    assert extremes(Choice(choice=options)) == ends


def test_the_extremes_of_a_range_are_its_ends() -> None:
    assert extremes(Floats(float=(1e-5, 0.1), log=True)) == (1e-5, 0.1)
    assert extremes(Ints(int=(2, 8), step=2)) == (2, 8)


def test_settings_are_held_at_an_enqueued_point_else_where_the_spec_has_them() -> None:
    space = {
        "train.lr": {"float": [1e-4, 1e-2], "log": True},
        "train.weight_decay": {"float": [0.1, 0.3]},
        "model.width": {"choice": [0.0625, 0.125]},
        "train.batch_size": {"int": [8, 12]},
    }
    found = base_point(spec(space=space, search={"enqueue": [{"train.lr": 0.005}]}))
    assert found == {
        "train.lr": 0.005,
        "train.weight_decay": pytest.approx(0.2),  # the middle: 0.01 lies outside
        "model.width": 0.0625,
        "train.batch_size": 10,
    }


def test_a_setting_under_a_condition_is_probed_where_it_is_there() -> None:
    space = {
        "train.optimizer": {"choice": ["adamw", "sgd"]},
        "train.momentum": {"float": [0.0, 0.9], "when": {"train.optimizer": "sgd"}},
    }
    written = spec(space=space)
    assert base_point(written) == {"train.optimizer": "adamw"}
    assert base_point(written, {"train.momentum": 0.3}) == {
        "train.optimizer": "sgd",
        "train.momentum": 0.3,
    }
    assert base_point(written, {"train.optimizer": "sgd"})["train.momentum"] == 0.9


@pytest.mark.parametrize("name", sorted(ready_specs()))
def test_every_ready_space_has_a_base_point_in_its_space(name: str) -> None:
    loaded = load_spec(ready_specs()[name], environment={})
    assert all(loaded.space[path].contains(v) for path, v in base_point(loaded).items())


def test_nothing_to_search_and_one_seed_are_refused(cohort: Cohort, tmp_path: Path) -> None:
    plan = plan_study(spec(space={}), cohort=cohort.folder, root=tmp_path, name="s")
    with pytest.raises(UsageError, match="no setting to probe"):
        probe(plan, InlineRunner())
    with pytest.raises(UsageError, match="seeds must be from 2 to 100, got 1"):
        probe(plan, InlineRunner(), seeds=1)
    assert origin_of(plan).column == "SYNTHETIC"


def test_runs_of_other_patients_than_the_folds_are_not_gone_on_with(
    cohort: Cohort, tmp_path: Path
) -> None:
    plan = plan_study(spec(), cohort=cohort.folder, root=tmp_path, name="s")
    said: list[str] = []
    fresh = reach._begun(plan, "cpu", said.append)
    for patients in (fresh.n, 1):
        run = ProbeRun(params="{}", seed=0, logits=(0.5,) * patients)
        stored = msgspec.structs.replace(fresh, runs=(run,))
        plan.folder.put_json(plan.folder.probe, msgspec.to_builtins(stored))
        found = reach._begun(plan, "cpu", said.append)
        assert found == (stored if patients == fresh.n else fresh)
    assert ["put aside and measured again" in words for words in said] == [True]


SEARCHED = {
    "train.lr": {"float": [1e-5, 3e-2], "log": True},
    "train.momentum": {"float": [0.0, 0.9]},  # under AdamW: the planted inert one
}


@pytest.mark.slow
def test_an_inert_setting_moves_nothing_and_the_learning_rate_more_than_a_seed(
    cohort: Cohort, tmp_path: Path
) -> None:
    written = spec(space=SEARCHED, train={"optimizer": "adamw", "epochs": 3, "lr": 1e-3})
    plan = plan_study(written, cohort=cohort.folder, root=tmp_path, name="s")
    ended: list[tuple[int, int]] = []

    def stop(what: str, done: int, of: int) -> None:
        ended.append((done, of))
        if len(ended) > 8:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="the same command goes on"):
        probe(plan, InlineRunner(), seeds=3, progress=stop)
    kept = plan.folder.json(plan.folder.probe, Probe)
    assert 0 < len(kept.runs) < 12
    found = probe(plan, InlineRunner(), seeds=3)
    assert found.runs[: len(kept.runs)] == kept.runs
    rows = {row.setting: row for row in found.rows}
    assert rows["train.momentum"].share == 0.0
    assert rows["train.lr"].share is not None
    assert rows["train.lr"].share > 1
    assert len(found.runs) == 12  # momentum is held at one of its ends: four points
    # The study that begins in the folder has it, also where it trains longer.
    longer = spec(space=SEARCHED, train={"optimizer": "adamw", "epochs": 9, "lr": 1e-3})
    write_about(plan.folder, longer, plan.cohort, plan.split)
    assert open_study(plan.folder.root).probe() == found
    none: list[int] = []
    assert probe(plan, InlineRunner(), seeds=3, progress=lambda *_: none.append(1)) == found
    assert not none
    other = plan_study(
        spec(space={"train.lr": SEARCHED["train.lr"]}),
        cohort=cohort.folder,
        root=tmp_path,
        name="s",
        continues=False,
    )
    with pytest.raises(UsageError, match="another spec; choose another --name"):
        probe(other, InlineRunner())
    assert msgspec.to_builtins(found)["rows"][0]["setting"] == "train.lr"
