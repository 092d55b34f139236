"""CMA-ES whose state is rebuilt from the trials: nothing of a journal is ever unpickled.

Optuna keeps its optimizer as a pickle in the journal and loads it at the next proposal, so a
journal could run code. Here the journal keeps which trials the optimizer was told of, as plain
numbers; the optimizer is told of them again. Every number it proposes is Optuna's own.

Touched of Optuna's internals: what its sampler calls to keep, to restore and to look up; its pickle
is made and thrown away. `tests/mmstudy/search/test_cmaes.py` pins that all proposals are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from optuna._transform import _SearchSpaceTransform
from optuna.samplers import CmaEsSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

__all__ = ["CmaEs", "marks"]

_TOLD = "cma:told"  # of which trials the optimizer was told, and after which earlier state
_GENERATION = "cma:generation"  # Optuna's
_PICKLE = "cma:optimizer:"  # Optuna's; only whether it is there is ever looked at


class CmaEs(CmaEsSampler):
    """Optuna's CMA-ES without its pickle; the arguments are Optuna's."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._after: dict[int, Any] = {}  # trial that told -> optimizer as it then was
        self._parent: int | None = None
        self._solutions: list[int] = []

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        """What the optimizer proposes; nothing before there are enough complete trials."""
        self._space, self._direction = search_space, study.direction
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        complete = {trial.number: trial for trial in completed_trials}
        self._parent = None
        for trial in reversed(completed_trials):
            if (found := self._state_after(trial, complete)) is not None:
                self._parent = trial.number
                return deepcopy(found)
        return None

    def _get_solution_trials(self, trials: list[FrozenTrial], generation: int) -> list[FrozenTrial]:
        found: list[FrozenTrial] = super()._get_solution_trials(trials, generation)
        self._solutions = [trial.number for trial in found]
        return found

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, Any]:
        """What is kept of a new state, where Optuna would keep `optimizer_str`, a pickle."""
        return {_TOLD: [-1 if self._parent is None else self._parent, *self._solutions]}

    def _state_after(self, trial: FrozenTrial, complete: dict[int, FrozenTrial]) -> Any:
        """The optimizer as it was when `trial` was proposed, if it was told of others then."""
        if trial.number not in self._after:
            chain = [trial]
            while (of := _told(chain[-1], complete)) is not None and of[0] >= 0:
                if of[0] >= chain[-1].number or of[0] not in complete:
                    return None  # no state comes after a later one: damaged
                chain.append(complete[of[0]])
            if of is None:
                return None
            for one in reversed(chain):
                if one.number not in self._after:
                    self._after[one.number] = self._told_of(one, complete)
        return self._after[trial.number]

    def _told_of(self, trial: FrozenTrial, complete: dict[int, FrozenTrial]) -> Any:
        parent, *numbers = _told(trial, complete) or [-1]
        trans = _SearchSpaceTransform(self._space, transform_step=True, transform_0_1=True)
        if parent >= 0:
            optimizer = deepcopy(self._after[parent])
        else:
            draws = self._cma_rng.rng.get_state()  # a new optimizer's seed is drawn, and not used
            optimizer = self._init_optimizer(trans, self._direction)
            self._cma_rng.rng.set_state(draws)
        if optimizer is None or len(numbers) < optimizer.population_size:
            return None
        sign = 1 if self._direction == StudyDirection.MINIMIZE else -1
        told = [complete[n] for n in numbers[: optimizer.population_size] if n in complete]
        if len(told) < optimizer.population_size:
            return None
        optimizer.tell([(trans.transform(t.params), sign * (t.value or 0.0)) for t in told])
        return optimizer


def _told(trial: FrozenTrial, complete: dict[int, FrozenTrial]) -> list[int] | None:
    """The state a proposal went out from (-1 for none), then the trials told of; None for most."""
    kept = trial.system_attrs.get(_TOLD)
    if isinstance(kept, list) and kept and all(type(n) is int for n in kept):
        return kept
    generation = trial.system_attrs.get(_GENERATION)
    pickled = any(name.startswith(_PICKLE) for name in trial.system_attrs)
    if not pickled or not isinstance(generation, int):
        return None
    # A journal of 0.1.0 keeps only the pickle. What was known then follows from the times.
    before = [t for t in complete.values() if _ended_before(t, trial)]
    parents = [
        t.number for t in before if any(k.startswith((_TOLD, _PICKLE)) for k in t.system_attrs)
    ]
    return [
        max(parents, default=-1),
        *(t.number for t in before if t.system_attrs.get(_GENERATION) == generation - 1),
    ]


def _ended_before(trial: FrozenTrial, other: FrozenTrial) -> bool:
    ended, begun = trial.datetime_complete, other.datetime_start
    return ended is not None and begun is not None and ended <= begun


def marks(complete: Sequence[int], population: int, startup: int) -> dict[int, dict[str, Any]]:
    """What the journal would say of each complete trial had they run one after the other.

    Args:
        complete: numbers of the complete trials, ascending.
        population: trials of one generation.
        startup: trials before the first generation.
    """
    found: dict[int, dict[str, Any]] = {}
    parent, generation, members = -1, 0, list[int]()
    for number in complete[startup:]:
        found[number] = {_GENERATION: generation}
        if len(members) >= population:
            found[number] = {_GENERATION: generation + 1, _TOLD: [parent, *members]}
            parent, generation, members = number, generation + 1, []
        members.append(number)
    return found
