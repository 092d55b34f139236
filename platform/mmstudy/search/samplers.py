"""From a spec to Optuna's samplers, pruners, distributions."""

from __future__ import annotations

import json
import warnings
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan, prod
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from mmstudy.search.cmaes import CmaEs
from mmstudy.spec.space import Choice, Dimension, Floats, Ints
from mmstudy.spec.study_spec import StudySpec

__all__ = [
    "Encoder",
    "Halving",
    "Tpe",
    "decode",
    "directions",
    "distribution",
    "encode",
    "encoder",
    "grid_size",
    "pruner",
    "quiet",
    "rungs",
    "sampler",
]

Encoder = Callable[[dict[str, Any]], dict[str, Any]]
"""Params -> as Optuna keeps them."""

_RUNG = "completed_rung_"  # Optuna's name


def sampler(spec: StudySpec, past: int) -> optuna.samplers.BaseSampler:
    """The sampler of a study that already has `past` trials."""
    startup, kind = spec.search.startup_trials, spec.search.sampler
    # A sampler seeded alike on every start would propose the same trials again.
    seed = spec.search.seed + past
    match kind:
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
        case "cmaes":
            return CmaEs(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
        case "nsga2":  # the first generation is the random one
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(2, startup))
        case "qmc":  # its place in the sequence is in the journal, under this very seed
            return optuna.samplers.QMCSampler(
                seed=spec.search.seed, scramble=True, warn_independent_sampling=False
            )
        case "grid":  # knows from the journal which points were visited
            points = {path: _points(dim) for path, dim in spec.space.items()}
            return _Grid(points, seed=spec.search.seed)
    settings: dict[str, Any] = {"seed": seed, "n_startup_trials": startup, "constant_liar": True}
    if any(dimension.when for dimension in spec.space.values()):
        return Tpe(multivariate=True, group=True, **settings)
    space = {path: distribution(dimension) for path, dimension in spec.space.items()}
    return Tpe(space, multivariate=True, **settings)


class _Grid(optuna.samplers.GridSampler):
    """Without the end that Optuna's sampler puts to its own loop, which is not ours."""

    def after_trial(self, *_: Any) -> None:
        """Nothing: the conductor knows when the grid is done."""


