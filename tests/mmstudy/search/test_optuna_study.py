from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mmstudy.errors import UsageError
from mmstudy.search.optuna_study import Search, Told, importances
from mmstudy.search.rebuild import Known
from mmstudy.spec.study_spec import StudySpec, parse_spec
from mmstudy.storage.schema import State
from support.tiny_spec import TINY_SPEC

SMOOTH = {
    "train.lr": {"float": [1e-4, 1e-1], "log": True},
    "train.momentum": {"float": [0.0, 0.9], "step": 0.1},
    "train.batch_size": {"int": [2, 8], "step": 2},
}


def spec(**changes: Any) -> StudySpec:
    sgd = {"epochs": 2, "optimizer": "sgd"}  # which has a momentum to search
    return parse_spec(deepcopy(TINY_SPEC) | {"train": sgd} | changes)


def smooth(sampler: str, **search: Any) -> StudySpec:
    space = deepcopy(SMOOTH)
    if sampler == "grid":
        space["train.lr"] = {"choice": [1e-3, 1e-2]}
    return spec(space=space, search={"sampler": sampler, "startup_trials": 4} | search)


def value(params: dict[str, Any]) -> float:
    return 1 - abs(params["train.momentum"] - 0.5) - abs(params["train.batch_size"] - 4) / 10


SAMPLERS = ["tpe", "gp", "cmaes", "nsga2", "qmc", "random", "grid"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_proposes_points_of_the_space_and_none_twice_after_re_opening(
    sampler: str, tmp_path: Path
) -> None:
    found = smooth(sampler)
    seen = []
    for _ in range(2):
        search = Search(tmp_path / "optuna.journal", found)
        for _ in range(6):
            proposal = search.ask()
            assert proposal.params.keys() == found.space.keys()
            assert all(found.space[path].contains(v) for path, v in proposal.params.items())
            search.complete(proposal.number, [value(proposal.params)])
            seen.append(json.dumps(proposal.params))
    assert seen[:6] != seen[6:]
    assert len(set(seen)) == 12 or sampler == "nsga2"  # which keeps good points, children alike


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_study(sampler: str) -> None:
    def run() -> list[dict[str, Any]]:
        search, asked = Search(None, smooth(sampler)), []
        for _ in range(8):
            proposal = search.ask()
            search.complete(proposal.number, [value(proposal.params)])
            asked.append(proposal.params)
        return asked

    assert run() == run()


def test_a_grid_visits_every_point_once(tmp_path: Path) -> None:
    space = {"train.momentum": {"float": [0.0, 0.9], "step": 0.3}, "train.epochs": {"int": [1, 3]}}
    found = spec(space=space, search={"sampler": "grid", "trials": 12})
    seen = set()
    for _ in range(12):
        search = Search(tmp_path / "optuna.journal", found)
        assert not search.exhausted
        proposal = search.ask()
        search.complete(proposal.number, [0.5])
        seen.add(json.dumps(proposal.params))
    assert len(seen) == 12
    assert search.exhausted


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"search": {"sampler": "grid"}}, "space.train.lr: a grid needs a step"),
        (
            {"space": {"train.epochs": {"int": [1, 3]}}, "search": {"sampler": "grid"}},
            "the grid has 3 points, got 50; ask for 3 at most",
        ),
        ({"search": {"sampler": "cmaes"}}, "cmaes needs two or more float or int dimensions"),
        (
            {"search": {"sampler": "cmaes", "objectives": ["auroc", "parameters"]}},
            "cmaes has one objective; use one of tpe, nsga2",
        ),
        (
            {
                "space": {
                    "model.tokens": {"choice": ["pooled", "grid"]},
                    "model.token_grid": {
                        "choice": [[1, 1, 2], [1, 2, 2]],
                        "when": {"model.tokens": "grid"},
                    },
                },
                "search": {"sampler": "gp"},
            },
            "gp knows no conditions (when: ...); use one of tpe, random, nsga2",
        ),
        (
            {
                "search": {"objectives": ["auroc", "seconds_per_epoch"]},
                "pruning": {"grace_epochs": 1},
            },
            "with several objectives no trial can be stopped early",
        ),
        (
            {"search": {"objectives": ["auc"]}},
            "search.objectives: need a list of 1 or more of auroc",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec(**changes)
    assert told in str(caught.value)


def test_adopted_trials_are_known_but_not_of_this_study(tmp_path: Path) -> None:
    params = {"train.lr": 1e-3, "model.pyramid_scales": [3]}
    known = [Known("other trial 0", params, (0.9,))]
    search = Search(tmp_path / "optuna.journal", spec(), known)
    proposal = search.ask()
    search.complete(proposal.number, [0.5])
    assert search.told() == {proposal.number: Told(State.COMPLETE, 0.5)}
    again = Search(tmp_path / "optuna.journal", spec(), known)
    assert again.ask().number == proposal.number + 1


def test_what_was_adopted_guides_the_sampler() -> None:
    found = spec(space={"train.lr": {"float": [0.1, 1.0]}}, search={"startup_trials": 4})
    values = [0.1 + i * 0.9 / 39 for i in range(40)]
    known = [Known(f"t{i}", {"train.lr": v}, (1 - abs(v - 0.8),)) for i, v in enumerate(values)]

    def distance(known: list[Known]) -> float:
        search = Search(None, found, known)
        return sum(abs(search.ask().params["train.lr"] - 0.8) for _ in range(10)) / 10

    assert distance(known) < 0.7 * distance([])


def test_several_objectives_are_told_together() -> None:
    search = Search(None, spec(search={"objectives": ["auroc", "parameters"]}))
    proposal = search.ask()
    search.report(proposal.number, 0, 0.5)  # is left out: Optuna cannot take it
    search.complete(proposal.number, [0.7, 1e6])
    assert search.told() == {0: Told(State.COMPLETE, 0.7)}


def test_a_value_that_is_not_finite_is_never_told(tmp_path: Path) -> None:
    search = Search(tmp_path / "optuna.journal", spec())
    number = search.ask().number
    with pytest.raises(ValueError, match="Need finite objectives for trial 0, got"):
        search.complete(number, [float("nan")])
    assert Search(tmp_path / "optuna.journal", spec()).interrupted() == [0]


Judge = Callable[[dict[str, Any]], float]


@pytest.mark.parametrize("evaluator", ["fanova", "ped_anova"])
def test_importance_finds_what_the_value_depends_on(evaluator: str) -> None:
    found = smooth("random", trials=60)
    search = Search(None, found)
    trials = [(params := search.ask().params, params["train.momentum"]) for _ in range(60)]
    shares = importances(found, trials)[evaluator]
    assert shares["train.momentum"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
