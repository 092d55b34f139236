"""What is ours among samplers and pruners decides as Optuna's own, at a bounded cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from mmstudy.search.samplers import Halving, Tpe, encode, encoder
from mmstudy.spec.space import Choice, Floats

optuna.logging.set_verbosity(optuna.logging.WARNING)


def propose(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -3, 3)
    y = trial.suggest_categorical("y", ["a", "b"])
    trial.suggest_float("idle", 0, 1)
    return -((x - 1) ** 2) - (y == "a")


SPACE = {
    "y": CategoricalDistribution(["a", "b"]),
    "x": FloatDistribution(-3, 3),
    "idle": FloatDistribution(0, 1),
}


def proposals(sampler: Any, trials: int) -> list[dict[str, Any]]:
    """Params of as many trials, the last three of which run beside one another."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, propose(trial))
    for _ in range(3):
        propose(study.ask())
    return [trial.params for trial in study.get_trials()]


SETTINGS: dict[str, Any] = {"seed": 3, "multivariate": True, "constant_liar": True}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("space", [None, SPACE])
def test_few_trials_are_proposed_as_by_optuna_to_the_bit(space: Any) -> None:
    assert proposals(Tpe(space, **SETTINGS), 40) == proposals(TPESampler(**SETTINGS), 40)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_of_many_trials_it_sees_the_best_the_running_and_some_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tpe, "OTHERS", 10)
    monkeypatch.setattr(Tpe, "BEST", 5)
    study = optuna.create_study(direction="maximize", sampler=Tpe(**SETTINGS))
    early = study.ask()
    propose(early)
    for number in range(1, 101):
        trial = study.ask()
        propose(trial)
        study.tell(trial, -number, state=TrialState.COMPLETE)  # the first ones are the best
    seen = study.sampler._bounded(study).get_trials(deepcopy=False)
    assert [trial.number for trial in seen] == [*range(6), *range(10, 100, 10)]
    again = Tpe(**SETTINGS)  # another driver, which reads the best from the study
    assert [t.number for t in again._bounded(study).get_trials()] == [t.number for t in seen]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.filterwarnings("ignore:`gamma` has been deprecated:FutureWarning")
def test_seeing_few_of_many_trials_finds_the_optimum_as_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Tpe, "OTHERS", 50)
    monkeypatch.setattr(Tpe, "BEST", 5)

    def near(kind: Any) -> float:
        """Share of late proposals that are good; by chance 0.125."""
        late = [
            params
            for seed in range(3)
            # As many good ones as `BEST`, which is what Optuna's default is in a long study.
            for params in proposals(kind(**SETTINGS | {"seed": seed, "gamma": lambda _: 5}), 150)[
                100:
            ]
        ]
        return float(np.mean([abs(p["x"] - 1) < 0.75 and p["y"] == "b" for p in late]))

    assert near(Tpe) > 0.7 * near(TPESampler) > 0.7 * 0.25


@pytest.mark.parametrize(("grace", "reduction"), [(1, 2), (2, 3), (5, 4)])
def test_halving_decides_as_optunas_also_after_a_restart(grace: int, reduction: int) -> None:
    theirs = optuna.pruners.SuccessiveHalvingPruner(min_resource=grace, reduction_factor=reduction)
    curves = np.random.Generator(np.random.Philox(1)).uniform(size=(60, 20)).round(2)
    curves[7, 4] = np.nan
    decided = []
    for restarts, pruner in ((False, theirs), (True, Halving(grace, reduction))):
        study = optuna.create_study(direction="maximize", pruner=pruner)
        decisions = []
        for first in range(0, 60, 4):  # four at a time
            if restarts and first == 32:
                study.pruner = Halving(grace, reduction)
            alive = {study.ask(): curve for curve in curves[first : first + 4]}
            for epoch in range(20):
                for trial, curve in [*alive.items()]:
                    trial.report(curve[epoch], epoch + 1)
                    decisions.append(trial.should_prune())
                    if decisions[-1]:
                        study.tell(trial, state=TrialState.PRUNED)
                        del alive[trial]
        decided.append(decisions)
    assert decided[0] == decided[1]
    assert any(decided[0])


def test_many_values_are_encoded_as_each_alone() -> None:
    options = [1, "1", [2, 3], None, -0.0]
    space = {"a": Choice(choice=options), "b": Floats(float=(0.0, 2.0))}
    encoded = encoder(space)
    for value in (*options, "none of them", True, 1.0, [2.0, 3], 0.0):
        assert encoded({"b": 1.0, "a": value}) == {"b": 1.0, "a": encode(space["a"], value)}
    assert encoded({"b": 1.0}) == {"b": 1.0}
