"""What the best trial's value is worth: the validation optimism of having chosen it.

Two choices make a value optimistic: of the best among the complete trials, and, where a study
prunes, of the trials that became complete. The first is resampled. The second looked at the first
fold alone, so its cases judge nothing: what a trial has there, others were thrown away for not
having. `tests/benchmarks/bench_pruning.py` measures what bias is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.stats.areas import auroc
from mmcaf.stats.estimates import Corrected, Estimate, Outcomes, bbc
from mmstudy.errors import MMStudyError
from mmstudy.study import Study

__all__ = [
    "TOP",
    "corrected",
    "corrected_best",
    "cross_fitted",
    "cross_fitted_choice",
    "judged_on",
    "outcomes_of",
    "unseen_by_pruning",
]

TOP = 100
"""Trials among which the choice is resampled, those highest in the search: no other is chosen."""


def corrected_best(study: Study, *, resamples: int = 500, seed: int = 0) -> Estimate | None:
    """The AUROC to expect of the study's best (trial, epoch), by BBC-CV; None without trials."""
    found = corrected(study, resamples=resamples, seed=seed)
    return found.auroc if found else None


def corrected(
    study: Study, rivals: Sequence[pl.DataFrame] = (), *, resamples: int = 500, seed: int = 0
) -> Corrected | None:
    """The AUROC to expect of the study's best trial (BBC-CV), and its lead over each rival.

    None where no trial is complete.

    Args:
        study: with predictions of every epoch.
        rivals: case, fold, label, probability of every validation row, each; nothing was chosen
            there. Their intervals are Bonferroni's, all of them together at 95 %.
        resamples: number of draws.
        seed: of the draws.

    Raises:
        MMStudyError: a trial lacks predictions, or a rival a case.
    """
    numbers = sorted(study.highest(TOP))
    if not numbers:
        return None
    outcomes, rows = outcomes_of(study, numbers), _rows_of(study, numbers[0])
    in_order = [rival.sort("fold", "case") for rival in rivals]
    if any(not rival.select("case", "fold").equals(rows) for rival in in_order):
        cases = rows["case"].n_unique()
        raise MMStudyError(f"A rival of {study.name} was not scored on its {cases} cases.")
    scores = [rival["probability"].to_numpy() for rival in in_order]
    return bbc(
        outcomes,
        np.stack(scores) if scores else None,
        judged=unseen_by_pruning(outcomes) if study.counts()["pruned"] else None,
        resamples=resamples,
        seed=seed,
        confidence_ahead=1 - 0.05 / max(1, len(rivals)),
    )


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


def cross_fitted_choice(study: Study) -> pl.DataFrame | None:
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
    rows, scores = found
    names = _rows_of(study, numbers[0])["case"]
    columns = {
        "case": names.gather(rows),
        "label": outcomes.label[rows],
        "fold": outcomes.fold[rows],
        "probability": scores,
    }
    return pl.DataFrame(columns).sort("case", "fold")


def cross_fitted(
    outcomes: Outcomes, judged: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Rows and their scores, both (judged rows,), by the configuration best on other folds.

    None where a fold shares cases with every other.

    Args:
        outcomes: what the choice is made of.
        judged: (rows,) those that are to be judged, all unless given.
    """
    rows, scores = [], []
    for fold in np.unique(outcomes.fold):
        held_out = outcomes.fold == fold
        apart = ~np.isin(outcomes.case, outcomes.case[held_out])
        chosen = _best_mean(outcomes, apart)
        if chosen is None:
            return None
        found = np.flatnonzero(held_out if judged is None else held_out & judged)
        rows.append(found)
        scores.append(outcomes.score[chosen, found])
    return np.concatenate(rows), np.concatenate(scores)


def unseen_by_pruning(outcomes: Outcomes) -> NDArray[np.bool_]:
    """(rows,) whether the case is none of the first fold, which decides what is pruned; all where
    nothing else is left."""
    unseen = ~np.isin(outcomes.case, outcomes.case[outcomes.fold == 0])
    return unseen if unseen.any() else np.ones_like(unseen)


def _rows_of(study: Study, number: int) -> pl.DataFrame:
    """Case and fold in the order of `Outcomes`' rows."""
    found = study.predictions(number).sort("epoch", "fold", "case")
    return found.filter(pl.col("epoch") == found["epoch"].min()).select("case", "fold")


def _best_mean(outcomes: Outcomes, among: NDArray[np.bool_]) -> int | None:
    """The configuration with the highest mean AUROC over the folds that `among` leaves whole."""
    values = []
    for fold in np.unique(outcomes.fold[among]):
        rows = outcomes.fold == fold
        if among[rows].all() and 0 < outcomes.label[rows].sum() < rows.sum():
            values.append([auroc(outcomes.label[rows], s[rows]) for s in outcomes.score])
    return int(np.argmax(np.mean(values, axis=0))) if values else None


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
