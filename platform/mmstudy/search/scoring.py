"""What a trial's curves say: its objective, and whether it can still win. Pure functions.

A curve maps (fold, epoch) to the validation AUROC. The objective is the mean over the folds at one
epoch shared by all, the best such: each fold at its own best epoch would reward noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from mmstudy.storage.schema import EpochRow

__all__ = [
    "Curve",
    "Spent",
    "curve_of",
    "objective_value",
    "outcome",
    "reachable_value",
    "seconds_per_epoch",
    "time_spent",
    "wilcoxon_p",
]

Curve = dict[tuple[int, int], float]
_FOLDS_FOR_WILCOXON = 10


def curve_of(rows: list[EpochRow]) -> Curve:
    """The curve of recorded epochs; an undefined AUROC is left out."""
    return {(r.fold, r.epoch): value for r in rows if (value := r.rates["auroc"]) is not None}


def objective_value(curve: Mapping[tuple[int, int], float], folds: int) -> tuple[float, int]:
    """The mean AUROC over the folds at the best epoch shared by all, and that epoch.

    >>> objective_value({(0, 0): 0.9, (0, 1): 0.7, (1, 0): 0.5, (1, 1): 0.8}, folds=2)
    (0.75, 1)
    """
    means = _epoch_means(curve, folds, missing=float("-inf"))
    value, epoch = max((value, -epoch) for epoch, value in means.items())
    return value, -epoch


def reachable_value(curve: Mapping[tuple[int, int], float], folds: int) -> float:
    """What the objective could still become if every fold to come reached an AUROC of 1.

    >>> reachable_value({(0, 0): 0.5, (0, 1): 0.6}, folds=2)
    0.8
    """
    return max(_epoch_means(curve, folds, missing=1.0).values())


def wilcoxon_p(
    curve: Mapping[tuple[int, int], float], best: Mapping[tuple[int, int], float], *, done: int
) -> float | None:
    """One-sided p that the trial is no worse than the best one, from the `done` first folds.

    Each of the two at its own best shared epoch over these folds, paired by fold. None with fewer
    than ten folds, where the signed-rank test has no power, and where all differences are 0.
    """
    if done < _FOLDS_FOR_WILCOXON:
        return None
    from scipy.stats import wilcoxon  # takes a second to load; most studies have fewer folds

    ours, theirs = (_at_best_epoch(one, done) for one in (curve, best))
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if not any(differences):
        return None
    return float(wilcoxon(differences, alternative="less", zero_method="zsplit").pvalue)


def seconds_per_epoch(rows: list[EpochRow]) -> float | None:
    """Median over folds and epochs: an epoch that waited for a busy disk does not count."""
    return median(row.seconds for row in rows) if rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A trial's seconds and what they went into; see the columns of `records.TRIALS`."""

    seconds: float
    prepare_seconds: float | None
    data_wait_share: float | None
    gpu_utilisation: float | None


def time_spent(rows: list[EpochRow]) -> Spent:
    """What the epochs of a trial took, and what came before them.

    What an attempt did after its last report, and one that never reported, is in no row.
    """
    epochs = sum(row.seconds for row in rows)
    prepare = [s for row in rows if (s := row.prepare_seconds) is not None]
    waited = [s for row in rows if (s := row.data_seconds) is not None]
    busy = [(use, row.seconds) for row in rows if (use := row.gpu_utilisation) is not None]
    seen = sum(seconds for _, seconds in busy)
    return Spent(
        seconds=epochs + sum(prepare),
        prepare_seconds=sum(prepare) if prepare else None,
        data_wait_share=sum(waited) / epochs if waited and epochs else None,
        gpu_utilisation=sum(u * s for u, s in busy) / seen if seen else None,
    )


def outcome(objective: str, value: float, rows: list[EpochRow]) -> float | None:
    """A complete trial's value of one objective of the spec."""
    if objective == "auroc":
        return value
    if objective == "seconds_per_epoch":
        return seconds_per_epoch(rows)
    parameters = next((row.parameters for row in rows if row.parameters is not None), None)
    return None if parameters is None else float(parameters)


def _at_best_epoch(curve: Mapping[tuple[int, int], float], folds: int) -> list[float]:
    seen = {place: value for place, value in curve.items() if place[0] < folds}
    _, epoch = objective_value(seen, folds)
    return [seen[fold, epoch] for fold in range(folds)]


def _epoch_means(
    curve: Mapping[tuple[int, int], float], folds: int, missing: float
) -> dict[int, float]:
    epochs = {epoch for _, epoch in curve}
    return {
        epoch: sum(curve.get((fold, epoch), missing) for fold in range(folds)) / folds
        for epoch in epochs
    }
