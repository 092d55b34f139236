"""Who decides: one persistent Optuna study, asked and told exactly.

A trial *is* its Optuna number. Nothing of the sampler lives in memory only: a trial that was
RUNNING when its driver died is found again in the journal and handed out under the same number
with the same params. One driver at a time (the engine holds the lock).

Three things of Optuna's internals are touched: the `_trial_id` of a frozen trial and the
constructor of `Trial`, because ask/tell offers no way to re-attach, and `_study_id`, because other
ways to count trials copy them all. Tests of resuming pin them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mmstudy.search.journal import open_journal
from mmstudy.search.rebuild import ADOPTED, LOST, NAME, Known, adopted_trial
from mmstudy.search.samplers import (
    directions,
    distribution,
    encode,
    grid_size,
    pruner,
    quiet,
    sampler,
)
from mmstudy.spec.space import Choice, Floats, Ints, in_order, is_active
from mmstudy.spec.study_spec import StudySpec
from mmstudy.storage.schema import State

__all__ = ["Proposal", "Search", "Told", "importances"]

_STATES = {
    TrialState.RUNNING: State.RUNNING,
    TrialState.COMPLETE: State.COMPLETE,
    TrialState.PRUNED: State.PRUNED,
    TrialState.FAIL: State.FAIL,
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial to run: its number and its params (dotted path -> value)."""

    number: int
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What the study was told of a trial; `value` is its first objective."""

    state: State
    value: float | None


class Search:
    """The Optuna study in `journal`, opened or made; without a journal, in memory only.

    Args:
        journal: its path, or what `open_journal` has opened.
        spec: of the study.
        known: trials of another study, adopted by a study that has none yet.
    """

    def __init__(
        self,
        journal: Path | BaseStorage | None,
        spec: StudySpec,
        known: Sequence[Known] = (),
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = dict(in_order(spec.space))
        storage = journal if isinstance(journal, BaseStorage) else open_journal(journal)
        # Not by summaries and `study.trials`, which copy every trial.
        past = sum(storage.get_n_trials(study._study_id) for study in storage.get_all_studies())
        with quiet():
            self._study = optuna.create_study(
                storage=storage,
                study_name=NAME,
                directions=directions(spec),
                load_if_exists=True,
                sampler=sampler(spec, past),
                pruner=pruner(spec),
            )
        self._several = len(spec.search.objectives) > 1
        self._points = grid_size(spec) if spec.search.sampler == "grid" else None
        self._live: dict[int, optuna.Trial] = {}
        self._reported: dict[int, set[int]] = {}
        if not past:
            for trial in known:
                self._study.add_trial(adopted_trial(spec, trial))
        for point in spec.search.points:
            fixed = {path: encode(spec.space[path], value) for path, value in point.items()}
            self._study.enqueue_trial(fixed, skip_if_exists=True)
        self._interrupted = [
            trial.number for trial in self._trials() if trial.state is TrialState.RUNNING
        ]

    def told(self) -> dict[int, Told]:
        """State and value of every trial that was ever handed out, by number."""
        return {
            trial.number: Told(_STATES[trial.state], trial.values[0] if trial.values else None)
            for trial in self._trials()
            if trial.state is not TrialState.WAITING
            and not {ADOPTED, LOST} & trial.user_attrs.keys()
        }

    def interrupted(self) -> list[int]:
        """Numbers of trials that an earlier driver left RUNNING and this one has not taken up."""
        return [*self._interrupted]

    def take_up(self, number: int) -> Proposal:
        """The interrupted trial `number` again, with the params it had."""
        self._interrupted.remove(number)
        frozen = self._trials()[number]
        self._reported[number] = set(frozen.intermediate_values)
        return self._propose(optuna.Trial(self._study, frozen._trial_id))

    @property
    def exhausted(self) -> bool:
        """Whether every point there is was handed out: only a grid has an end."""
        return self._points is not None and len(self.told()) >= self._points

    def ask(self) -> Proposal:
        """A new trial."""
        with quiet():
            return self._propose(self._study.ask())

    def report(self, number: int, epoch: int, value: float) -> None:
        """Tell the value after `epoch` (0-based) of the first fold; telling twice is harmless."""
        reported = self._reported[number]
        if not self._several and epoch + 1 not in reported:
            self._live[number].report(value, epoch + 1)
            reported.add(epoch + 1)

    def should_prune(self, number: int) -> bool:
        """Whether the trial falls behind the others at its last reported epoch."""
        prune: bool = self._live[number].should_prune()
        return prune

    def complete(self, number: int, values: Sequence[float]) -> None:
        """The trial ran to its end; one value per objective.

        Raises:
            ValueError: a value is not finite; such a trial has failed.
        """
        if not all(map(math.isfinite, values)):
            raise ValueError(f"Need finite objectives for trial {number}, got {[*values]}.")
        self._study.tell(self._done(number), list(values))

    def prune(self, number: int) -> None:
        """The trial was stopped early, on purpose."""
        self._study.tell(self._done(number), state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """The trial cannot give a value."""
        self._study.tell(self._done(number), state=TrialState.FAIL)

    def _done(self, number: int) -> optuna.Trial:
        del self._reported[number]
        return self._live.pop(number)

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _propose(self, trial: optuna.Trial) -> Proposal:
        params: dict[str, Any] = {}
        with quiet():
            for path, dimension in self._space.items():
                if is_active(dimension, params):
                    params[path] = _suggest(trial, path, dimension)
        self._live[trial.number] = trial
        self._reported.setdefault(trial.number, set())
        return Proposal(
            trial.number, {path: params[path] for path in self._space if path in params}
        )


def importances(
    spec: StudySpec,
    trials: Sequence[tuple[Mapping[str, Any], float]],
    *,
    seed: int = 0,
    trees: int = 64,
) -> dict[str, dict[str, float]]:
    """Share of each searched path in how the value varies, after fANOVA and after PED-ANOVA.

    Args:
        spec: whose space the params are of.
        trials: params and value of complete trials; the paths present in all of them are judged.
        seed: of fANOVA's forest.
        trees: of that forest.

    Raises:
        ValueError: fewer than two trials, or all of one value.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for params, value in trials:
        study.add_trial(
            optuna.create_trial(
                value=value,
                params={p: encode(spec.space[p], v) for p, v in params.items()},
                distributions={p: distribution(spec.space[p]) for p in params},
            )
        )
    evaluators: dict[str, Any] = {
        "fanova": optuna.importance.FanovaImportanceEvaluator(seed=seed, n_trees=trees),
        "ped_anova": optuna.importance.PedAnovaImportanceEvaluator(),
    }
    with quiet():
        return {
            name: dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
            for name, evaluator in evaluators.items()
        }


def _suggest(trial: optuna.Trial, path: str, dimension: Floats | Ints | Choice) -> Any:
    match dimension:
        case Floats(bounds=(low, high), log=log, step=step):
            return trial.suggest_float(path, low, high, log=log, step=step)
        case Ints(bounds=(lowest, highest), log=log, step=step):
            return trial.suggest_int(path, lowest, highest, log=log, step=step)
        case Choice(options=options):
            encoded = [encode(dimension, option) for option in options]
            return json.loads(trial.suggest_categorical(path, encoded))
