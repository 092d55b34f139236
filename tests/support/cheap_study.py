"""A finished study made of scores, without training anything."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmcaf.files.atomic import write_json
from mmcaf.stats.areas import auroc
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import PREDICTIONS, SCHEMA_VERSION, TRIALS, State, TrialRow
from mmstudy.study import Study, open_study

__all__ = ["study_of_scores"]


def study_of_scores(
    folder: Path, scores: NDArray[np.float64], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> Study:
    """One trial of one epoch per row of `scores`, shape (trials, cases); case i is `c00i`."""
    paths = StudyFolder(folder)
    parts = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    names = [f"c{index:03d}" for index in range(len(labels))]
    split = {
        "test": [],
        "folds": [
            {
                "train": [n for i, n in enumerate(names) if i not in part],
                "val": [names[i] for i in part],
            }
            for part in parts
        ],
    }
    about = {"schema_version": SCHEMA_VERSION, "synthetic": True, "question": "What is luck?"}
    write_json(paths.study, about | {"spec": {"search": {"trials": len(scores)}}, "split": split})
    for number, given in enumerate(scores):
        value = float(np.mean([auroc(labels[part], given[part]) for part in parts]))
        row = TrialRow(
            number=number, state=State.COMPLETE, params="{}", seed=0, attempts=1,
            started=datetime.now(UTC), value=value, best_epoch=0,
        )  # fmt: skip
        write_rows(paths.trial(number), TRIALS, [row.as_dict()])
        cases = [
            {
                "number": number,
                "fold": int(folds[i]),
                "epoch": 0,
                "case": names[i],
                "label": int(labels[i]),
                "probability": float(given[i]),
            }
            for i in range(len(labels))
        ]
        write_rows(paths.trial_predictions(number), PREDICTIONS, cases)
    return open_study(folder)
