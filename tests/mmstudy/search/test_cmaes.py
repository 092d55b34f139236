"""CMA-ES proposes what Optuna's does, and never unpickles what a journal holds."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import CmaEsSampler

from mmstudy.search.cmaes import CmaEs, marks
from mmstudy.search.optuna_study import Search
from mmstudy.spec.study_spec import StudySpec, parse_spec

optuna.logging.set_verbosity(optuna.logging.ERROR)
SETTINGS: dict[str, Any] = {"n_startup_trials": 4, "warn_independent_sampling": False}


def value(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -3, 3)
    y = trial.suggest_float("y", 1e-4, 1, log=True)
    n = trial.suggest_int("n", 1, 9)
    trial.suggest_categorical("c", ["a", "b"])
    return -((x - 1) ** 2) - y - abs(n - 4)


def run(study: optuna.Study, trials: int, beside: int) -> list[dict[str, Any]]:
    """Params of all trials after `trials` more, `beside` of which run at once."""
    live: list[tuple[optuna.Trial, float]] = []
    for done in range(trials):
        while len(live) < beside:
            trial = study.ask()
            live.append((trial, value(trial)))
        study.tell(*live.pop(0 if done % 3 else -1))
    return [trial.params for trial in study.get_trials()]


def begun(sampler: Callable[..., Any]) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=sampler(seed=3, **SETTINGS))


@pytest.mark.parametrize("beside", [1, 4])
def test_it_proposes_what_optuna_does_to_the_bit(beside: int) -> None:
    ours, theirs = begun(CmaEs), begun(CmaEsSampler)
    assert run(ours, 60, beside) == run(theirs, 60, beside)
    ours.sampler, theirs.sampler = CmaEs(seed=8, **SETTINGS), CmaEsSampler(seed=8, **SETTINGS)
    assert run(ours, 20, beside) == run(theirs, 20, beside)  # another process goes on
    assert not any("optimizer" in key for t in ours.get_trials() for key in t.system_attrs)


@pytest.mark.parametrize("beside", [1, 4])
def test_a_journal_with_optunas_pickles_is_continued_without_reading_them(
    beside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, twin = begun(CmaEsSampler), begun(CmaEsSampler)
    assert run(study, 60, beside) == run(twin, 60, beside)
    study.sampler, twin.sampler = CmaEs(seed=8, **SETTINGS), CmaEsSampler(seed=8, **SETTINGS)
    expected = run(twin, 30, beside)
    monkeypatch.setattr(pickle, "loads", None)
    assert run(study, 30, beside) == expected


def test_the_marks_of_a_rebuilt_journal_are_those_of_one_trial_after_the_other() -> None:
    study = begun(CmaEs)
    run(study, 50, 1)
    kept = {trial.number: trial.system_attrs for trial in study.get_trials()}
    found = marks(range(50), population=4 + 3, startup=4)  # 4 + floor(3 ln 3)
    assert found == {number: attributes for number, attributes in kept.items() if attributes}


@pytest.mark.parametrize(
    "told", ["x", [], [True], ["1"], [10**9, 1], [-7, 99], [40, *range(7)], {"a": 1}, [-1, 1]]
)
def test_a_damaged_mark_is_no_state(told: object) -> None:
    study = begun(CmaEs)
    run(study, 39, 1)
    trial = study.ask()
    study._storage.set_trial_system_attr(trial._trial_id, "cma:told", told)  # type: ignore[arg-type]
    study.tell(trial, value(trial))
    study.sampler = CmaEs(seed=8, **SETTINGS)
    assert len(run(study, 10, 1)) == 50


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def spec() -> StudySpec:
    space = {
        "train.lr": {"float": [1e-4, 1e-2], "log": True},
        "train.weight_decay": {"float": [0, 0.5]},
    }
    return parse_spec(
        {
            "question": "Is it safe?",
            "space": space,
            "search": {"sampler": "cmaes", "startup_trials": 3},
        }
    )


def test_a_pickle_wherever_a_journal_carries_text_runs_nothing(tmp_path: Path) -> None:
    journal, canary = tmp_path / "optuna.journal", tmp_path / "canary"
    search = Search(journal, spec())
    for _ in range(20):
        search.complete((asked := search.ask()).number, [asked.params["train.lr"]])
    bomb = pickle.dumps(Canary(canary)).hex()
    lines, trial = [], 0
    for text in journal.read_text().splitlines():
        lines.append(text)
        if json.loads(text)["op_code"] == 4:  # a trial begins
            for key in ("cma:optimizer:0", "cma:told", "cma:generation", "x_for_tell"):
                line = {"op_code": 9, "worker_id": "w", "trial_id": trial}
                lines.append(json.dumps(line | {"system_attr": {key: bomb}}))
            trial += 1
    journal.write_text("\n".join(lines) + "\n")
    again = Search(journal, spec())
    for _ in range(20):
        again.complete((asked := again.ask()).number, [asked.params["train.lr"]])
    assert not canary.exists()
    pickle.loads(bytes.fromhex(bomb))  # noqa: S301 - the bomb would go off
    assert canary.exists()
