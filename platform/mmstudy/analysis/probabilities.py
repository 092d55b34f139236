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

import polars as pl

from mmcaf.stats.priors import World
from mmstudy.study import Study, with_corrected

__all__ = ["out_of_fold"]


def out_of_fold(study: Study, number: int) -> tuple[pl.DataFrame, World]:
    """The validation cases at the trial's best epoch: case, label, fold, probability, corrected.

    `corrected` is null where that cannot be told, and the world says why.

    Raises:
        MMStudyError: the trial is not complete, or its predictions are lost.
    """
    rows, world = study.out_of_fold(number), study.world(number)
    if not world.known:
        return with_corrected(rows, None), world
    parts = [
        with_corrected(of, world.shares[of["fold"][0]])
        for of in rows.partition_by("fold", maintain_order=True)
    ]
    return pl.concat(parts).sort("case", "fold"), world
