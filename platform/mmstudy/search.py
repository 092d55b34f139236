"""Who decides: one persistent Optuna study, asked and told exactly.

A trial *is* its Optuna number. Nothing of the sampler lives in memory only: a trial that was
RUNNING when its driver died is found again in the journal and handed out under the same number
with the same params. One driver at a time (the engine holds the lock).

Two things of Optuna's internals are touched, because ask/tell offers no way to re-attach: the
`_trial_id` of a frozen trial and the constructor of `Trial`. A test pins both.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mmstudy.records import State
from mmstudy.space import Choice, Dimension, Floats, Ints
from mmstudy.spec import StudySpec

__all__ = ["Proposal", "Search"]

_STATES = {
    TrialState.RUNNING: State.RUNNING,
    TrialState.WAITING: State.RUNNING,
    TrialState.COMPLETE: State.COMPLETE,
    TrialState.PRUNED: State.PRUNED,
    TrialState.FAIL: State.FAIL,
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial to run: its number and its params (dotted path -> value)."""

    number: int
    params: dict[str, Any]


class Search:
    """The Optuna study in `journal`, opened or made."""

    def __init__(self, journal: Path, spec: StudySpec) -> None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        _mend(journal)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = spec.space
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
        known = {summary.study_name for summary in optuna.get_all_study_summaries(storage)}
        past = 0
        if "study" in known:
            past = len(optuna.load_study(study_name="study", storage=storage).trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                storage=storage,
                study_name="study",
                direction="maximize",
                load_if_exists=True,
                sampler=_sampler(spec, past),
                pruner=_pruner(spec),
            )
        self._live: dict[int, optuna.Trial] = {}
        for point in spec.search.enqueue:
            fixed = {path: _encode(spec.space[path], value) for path, value in point.items()}
            self._study.enqueue_trial(fixed, skip_if_exists=True)

    def states(self) -> dict[int, State]:
        """State of every trial that was ever handed out, by number."""
        return {
            trial.number: _STATES[trial.state]
            for trial in self._trials()
            if trial.state is not TrialState.WAITING
        }

    def value(self, number: int) -> float | None:
        """The objective of a finished trial, if it has one."""
        value: float | None = self._trials()[number].value
        return value

    def interrupted(self) -> list[int]:
        """Numbers of trials that an earlier driver left RUNNING and this one has not taken up."""
        return [
            trial.number
            for trial in self._trials()
            if trial.state is TrialState.RUNNING and trial.number not in self._live
        ]

    def take_up(self, number: int) -> Proposal:
        """The interrupted trial `number` again, with the params it had."""
        frozen = self._trials()[number]
        return self._propose(optuna.Trial(self._study, frozen._trial_id))

    def ask(self) -> Proposal:
        """A new trial."""
        return self._propose(self._study.ask())

    def report(self, number: int, epoch: int, value: float) -> None:
        """Tell the value after `epoch` (0-based) of the first fold; telling twice is harmless."""
        trial = self._live[number]
        if epoch + 1 not in self._trials()[number].intermediate_values:
            trial.report(value, epoch + 1)

    def should_prune(self, number: int) -> bool:
        """Whether the trial falls behind the others at its last reported epoch."""
        prune: bool = self._live[number].should_prune()
        return prune

    def complete(self, number: int, value: float) -> None:
        """The trial ran to its end.

        Raises:
            ValueError: the value is not finite; such a trial has failed.
        """
        if not math.isfinite(value):
            raise ValueError(f"Need a finite objective for trial {number}, got {value}.")
        self._study.tell(self._live.pop(number), value)

    def prune(self, number: int) -> None:
        """The trial was stopped early, on purpose."""
        self._study.tell(self._live.pop(number), state=TrialState.PRUNED)

    def fail(self, number: int) -> None:
        """The trial cannot give a value."""
        self._study.tell(self._live.pop(number), state=TrialState.FAIL)

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _propose(self, trial: optuna.Trial) -> Proposal:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            params = {
                path: _suggest(trial, path, dimension) for path, dimension in self._space.items()
            }
        self._live[trial.number] = trial
        return Proposal(trial.number, params)


def _mend(journal: Path) -> None:
    """Cut off a line that a full disk or a kill left half-written, and the lock of its writer.

    Optuna would refuse to read on after such a line. The caller is the only driver (engine).
    """
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    with journal.open("rb+") as file:
        file.truncate(file.read().rfind(b"\n") + 1)


def _sampler(spec: StudySpec, past: int) -> optuna.samplers.BaseSampler:
    # A sampler seeded alike on every start would propose the same trials again.
    seed = spec.search.seed + past
    if spec.search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed,
        n_startup_trials=spec.search.startup_trials,
        multivariate=True,
        group=True,
        constant_liar=True,
    )


def _pruner(spec: StudySpec) -> optuna.pruners.BasePruner:
    if spec.pruning is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=spec.pruning.grace_epochs, reduction_factor=spec.pruning.reduction
    )


def _suggest(trial: optuna.Trial, path: str, dimension: Dimension) -> Any:
    match dimension:
        case Floats(bounds=(low, high), log=log):
            return trial.suggest_float(path, low, high, log=log)
        case Ints(bounds=(lowest, highest), log=log, step=step):
            return trial.suggest_int(path, lowest, highest, log=log, step=step)
        case Choice(options=options):
            encoded = [_encode(dimension, option) for option in options]
            return json.loads(trial.suggest_categorical(path, encoded))


def _encode(dimension: Dimension, value: Any) -> Any:
    # Optuna's choices must be scalars; a list travels as its JSON text.
    return json.dumps(value) if isinstance(dimension, Choice) else value
