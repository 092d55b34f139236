"""What bias pruning leaves in the figures of a search's best: the product's code on made scores.

Scores of a case are binormal: a part that all trials share, and a part of each trial's own that
changes slowly over epochs. Trials run one after the other under `Halving` and under the rule of
what is still reachable, as in a study. Bias is against the true AUROC of what was picked. Fails
where a figure of the ready spaces' settings lies off by more than the target and its own error.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import sqrt

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import norm

from mmcaf.stats.areas import placements
from mmcaf.stats.estimates import Outcomes, bbc
from mmstudy.analysis.optimism import cross_fitted, unseen_by_pruning
from mmstudy.search.samplers import Halving
from mmstudy.search.scoring import objective_value, reachable_value

TARGET = 0.015
KEPT, SHARED = 0.9, 0.3  # from epoch to epoch; of the variance, by all trials


@dataclass(frozen=True, slots=True)
class Setting:
    """A search; `signal` is the spread of the trials' true distances between classes."""

    name: str
    cases: int
    positive: int
    folds: int
    epochs: int
    trials: int
    grace: int
    reduction: int
    signal: float
    repeats: int


SETTINGS = (
    Setting("smoke.yaml, noise", 48, 24, 3, 4, 12, 1, 2, 0.0, 400),
    Setting("smoke.yaml, signal", 48, 24, 3, 4, 12, 1, 2, 0.4, 400),
    Setting("learning_rate.yaml, noise", 236, 40, 5, 50, 60, 5, 3, 0.0, 40),
    Setting("learning_rate.yaml, signal", 236, 40, 5, 50, 60, 5, 3, 0.4, 40),
)


@dataclass(frozen=True, slots=True)
class World:
    """One draw: labels and folds (cases,), scores (trials, epochs, cases), truth (trials, epochs),
    AUROCs (trials, epochs, folds)."""

    label: NDArray[np.int64]
    fold: NDArray[np.int64]
    score: NDArray[np.float64]
    truth: NDArray[np.float64]
    auroc: NDArray[np.float64]


def drawn(of: Setting, random: np.random.Generator) -> World:
    label = (np.arange(of.cases) < of.positive).astype(np.int64)
    fold = np.empty(of.cases, np.int64)
    for value in (0, 1):
        rows = random.permutation(np.flatnonzero(label == value))
        fold[rows] = np.arange(len(rows)) % of.folds
    own = random.normal(size=(of.trials, of.epochs, of.cases))
    for epoch in range(1, of.epochs):
        own[:, epoch] = KEPT * own[:, epoch - 1] + sqrt(1 - KEPT**2) * own[:, epoch]
    last = random.normal(1.0, of.signal, of.trials).clip(0) if of.signal else np.zeros(of.trials)
    rate = np.exp(random.normal(0, 0.7, of.trials)) * 4 / of.epochs
    apart = last[:, None] * (1 - np.exp(-rate[:, None] * np.arange(1, of.epochs + 1)))
    shared = sqrt(SHARED) * random.normal(size=of.cases)
    score = shared + sqrt(1 - SHARED) * own + apart[:, :, None] * label
    areas = np.empty((of.trials, of.epochs, of.folds))
    for f in range(of.folds):
        positive, negative = ((fold == f) & (label == value) for value in (1, 0))
        for place in np.ndindex(of.trials, of.epochs):
            areas[*place, f] = placements(score[place][positive], score[place][negative]).mean()
    return World(label, fold, score, norm.cdf(apart / sqrt(2)), areas)


def survivors(of: Setting, world: World) -> list[int]:
    """Trials that the study's rules let come to their end."""
    study = optuna.create_study(
        direction="maximize",
        pruner=Halving(of.grace, of.reduction),
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    complete: list[int] = []
    best = -1.0
    for number in range(of.trials):
        trial = study.ask()
        if any(_behind(trial, world, number, epoch) for epoch in range(of.epochs)):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        curve: dict[tuple[int, int], float] = {}
        for fold in range(of.folds):
            curve |= {(fold, e): float(world.auroc[number, e, fold]) for e in range(of.epochs)}
            if reachable_value(curve, of.folds) < best and fold < of.folds - 1:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            value, _ = objective_value(curve, of.folds)
            study.tell(trial, value)
            complete.append(number)
            best = max(best, value)
    return complete


def _behind(trial: optuna.Trial, world: World, number: int, epoch: int) -> bool:
    trial.report(float(world.auroc[number, epoch, 0]), epoch + 1)
    return trial.should_prune()


def biases(of: Setting, seed: int) -> dict[str, float]:
    """Of the search's own value, BBC-CV and the cross-fitted choice, all cases judging or not."""
    world = drawn(of, np.random.default_rng([seed, of.cases]))
    complete = survivors(of, world)
    means = world.auroc[complete].mean(axis=2)
    order = np.argsort(-means.ravel(), kind="stable")[:400]  # those behind are never chosen
    trial, epoch = np.unravel_index(order, means.shape)
    place = np.array(complete)[trial], epoch
    outcomes = Outcomes(np.arange(of.cases), world.fold, world.label, world.score[place])
    picked = float(world.truth[place][0])
    unseen = unseen_by_pruning(outcomes)
    found = {"search": float(means.max()) - picked}
    for name, judged in (("all", None), ("unseen", unseen)):
        expected = bbc(outcomes, judged=judged, resamples=100, seed=seed).mean
        found[f"BBC-CV, {name}"] = expected - picked
        found[f"cross-fitted, {name}"] = _cross_fitted_bias(outcomes, judged, world.truth[place])
    return found


def _cross_fitted_bias(
    outcomes: Outcomes, judged: NDArray[np.bool_] | None, truth: NDArray[np.float64]
) -> float:
    found = cross_fitted(outcomes, judged)
    if found is None:
        raise RuntimeError("The folds share cases.")
    gaps = []
    rows, scores = found
    for fold in np.unique(outcomes.fold[rows]):
        held = outcomes.fold[rows] == fold
        of, s = rows[held], scores[held]
        # Which configuration was chosen for this fold: the one that has these very scores.
        chosen = int((outcomes.score[:, of] == s).all(axis=1).argmax())
        y = outcomes.label[of]
        gaps.append(float(placements(s[y == 1], s[y == 0]).mean()) - truth[chosen])
    return float(np.mean(gaps))


def main() -> int:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    missed = 0
    print(f"{'setting':28}{'figure':24}{'bias':>8}{'error':>8}  target")
    for of in SETTINGS:
        found = [biases(of, seed) for seed in range(of.repeats)]
        for name in found[0]:
            values = np.array([one[name] for one in found])
            mean, error = values.mean(), values.std(ddof=1) / sqrt(len(values))
            held = name.endswith("unseen")
            bad = held and abs(mean) > TARGET + 2 * error
            missed += bad
            target = f"|bias| <= {TARGET}{' MISSED' if bad else ''}" if held else ""
            print(f"{of.name:28}{name:24}{mean:+8.3f}{error:8.3f}  {target}".rstrip(), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
