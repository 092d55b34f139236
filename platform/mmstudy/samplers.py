"""From a spec to Optuna's samplers, pruners, distributions.

CMA-ES is the one sampler that keeps a pickle in the journal, Optuna's own; a stranger's journal is
therefore not to be continued with it.
"""

from __future__ import annotations

import json
from math import prod
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mmstudy.space import Choice, Dimension, Floats, Ints
from mmstudy.spec import StudySpec

__all__ = ["directions", "distribution", "encode", "grid_size", "pruner", "sampler"]


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
            return optuna.samplers.CmaEsSampler(
                seed=seed, n_startup_trials=startup, warn_independent_sampling=False
            )
        case "nsga2":  # the first generation is the random one
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=max(2, startup))
        case "qmc":  # its place in the sequence is in the journal, under this very seed
            return optuna.samplers.QMCSampler(
                seed=spec.search.seed, scramble=True, warn_independent_sampling=False
            )
        case "grid":  # knows from the journal which points were visited
            points = {path: _points(dim) for path, dim in spec.space.items()}
            return _Grid(points, seed=spec.search.seed)
    return optuna.samplers.TPESampler(
        seed=seed,
        n_startup_trials=startup,
        multivariate=True,
        group=True,
        constant_liar=True,
    )


class _Grid(optuna.samplers.GridSampler):
    """Without the end that Optuna's sampler puts to its own loop, which is not ours."""

    def after_trial(self, *_: Any) -> None:
        """Nothing: the conductor knows when the grid is done."""


def pruner(spec: StudySpec) -> optuna.pruners.BasePruner:
    """Successive halving, or none."""
    if spec.pruning is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=spec.pruning.grace_epochs, reduction_factor=spec.pruning.reduction
    )


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


def _points(dimension: Dimension) -> list[Any]:
    return [encode(dimension, value) for value in dimension.grid()]
