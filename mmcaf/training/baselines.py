"""What a network has to beat: logistic regression on the clinical row, and on one number.

Fitted on the training part of each of a study's own folds, scored on its validation part, so that
they stand beside the study's trials on the same footing. The number is the log of the largest
annotated box in mm: a radiologist drew it, so it is an oracle, as is every lesion-centred window.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.encoding import TableEncoder
from mmcaf.data.splits import Split
from mmcaf.stats.regression.logistic import fit_logistic

__all__ = ["BASELINES", "READ_FROM_THE_LESION", "out_of_fold_baselines"]

Features = Callable[[pl.DataFrame, pl.DataFrame], tuple[NDArray[np.float64], NDArray[np.float64]]]


def out_of_fold_baselines(rows: pl.DataFrame, split: Split) -> dict[str, pl.DataFrame]:
    """Name of a baseline -> case, label, fold, probability of every validation case, by case.

    Where folds are repeated, a case has a row for each repeat. The test cases of the split are
    neither fitted to nor scored.

    Args:
        rows: the cohort's patients.
        split: the study's folds.

    Raises:
        ValueError: a training fold lacks a class.
    """
    found = {}
    for name, features in BASELINES.items():
        parts = []
        for number, fold in enumerate(split.folds):
            train = rows.filter(pl.col("case").is_in(list(fold.train))).sort("case")
            val = rows.filter(pl.col("case").is_in(list(fold.val))).sort("case")
            of_train, of_val = features(train, val)
            model = fit_logistic(of_train, train["label"].to_numpy().astype(np.int64))
            probability = pl.Series("probability", model.probability(of_val))
            of_fold = val.select("case", "label", fold=pl.lit(number, dtype=pl.Int32))
            parts.append(of_fold.with_columns(probability))
        found[name] = pl.concat(parts).sort("case", "fold")
    return found


def _clinical(
    train: pl.DataFrame, val: pl.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    encoder = TableEncoder.fit(train)
    return (
        encoder.transform(train).astype(np.float64),
        encoder.transform(val).astype(np.float64),
    )


def _lesion_size(
    train: pl.DataFrame, val: pl.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sizes = [np.log(part["max_diam_mm"].cast(pl.Float64).to_numpy()) for part in (train, val)]
    known = sizes[0][np.isfinite(sizes[0])]
    middle = float(np.median(known)) if len(known) else 0.0  # for patients without a box
    filled = [np.where(np.isfinite(size), size, middle)[:, None] for size in sizes]
    return filled[0], filled[1]


BASELINES: dict[str, Features] = {
    "clinical row, logistic regression": _clinical,
    "log lesion box size, logistic regression (oracle)": _lesion_size,
}
READ_FROM_THE_LESION = frozenset(name for name, of in BASELINES.items() if of is _lesion_size)
"""The baselines that were told where the lesion is."""