class Tpe(optuna.samplers.TPESampler):
    """TPE that looks at a bounded number of trials, so that the 10,000th costs what the 1000th did.

    It sees the best of all, which are the only ones its estimate of good params is made of; all
    that run; and `OTHERS` of those that ended, evenly spread over the study, for its estimate of
    the rest. (The last ones instead would be good ones too, and drive it away from them.) Up to
    `OTHERS` trials it is Optuna's own, to the bit.

    Args:
        space: of every trial, where all have the same; Optuna would compare those of all trials.
        settings: see Optuna; at least one trial is drawn at random.
    """

    OTHERS, BEST = 500, 25  # Optuna's default calls at most 25 trials good

    def __init__(
        self, space: Mapping[str, BaseDistribution] | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._space = space and {n: d for n, d in sorted(space.items()) if not d.single()}
        self._best: list[tuple[float, int]] | None = None  # value and number, the best last
        self._running: set[int] = set()
        self._seen: Any = None

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> Any:
        """See Optuna."""
        self._seen = self._bounded(study)  # until the next proposal
        if self._space is not None:
            return self._space
        return super().infer_relative_search_space(self._seen, trial)

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: Any) -> Any:
        """See Optuna."""
        return super().sample_relative(self._seen, trial, search_space)

    def sample_independent(self, study: Any, *rest: Any) -> Any:
        """See Optuna."""
        return super().sample_independent(self._seen, *rest)

    def before_trial(self, study: Any, trial: FrozenTrial) -> None:
        """See Optuna."""
        super().before_trial(study, trial)
        self._running.add(trial.number)

    def after_trial(
        self, study: Any, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """See Optuna."""
        super().after_trial(study, trial, state, values)
        self._running.discard(trial.number)
        if self._best is not None and state is TrialState.COMPLETE and values is not None:
            _note(self._best, study, values[0], trial.number)

    def _bounded(self, study: Any) -> Any:
        if len(study.directions) > 1:
            return study  # what is best then, is a question of the whole front
        if self._best is None:
            self._best = []
            for trial in study.get_trials(deepcopy=False):
                if trial.state is TrialState.RUNNING:
                    self._running.add(trial.number)
                elif trial.state is TrialState.COMPLETE:
                    _note(self._best, study, trial.values[0], trial.number)
        return _Bounded(study, self._running.union(n for _, n in self._best), self.OTHERS)


def _note(best: list[tuple[float, int]], study: Any, value: float, number: int) -> None:
    maximizes = study.direction == optuna.study.StudyDirection.MAXIMIZE
    insort(best, (value if maximizes else -value, number))
    del best[: -Tpe.BEST]


class _Bounded:
    """A study as `Tpe` is to see it for one proposal."""

    def __init__(self, study: Any, always: set[int], others: int) -> None:
        self._whole, self._always, self._others = study, always, others
        self._few: list[FrozenTrial] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def get_trials(
        self, deepcopy: bool = True, states: Sequence[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """See Optuna; never copies."""
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Sequence[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        if self._few is None:
            self._few = self._chosen(self._whole.get_trials(deepcopy=False))
        return [trial for trial in self._few if states is None or trial.state in states]

    def _chosen(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        if len(trials) - len(self._always) <= self._others:
            return trials
        # A trial's number is its place. Nothing here goes through all trials.
        spread = {k * len(trials) // self._others for k in range(self._others)}
        return [trials[place] for place in sorted(spread | self._always)]


class Halving(optuna.pruners.BasePruner):
    """Optuna's successive halving, without going through all trials at every report.

    The rule, and what it notes in the journal, are those of `SuccessiveHalvingPruner`; the values
    that reached each rung are kept sorted here, read from the journal once.
    """

    def __init__(self, grace_epochs: int, reduction: int) -> None:
        self._grace, self._reduction = grace_epochs, reduction
        self._rungs: dict[int, list[float]] | None = None  # values at each, ascending

    def prune(self, study: Any, trial: FrozenTrial) -> bool:
        """Whether the trial is not among the best of those that came as far."""
        step = trial.last_step
        if step is None:
            return False
        rungs = self._known(study)
        rung = sum(1 for name in trial.system_attrs if name.startswith(_RUNG))
        value = trial.intermediate_values[step]
        while step >= self._grace * self._reduction**rung:
            if isnan(value):
                return True
            study._storage.set_trial_system_attr(trial._trial_id, f"{_RUNG}{rung}", value)
            values = rungs.setdefault(rung, [])
            insort(values, value)
            place = max(1, len(values) // self._reduction)
            if value < values[-place]:
                return True
            rung += 1
        return False

    def _known(self, study: Any) -> dict[int, list[float]]:
        if self._rungs is None:
            self._rungs = {}
            for trial in study.get_trials(deepcopy=False):
                for name, value in trial.system_attrs.items():
                    if name.startswith(_RUNG):
                        insort(self._rungs.setdefault(int(name.removeprefix(_RUNG)), []), value)
        return self._rungs


def rungs(reported: Mapping[int, float], grace_epochs: int, reduction: int) -> dict[str, float]:
    """What `Halving` notes of a trial that reported these values, by epoch from 1.

    >>> rungs({1: 0.6, 2: 0.5, 3: 0.7}, grace_epochs=1, reduction=2)
    {'completed_rung_0': 0.6, 'completed_rung_1': 0.5}
    """
    noted: dict[str, float] = {}
    for epoch, value in sorted(reported.items()):
        while epoch >= grace_epochs * reduction ** len(noted):
            noted[f"{_RUNG}{len(noted)}"] = value
    return noted


def pruner(spec: StudySpec) -> optuna.pruners.BasePruner:
    """Successive halving, or none."""
    if spec.pruning is None:
        return optuna.pruners.NopPruner()
    return Halving(spec.pruning.grace_epochs, spec.pruning.reduction)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notices that a feature is experimental; the versions are pinned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def directions(spec: StudySpec) -> list[Literal["maximize", "minimize"]]:
    """Of each objective."""
    return ["maximize" if name == "auroc" else "minimize" for name in spec.search.objectives]


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna's."""
    match dimension:
        case Floats(bounds=(low, high), log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case Ints(bounds=(lowest, highest), log=log, step=step):
            return IntDistribution(lowest, highest, log=log, step=step)
        case Choice():
            return CategoricalDistribution(_points(dimension))


def grid_size(spec: StudySpec) -> int:
    """Number of points of a space all of whose dimensions can be counted."""
    return prod(len(dimension.grid()) for dimension in spec.space.values())


def encode(dimension: Dimension, value: Any) -> Any:
    """A value as Optuna keeps it: its choices must be scalars, so a list travels as JSON text."""
    return json.dumps(value) if isinstance(dimension, Choice) else value


def encoder(space: Mapping[str, Dimension]) -> Encoder:
    """`encode` for the params of thousands of trials of `space`: choices are ready."""
    known = {
        path: {repr(option): encode(choice, option) for option in choice.options}
        for path, choice in space.items()
        if isinstance(choice, Choice)
    }

    def encoded(params: dict[str, Any]) -> dict[str, Any]:
        return params | {
            path: texts.get(repr(params[path])) or encode(space[path], params[path])
            for path, texts in known.items()
            if path in params
        }

    return encoded


def decode(dimension: Dimension, value: Any) -> Any:
    """The inverse of `encode`."""
    return json.loads(value) if isinstance(dimension, Choice) else value


def _points(dimension: Dimension) -> list[Any]:
    return [encode(dimension, value) for value in dimension.grid()]
