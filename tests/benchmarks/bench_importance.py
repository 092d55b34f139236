"""What importance claims where nothing matters, what it finds where something does, and what pruned
trials would add: figures beside their targets.

python tests/benchmarks/bench_importance.py [studies per cell]

A study is simulated: its trials have an AUROC by epoch, and the settings that matter are known.
Under pruning, halving at epochs 5, 15 and 45 lets one of three go on. `speed` acts on how fast the
AUROC is reached and on nothing else: what it gets once pruned trials enter through their last
reported value is false.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from mmstudy.search.importance import Trial, p_values
from mmstudy.search.optuna_study import Search
from mmstudy.spec.study_spec import StudySpec, parse_spec

SPACE = {
    "train.lr": {"float": [1e-5, 1e-2], "log": True},
    "train.weight_decay": {"float": [1e-5, 1e-1], "log": True},
    "model.heads": {"choice": [[1, 1, 1], [2, 2, 2], [4, 2, 2]]},
    "model.attention": {"choice": ["softmax", "linear"]},
    "model.tabular": {"choice": ["kan", "mlp"]},
}
SPEED, CLAIM = "train.weight_decay", 0.001
RUNGS, LAST = (5, 15), 45


def spec(sampler: str, seed: int) -> StudySpec:
    search = {"trials": 5, "sampler": sampler, "seed": seed, "startup_trials": 10}
    return parse_spec({"question": "?", "space": SPACE, "search": search})


def place(params: dict[str, Any], path: str) -> float:
    low, high = np.log(SPACE[path]["float"])  # type: ignore[arg-type]
    return float((np.log(params[path]) - low) / (high - low))


def searched(sampler: str, n: int, seed: int, effect: float) -> tuple[StudySpec, list[Trial]]:
    """A study whose value is noise, and of `effect` standard deviations by the learning rate."""
    random, given, trials = np.random.default_rng(seed), spec(sampler, seed), []
    search = Search(None, given)
    for _ in range(n):
        proposal = search.ask()
        # From the middle to the ends of the range.
        peak = -effect * 4 * (place(proposal.params, "train.lr") - 0.5) ** 2
        value = float(0.7 + 0.04 * (peak + random.normal()))
        search.complete(proposal.number, [value])
        trials.append((proposal.params, value))
    return given, trials


def claimed(given: StudySpec, trials: list[Trial], seed: int) -> set[str]:
    found = p_values(given, trials, seed=seed)
    return {path for path, p in found.items() if p <= CLAIM}


def halved(n: int, seed: int, effect: float, slow: float) -> tuple[list[Trial], list[Trial]]:
    """Trials that ended, and all of them with their last reported value, under halving."""
    random, given = np.random.default_rng(seed), spec("random", seed)
    search, kept, every = Search(None, given), list[Trial](), list[Trial]()
    seen: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    for _ in range(n):
        params = search.ask().params
        final = 0.7 - 0.04 * effect * 4 * (place(params, "train.lr") - 0.5) ** 2
        final += 0.03 * random.normal()
        late = 3 + 30 * slow * place(params, SPEED)
        curve = [final - 0.2 * np.exp(-e / late) + 0.02 * random.normal() for e in range(LAST + 1)]
        last = LAST
        for rung in RUNGS:
            seen[rung].append(curve[rung])
            best = sorted(seen[rung])[-max(1, len(seen[rung]) // 3) :]
            if curve[rung] < best[0]:
                last = rung
                break
        every.append((params, float(curve[last])))
        if last == LAST:
            kept.append((params, float(curve[last])))
    return kept, every


def noise(studies: int) -> Iterator[str]:
    for sampler in ("random", "tpe"):
        for n in (30, 60):
            found = [claimed(*searched(sampler, n, seed, 0.0), seed) for seed in range(studies)]
            share = sum(map(bool, found))
            print(f"noise, {sampler}, {n} trials: a claim in {share} of {studies} (target: 0)")
            if share:
                yield f"noise, {sampler}, {n}"


def power(studies: int) -> None:
    for effect in (2.0, 4.0):
        for n in (30, 60):
            found = [claimed(*searched("tpe", n, seed, effect), seed) for seed in range(studies)]
            rate = sum("train.lr" in one for one in found)
            others = sum(bool(one - {"train.lr"}) for one in found)
            print(
                f"effect {effect} SD, tpe, {n} trials: train.lr claimed in {rate}, "
                f"another setting in {others} of {studies}"
            )


def pruning(studies: int) -> None:
    given = spec("random", 0)
    for effect, slow, name in ((0.0, 0.0, "noise"), (6.0, 0.0, "lr"), (0.0, 1.0, "speed alone")):
        counts = {"complete": [0, 0], "with last values": [0, 0]}
        ended = []
        for seed in range(studies):
            kept, every = halved(180, seed, effect, slow)
            ended.append(len(kept))
            for told, trials in zip(counts, (kept, every), strict=True):
                found = claimed(given, trials, seed) if len(trials) >= 15 else set()
                counts[told][0] += "train.lr" in found
                counts[told][1] += SPEED in found
        for told, (rate, speed) in counts.items():
            print(
                f"pruned, {name}, 180 trials of which {np.mean(ended):.0f} end, {told}: "
                f"train.lr in {rate}, {SPEED} in {speed} of {studies}"
            )


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    missed = [*noise(studies)]
    power(studies)
    pruning(studies)
    sys.exit(f"missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
