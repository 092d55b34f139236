"""On which scale a probability is: as the network gave it, or that of the patients' own world.

This is the one place that says which quantity is on which scale.

- *Raw*, column `probability`: what the networks said, and all that is stored. Where training drew
  both classes evenly it is of a world with 50 % squamous patients. Thresholds, calls, and so
  sensitivity, specificity, PPV, NPV, accuracy and F1, are of the raw scale: 0.5 is the threshold
  that was decided before any data.
- *Corrected*, column `corrected`: the raw one shifted on the logit scale to the share of squamous
  patients among those the network trained on (`mmcaf.stats.priors`). Brier score, skill,
  calibration and its plot are of this scale; those of the raw one stand beside them.
- AUROC, AUPRC, ROC curves and tests of them are the same on both: one shift for all scores of a
  network changes no order within a fold.
- What is stored of each epoch (`metrics`, `confirmations`, `evaluations`), its Brier score too, is
  raw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mmcaf.stats.priors import Share, corrected, mean_share
from mmstudy.errors import MMStudyError
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.parquet import params_of
from mmstudy.study import Study

__all__ = ["World", "out_of_fold", "with_corrected", "world_of"]


@dataclass(frozen=True, slots=True)
class World:
    """What the probabilities of a trial's networks are true of, fold by fold."""

    shares: tuple[Share, ...]  # of each fold; empty where they are not known
    why_not: str = ""  # why they are not, as a clause

    @property
    def known(self) -> bool:
        """Whether probabilities can be corrected."""
        return bool(self.shares)

    @property
    def ensemble(self) -> Share | None:
        """Of the mean of all folds' networks."""
        return mean_share(self.shares) if self.shares else None

    @property
    def changes(self) -> bool:
        """Whether a corrected probability is another than the raw one."""
        return any(share.shift for share in self.shares)

    def of_call(self, threshold: float) -> float | None:
        """The corrected probability that a raw threshold is."""
        share = self.ensemble
        return None if share is None else float(corrected(threshold, share))

    @property
    def sentence(self) -> str:
        """What was done to the probabilities that are shown, in words."""
        share = self.ensemble
        if share is None:
            return f"Probabilities are raw, as the networks gave them: {self.why_not}."
        if not self.changes:
            return (
                "Training counted every patient once, so probabilities are of the patients' "
                f"own share of squamous ones ({share.own:.0%}) and need no correction."
            )
        return (
            "Training drew both classes evenly, so raw probabilities are of a world with "
            f"{share.learnt:.0%} squamous patients. Corrected ones are shifted on the logit scale "
            f"to the {share.own:.0%} of the training folds (Saerens et al. 2002). Calls are made "
            f"on the raw scale: raw 0.50 is corrected {self.of_call(0.5):.2f}."
        )


def world_of(study: Study, number: int) -> World:
    """What trial `number` learnt at, and the share among its folds' training patients.

    Raises:
        MMStudyError: there is no such trial.
    """
    row = FolderLedger(study.folder).trial(number)
    if row is None:
        raise MMStudyError(f"{study.name} has no trial {number}.")
    learnt = _learnt_at(study, params_of(row.params, number))
    if learnt not in ("even", "own"):
        return World((), learnt)
    counts = study.about.train_positive or _counted(study, number)
    sizes = [len(fold.train) for fold in study.about.split.folds]
    if counts is None:
        return World((), "the study, of an earlier version, does not say who trained")
    if not all(0 < count < size for count, size in zip(counts, sizes, strict=True)):
        return World((), "a fold trained on patients of one class alone")
    pairs = zip(counts, sizes, strict=True)
    return World(tuple(Share.drawn(*pair, evenly=learnt == "even") for pair in pairs))


def out_of_fold(study: Study, number: int) -> tuple[pl.DataFrame, World]:
    """The validation cases at the trial's best epoch: case, label, fold, probability, corrected.

    `corrected` is null where that cannot be told, and the world says why.

    Raises:
        MMStudyError: the trial is not complete, or its predictions are lost.
    """
    rows, world = study.out_of_fold(number), world_of(study, number)
    if not world.known:
        return with_corrected(rows, None), world
    parts = [
        with_corrected(of, world.shares[of["fold"][0]])
        for of in rows.partition_by("fold", maintain_order=True)
    ]
    return pl.concat(parts).sort("case", "fold"), world


def with_corrected(rows: pl.DataFrame, share: Share | None) -> pl.DataFrame:
    """`rows` of one network, or of one ensemble, with the column `corrected`."""
    if share is None:
        return rows.with_columns(corrected=pl.lit(None, dtype=pl.Float64))
    values = corrected(rows["probability"].to_numpy(), share)
    return rows.with_columns(corrected=pl.Series(values))


def _learnt_at(study: Study, params: dict[str, object]) -> str:
    """`even`, `own`, or why it is neither."""
    from mmcaf.net.registry import network_of
    from mmstudy.spec.study_spec import trial_config  # which needs pydantic

    try:
        config = trial_config(study.about.spec, params, constrained=False)
    except (MMStudyError, KeyError, TypeError, ValueError, OverflowError):
        return "this version cannot read the settings they were trained with"
    learnt = network_of(config.model).learnt_at(config.model, config.train)
    if learnt == "unknown":
        return "the network averages models that learnt at different shares of squamous patients"
    return learnt


def _counted(study: Study, number: int) -> Sequence[int] | None:
    """Squamous training cases of each fold, from the labels of those that validated; None where
    someone who trained never did."""
    label = dict(study.at_best(number).select("case", "label").unique().iter_rows())
    folds = study.about.split.folds
    if any(case not in label for fold in folds for case in fold.train):
        return None
    return [sum(label[case] for case in fold.train) for fold in folds]
