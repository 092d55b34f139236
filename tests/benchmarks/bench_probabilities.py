"""What probabilities, thresholds and luck are worth, by simulation with the product's own code.

    python tests/benchmarks/bench_probabilities.py

Scores are binormal; every figure is a mean over repeats with its standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.areas import auroc
from mmcaf.stats.calibration import calibration
from mmcaf.stats.luck import luck
from mmcaf.stats.priors import Share, corrected
from mmcaf.stats.regression.logistic import fit_logistic
from mmcaf.stats.thresholds import FIXED, ensemble_threshold, youden

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

FOLDS, REPEATS, UNSEEN = 5, 60, 20_000
SIZES = ((12, 36), (46, 223))


def mean(values: list[float]) -> str:
    """A mean with its standard error."""
    return f"{np.mean(values):+.3f} ± {np.std(values) / np.sqrt(len(values)):.3f}"


def oversampled(random: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Calibration of a logistic regression that drew both classes evenly, at 20 %."""

    def drawn(cases: int) -> tuple[Floats, Labels]:
        y = (random.random(cases) < 0.2).astype(np.int64)
        return random.normal(y[:, None] * [1.0, 0.6, 0.3], 1.0, (cases, 3)), y

    x, y = drawn(240)
    sick, well = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    rows = np.concatenate([well, np.resize(random.permutation(sick), len(well))])
    model = fit_logistic(x[rows], y[rows])
    unseen, truth = drawn(500)
    raw = model.probability(unseen)
    own = corrected(raw, Share.drawn(int(y.sum()), len(y), evenly=True))
    for name, p in (("raw", raw), ("corrected", own)):
        found = calibration(truth, p)
        if found.intercept is not None and found.brier is not None:
            yield f"{name}: intercept", found.intercept.value
            yield f"{name}: Brier", found.brier


def ensembles(
    random: np.random.Generator, size: tuple[int, int], shift: float, shared: float
) -> Iterator[tuple[str, float]]:
    """Youden index that a threshold loses on the mean of the folds' networks, whose scales lie
    `shift` standard deviations apart and whose noise is the case's own to the share `shared`."""
    y, truth = np.repeat([1, 0], size), np.repeat([1, 0], UNSEEN // 2)
    own, of_unseen = random.normal(size=len(y)), random.normal(size=UNSEEN)
    fold = np.concatenate([random.permutation(n) % FOLDS for n in size])
    scales = random.normal(size=FOLDS) * shift

    def scored(labels: Labels, case: Floats, network: int) -> Floats:
        noise = np.sqrt(shared) * case + np.sqrt(1 - shared) * random.normal(size=len(labels))
        return np.asarray(1 / (1 + np.exp(-2 * (1.5 * (labels - 0.5) + noise + scales[network]))))

    scores = np.zeros(len(y))
    for network in range(FOLDS):
        scores[fold == network] = scored(y, own, network)[fold == network]
    together = np.mean([scored(truth, of_unseen, k) for k in range(FOLDS)], axis=0)

    def index(threshold: float | None) -> float:
        called = together >= (FIXED if threshold is None else threshold)
        return float(called[truth == 1].mean() - called[truth == 0].mean())

    best = index(youden(truth, together))
    yield "best index", best
    yield (
        "lost at the mean of the folds' thresholds",
        best - index(ensemble_threshold(y, scores, fold)),
    )
    yield "lost at one threshold of all folds' scores", best - index(youden(y, scores))
    yield "lost at 0.5", best - index(FIXED)


def confirmations(
    random: np.random.Generator, size: tuple[int, int], lasting: float
) -> Iterator[tuple[str, float]]:
    """Luck of five confirming runs; the noise is the patient's own to the share `lasting`."""
    runs, y = 5, np.repeat([1, 0], size)
    own = random.normal(size=len(y))
    folds = np.stack(
        [np.concatenate([random.permutation(n) % FOLDS for n in size]) for _ in range(runs)]
    )
    noise = np.sqrt(lasting) * own + np.sqrt(1 - lasting) * random.normal(size=folds.shape)
    scores = y * 1.2 + noise
    found = luck(
        np.tile(y, runs),
        scores.ravel(),
        runs=np.repeat(np.arange(runs), len(y)),
        folds=folds.ravel(),
        cases=np.tile(np.arange(len(y)), runs),
    )
    values = [auroc(y, scores[run], folds[run]) for run in range(runs)]
    yield "mean", float(np.mean(values))
    yield "training", 0.0 if found is None else found.training**2
    yield "patients", 0.0 if found is None else found.patients**2


def repeated(
    once: Callable[[np.random.Generator], Iterator[tuple[str, float]]], repeats: int = REPEATS
) -> dict[str, list[float]]:
    """All values of every figure; alike every time."""
    random, found = np.random.default_rng(0), dict[str, list[float]]()
    for _ in range(repeats):
        for name, value in once(random):
            found.setdefault(name, []).append(value)
    return found


def main() -> None:
    print("Calibration after even draws, 20 % squamous")
    for name, values in repeated(oversampled).items():
        print(f"  {name:20} {mean(values)}")
    for size in SIZES:
        for shift in (0.0, 1.0, 2.0):
            print(f"Thresholds of an ensemble, {size[0]}+{size[1]}, scales {shift:g} SD apart")
            found = repeated(lambda random: ensembles(random, size, shift, 0.4))  # noqa: B023
            for name, values in found.items():
                print(f"  {name:44} {mean(values)}")
        for lasting in (0.1, 0.4, 0.8):
            found = repeated(lambda random: confirmations(random, size, lasting), 300)  # noqa: B023
            training, patients = (np.mean(found[name]) for name in ("training", "patients"))
            truth = max(0.0, np.var(found["mean"], ddof=1) - training)
            print(
                f"Luck of patients in a confirmed value, {size[0]}+{size[1]}, {lasting:.0%} of the "
                f"noise lasting: {np.sqrt(max(0.0, patients)):.4f}, true {np.sqrt(truth):.4f}; of "
                f"training {np.sqrt(training):.4f}"
            )


if __name__ == "__main__":
    main()
