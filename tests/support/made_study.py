"""A study folder with the predictions a test asks for: written by the store, nothing trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmcaf.files.atomic import write_json
from mmcaf.stats.areas import auroc, auroc_interval
from mmcaf.stats.metrics import rates
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import (
    CONFIRMATIONS,
    EVALUATIONS,
    METRICS,
    PREDICTIONS,
    TRIALS,
    EpochRow,
    Source,
    State,
    TrialRow,
)
from mmstudy.study import Study, open_study

__all__ = [
    "MMCAF_LABELS",
    "MMCAF_SCORES",
    "add_confirmation",
    "add_look",
    "add_trial",
    "made_study",
]

NOW = datetime(2026, 1, 1, tzinfo=UTC)

# 15 squamous and 28 adenocarcinoma with the counts of MMCAF-Net's published row at 0.5, 10/5/4/24,
# and its AUROC, 330 of 420 pairs: the 5 missed lie above 10 of the 24 true negatives each.
MMCAF_LABELS = np.repeat([1, 1, 0, 0, 0], [10, 5, 4, 14, 10])
MMCAF_SCORES = np.repeat([0.9, 0.3, 0.7, 0.4, 0.1], [10, 5, 4, 14, 10])


def made_study(
    root: Path,
    labels: NDArray[np.int64] = MMCAF_LABELS,
    scores: Sequence[NDArray[np.float64]] = (MMCAF_SCORES,),
    *,
    name: str = "made",
    folds: int = 2,
    synthetic: bool = False,
    oracle: bool = False,
    protocol: str = "kfold",
    settings: Mapping[str, Any] | None = None,
    test: Sequence[str] = ("t0",),
    sources: Sequence[Source] = (),
    search: Mapping[str, Any] | None = None,
) -> Study:
    """One complete trial of one epoch per array of `scores`; case i is validated in fold i mod
    `folds`. The best has the highest AUROC within folds. With `settings`, sections of a spec, the
    spec is whole; without, what the trials were trained with cannot be read."""
    paths = StudyFolder(root / name)
    cases = [f"c{i:03d}" for i in range(len(labels))]
    parts = [[case for i, case in enumerate(cases) if i % folds == f] for f in range(folds)]
    split = [{"train": [case for case in cases if case not in part], "val": part} for part in parts]
    spec: dict[str, Any] = {
        "protocol": {"kind": protocol},
        "search": {"trials": len(scores)} | dict(search or {}),
        "data": {"location": "oracle"} if oracle else {},
    }
    spec |= {} if settings is None else {"question": "Is it so?", **settings}
    about = {"schema_version": 2, "synthetic": synthetic, "question": "Is it so?", "spec": spec}
    about |= {"split": {"test": [*test], "folds": split}, "n_cases": len(labels)}
    about |= {"sources": msgspec.to_builtins(sources)}
    write_json(paths.study, about)
    for number, of in enumerate(scores):
        trial = TrialRow(
            number=number,
            state=State.COMPLETE,
            params="{}",
            seed=0,
            attempts=1,
            started=NOW,
            value=float(np.nan_to_num(auroc(labels, of, np.arange(len(of)) % folds), nan=0.5)),
            best_epoch=0,
        )
        write_rows(paths.trial(number), TRIALS, [trial.as_dict()])
        rows = [_epoch(number, fold, labels, of, folds) for fold in range(folds)]
        write_rows(paths.trial_metrics(number), METRICS, [row.as_dict() for row in rows])
        found = [
            {"case": case, "label": int(label), "probability": float(score)}
            | {"number": number, "fold": i % folds, "epoch": 0}
            for i, (case, label, score) in enumerate(zip(cases, labels, of, strict=True))
        ]
        write_rows(paths.trial_predictions(number), PREDICTIONS, found)
    return open_study(paths.root)


def add_look(
    study: Study,
    number: int,
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    *,
    written: datetime = NOW,
) -> None:
    """As if `mmstudy evaluate` had looked at the test set with trial `number`."""
    look = study.evaluations().height + 1
    low, high = auroc_interval(labels, scores)
    row = {"look": look, "number": number, "n": len(labels), "n_positive": int(labels.sum())}
    row |= {**rates(labels, scores), "auroc_low": low, "auroc_high": high, "written": written}
    study.folder.add_rows(study.folder.evaluations, EVALUATIONS, [row])
    cases = [
        {"number": number, "fold": -1, "epoch": 0}
        | {"case": f"t{i:03d}", "label": int(label), "probability": float(score)}
        for i, (label, score) in enumerate(zip(labels, scores, strict=True))
    ]
    write_rows(study.folder.test_predictions(look), PREDICTIONS, cases)


def add_confirmation(study: Study, number: int, auroc: float) -> None:
    """As if `mmstudy confirm` had run trial `number` twice, with folds around this AUROC."""
    fixed = {"number": number, "epoch": 0, "n_train": 20, "n_val": 20, "seconds": 1.0}
    for run in range(2):
        rows = [
            fixed
            | {"run": run, "seed": run, "fold": fold, "written": NOW}
            | {"auroc": auroc + (fold - (study.folds - 1) / 2) / 100}
            for fold in range(study.folds)
        ]
        study.folder.add_rows(study.folder.confirmation(number, run), CONFIRMATIONS, rows)


def add_trial(study: Study, number: int, state: State, reason: str | None = None) -> None:
    """A trial that did not complete."""
    row = TrialRow(
        number=number, state=state, params="{}", seed=0, attempts=1, started=NOW, reason=reason
    )
    write_rows(study.folder.trial(number), TRIALS, [row.as_dict()])


def _epoch(
    number: int, fold: int, labels: NDArray[np.int64], scores: NDArray[np.float64], folds: int
) -> EpochRow:
    inside = np.arange(len(labels)) % folds == fold
    return EpochRow(
        number=number,
        fold=fold,
        epoch=0,
        attempt=1,
        n_train=int((~inside).sum()),
        n_val=int(inside.sum()),
        n_val_positive=int(labels[inside].sum()),
        train_loss=0.5,
        val_loss=0.5,
        rates=rates(labels[inside], scores[inside]),
        lr=0.1,
        seconds=1.0,
        written=NOW,
    )
