"""What the best trial's value is worth: the validation optimism of having chosen it.

Two choices make a value optimistic: of the best among the complete trials, and, where a study
prunes, of the trials that became complete. The first is resampled. The second looked at the first
fold alone, so its cases judge nothing: what a trial has there, others were thrown away for not
having. `tests/benchmarks/bench_pruning.py` measures what bias is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.stats.choice import picked
from mmcaf.stats.estimates import Estimate, Outcomes, bbc
from mmstudy.errors import MMStudyError
from mmstudy.study import Study

__all__ = [
    "TOP",
    "Choice",
    "corrected_best",
    "cross_fitted",
    "cross_fitted_choice",
    "judged_on",
    "outcomes_of",
    "unseen_by_pruning",
]

TOP = 100
"""Trials among which the choice is resampled, those highest in the search: no other is chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Validation cases by a choice that knows nothing of them, and what was chosen from."""

    rows: pl.DataFrame  # case, label, fold, probability; by case, fold
    among: NDArray[np.float64]  # (configurations, rows) probabilities


def corrected_best(study: Study, *, resamples: int = 500, seed: int = 0) -> Estimate | None:
    """The AUROC to expect of the study's best (trial, epoch), by BBC-CV; None without trials.

    Raises:
        MMStudyError: a trial lacks predictions.
    """
    numbers = sorted(study.highest(TOP))
    if not numbers:
        return None
    outcomes = outcomes_of(study, numbers)
    judged = unseen_by_pruning(outcomes) if study.counts()["pruned"] else None
    return bbc(outcomes, judged=judged, resamples=resamples, seed=seed)


def judged_on(study: Study) -> str:
    """Which validation cases judge the study's best, a sentence; "" where all do.

    Simulated bias where pruning and judging share all cases: .03 to .09.
    """
    if not study.counts()["pruned"]:
        return ""
    first = study.about.split.folds[0]
    if len(study.about.split.folds) == 1:
        return (
            f"The {len(first.val)} cases that decided which trials were pruned judge here, for "
            "want of others: optimistic, by .03 to .09 in simulations."
        )
    cases = {case for fold in study.about.split.folds for case in fold.val}
    return (
        f"The {len(first.val)} cases of the first fold decided which trials were pruned and do not "
        f"judge here; the other {len(cases.difference(first.val))} do."
    )


def cross_fitted_choice(study: Study) -> Choice | None:
    """The validation cases: case, label, fold, probability, by the (trial, epoch) that was best on
    folds the case was not validated in.

    The choice knows nothing of the case it is judged on, so the AUROC is not that of the best of
    many. Where folds are repeated, a case has a row for each repeat. Where trials were pruned, the
    cases that decided on it have none. None without complete trials, or where every fold shares
    cases with every other.
    """
    numbers = sorted(study.highest(TOP))
    if not numbers:
        return None
    outcomes = outcomes_of(study, numbers)
    judged = unseen_by_pruning(outcomes) if study.counts()["pruned"] else None
    found = cross_fitted(outcomes, judged)
    if found is None:
        return None
    kept, scores = found
    columns = {
        "case": _rows_of(study, numbers[0])["case"].gather(kept),
        "label": outcomes.label[kept],
        "fold": outcomes.fold[kept],
        "probability": scores,
    }
    rows = pl.DataFrame(columns).with_columns(row=pl.Series(kept)).sort("case", "fold")
    return Choice(rows.drop("row"), outcomes.score[:, rows["row"].to_numpy()])


def cross_fitted(
    outcomes: Outcomes, judged: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Rows and their scores, both (judged rows,), by the configuration best on other folds.

    None where a fold shares cases with every other.

    Args:
        outcomes: what the choice is made of.
        judged: (rows,) those that are to be judged, all unless given.
    """
    chosen = picked(outcomes)
    if chosen is None:
        return None
    rows = np.flatnonzero(np.ones_like(chosen) if judged is None else judged)
    return rows, outcomes.score[chosen[rows], rows]


def unseen_by_pruning(outcomes: Outcomes) -> NDArray[np.bool_]:
    """(rows,) whether the case is none of the first fold, which decides what is pruned; all where
    nothing else is left."""
    unseen = ~np.isin(outcomes.case, outcomes.case[outcomes.fold == 0])
    return unseen if unseen.any() else np.ones_like(unseen)


def _rows_of(study: Study, number: int) -> pl.DataFrame:
    """Case and fold in the order of `Outcomes`' rows."""
    found = study.predictions(number).sort("epoch", "fold", "case")
    return found.filter(pl.col("epoch") == found["epoch"].min()).select("case", "fold")


def outcomes_of(study: Study, numbers: list[int]) -> Outcomes:
    """Scores of every (trial, epoch) of `numbers` on the validation rows they share.

    Raises:
        MMStudyError: a trial lacks predictions of some epoch, or all do.
    """
    keys = ["case", "fold"]
    scores, rows = [], pl.DataFrame()
    for number in numbers:
        found = study.predictions(number).sort("epoch", "fold", "case")
        for epoch in found.partition_by("epoch", maintain_order=True):
            if rows.is_empty():
                rows = epoch.select(*keys, "label")
            elif not epoch.select(keys).equals(rows.select(keys)):
                raise MMStudyError(
                    f"Trial {number} of {study.name} lacks predictions that other trials have; "
                    "the study folder was copied in part."
                )
            scores.append(epoch["probability"].to_numpy())
    if rows.is_empty():
        raise MMStudyError(
            f"{study.name} has no predictions of its complete trials; the study folder was copied "
            "in part."
        )
    return Outcomes(
        case=rows["case"].rank("dense").cast(pl.Int64).to_numpy() - 1,
        fold=rows["fold"].cast(pl.Int64).to_numpy(),
        label=rows["label"].cast(pl.Int64).to_numpy(),
        score=np.stack(scores),
    )
