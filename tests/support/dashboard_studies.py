"""Study folders for the dashboard's tests: written by the store, nothing trained."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmcaf.files.atomic import write_json
from mmcaf.stats.areas import auroc
from mmstudy.spec.study_spec import parse_spec, resolved
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import write_table
from mmstudy.storage.schema import METRICS, PREDICTIONS, SCHEMA_VERSION, TRIALS, State

__all__ = ["CASES", "OLD", "large_study", "old_study", "write_about"]

OLD = Path(__file__).parents[1] / "fixtures" / "study_v1"
CASES = 40  # of which every third is squamous
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_OPTIONS = ("[3]", "[2, 3]", "[1, 2, 3]")
_QUESTION = "<b>Does</b> it *show* :red[$all$]?"


def write_about(root: Path, name: str, *, trials: int, epochs: int, folds: int = 2) -> StudyFolder:
    """`study.json` alone: a study that has just begun."""
    paths = StudyFolder(root / name)
    spec = parse_spec(
        {
            "question": _QUESTION,
            "protocol": {"kind": "kfold", "folds": folds} if folds > 1 else {"kind": "holdout"},
            "train": {"epochs": epochs},
            "space": {
                "train.lr": {"float": [1e-5, 1e-1], "log": True},
                "train.momentum": {"float": [0.0, 0.9]},
                "train.batch_size": {"int": [2, 8]},
                "model.pyramid_scales": {"choice": [[3], [2, 3], [1, 2, 3]]},
                "model.attention": {"choice": ["softmax", "linear"]},
                "model.tabular": {"choice": ["kan", "mlp"]},
            },
            "search": {"trials": trials},
        }
    )
    names = [f"c{i:03}" for i in range(CASES)]
    parts = [
        [name for i, name in enumerate(names) if i // 3 % folds == fold] for fold in range(folds)
    ]
    write_json(
        paths.study,
        {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "synthetic": True,
            "question": spec.question,
            "created": "2026-01-01T00:00:00+00:00",
            "spec": resolved(spec),
            "cohort": "../no-cohort-here",
            "cohort_digest": "0123456789abcdef",
            "n_cases": CASES,
            "n_positive": len(names[::3]),
            "split": {
                "test": ["t0"],
                "folds": [
                    {"train": [c for c in names if c not in part], "val": part} for part in parts
                ],
            },
        },
    )
    return paths


def large_study(root: Path, name: str, *, trials: int, epochs: int, folds: int = 1) -> StudyFolder:
    """A study of any size, as a driver leaves it after compaction: one segment per table.

    Every tenth trial was pruned half-way, every fiftieth failed; predictions are of the best epoch.
    """
    paths = write_about(root, name, trials=trials, epochs=epochs, folds=folds)
    random = np.random.default_rng(0)
    number = np.arange(trials)
    failed, pruned = number % 50 == 49, number % 10 == 8
    reached = np.where(failed, 1, np.where(pruned, max(1, epochs // 2), epochs))
    lr = 10 ** random.uniform(-5, -1, trials)
    skill = 0.8 - 0.08 * np.abs(np.log10(lr) + 3) + random.normal(0, 0.03, trials)
    labels = (np.arange(CASES) % 3 == 0).astype(int)
    scores = 1 / (
        1
        + np.exp(
            -(random.normal(size=(trials, CASES)) + 3 * (skill[:, None] - 0.5) * (2 * labels - 1))
        )
    )
    complete = ~(failed | pruned)
    part = np.arange(CASES) // 3 % folds  # both classes in each fold
    value = np.array(
        [np.mean([auroc(labels[part == f], s[part == f]) for f in range(folds)]) for s in scores]
    )
    _write(paths, "trials", TRIALS, _trials(number, lr, random, value, failed, pruned, reached))
    _write(paths, "metrics", METRICS, _metrics(number, reached, value, random, folds))
    _write(
        paths,
        "predictions",
        PREDICTIONS,
        _predictions(number[complete], scores[complete], labels, part, epochs),
    )
    tables = ("trials", "metrics", "predictions")
    write_json(
        paths.manifest,
        {table: [{"file": f"{table}.parquet", "numbers": [[0, trials - 1]]}] for table in tables},
    )
    return paths


def old_study(root: Path) -> StudyFolder:
    """A copy of what version 1 of the record wrote."""
    shutil.copytree(OLD, root / "study_v1")
    return StudyFolder(root / "study_v1")


def _write(paths: StudyFolder, table: str, schema: pa.Schema, columns: dict[str, Any]) -> None:
    rows = len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[f.name], type=f.type) if f.name in columns else pa.nulls(rows, f.type)
        for f in schema
    ]
    write_table(paths.segments / f"{table}.parquet", pa.Table.from_arrays(arrays, schema=schema))


def _trials(
    number: Any, lr: Any, random: Any, value: Any, failed: Any, pruned: Any, reached: Any
) -> dict[str, Any]:
    n = len(number)
    states = np.where(failed, State.FAIL, np.where(pruned, State.PRUNED, State.COMPLETE))
    params = [
        json.dumps(
            {
                "train.lr": float(lr[i]),
                "train.momentum": round(float(random.uniform(0, 0.9)), 3),
                "train.batch_size": int(random.integers(2, 9)),
                "model.pyramid_scales": json.loads(_OPTIONS[i % 3]),
                "model.attention": ("softmax", "linear")[i % 2],
                "model.tabular": ("kan", "mlp")[(i // 2) % 2],
            }
        )
        for i in range(n)
    ]
    begin = [_NOW + timedelta(minutes=2 * int(i)) for i in number]
    done = states == State.COMPLETE
    reasons = np.where(
        failed, "error: <i>ValueError</i> on purpose", np.where(pruned, "behind", "")
    )
    return {
        "number": number,
        "state": states.tolist(),
        "params": params,
        "value": [float(v) if ok else None for v, ok in zip(value, done, strict=True)],
        "best_epoch": [int(r) - 1 if ok else None for r, ok in zip(reached, done, strict=True)],
        "seed": number,
        "attempts": np.ones(n, int),
        "started": begin,
        "ended": [one + timedelta(minutes=3) for one in begin],
        "seconds": 3.0 * reached,
        "reason": [text or None for text in reasons],
        "seconds_per_epoch": random.uniform(2, 4, n),
        "parameters": random.integers(10_000, 900_000, n),
        "gpu_seconds": 1.5 * reached,
    }


def _metrics(number: Any, reached: Any, value: Any, random: Any, folds: int) -> dict[str, Any]:
    of = np.repeat(number, reached * folds)
    epoch = np.concatenate([np.tile(np.arange(r), folds) for r in reached])
    fold = np.concatenate([np.repeat(np.arange(folds), r) for r in reached])
    rows = len(of)
    curve = value[of] - 0.3 * np.exp(-(epoch + 1) / 5) + random.normal(0, 0.01, rows)
    return {
        "number": of,
        "fold": fold,
        "epoch": epoch,
        "attempt": np.ones(rows, int),
        "n_train": np.full(rows, 32),
        "n_val": np.full(rows, CASES),
        "n_val_positive": np.full(rows, 14),
        "train_loss": 0.7 - 0.3 * curve,
        "val_loss": 0.75 - 0.3 * curve,
        "auroc": np.clip(curve, 0, 1),
        "sensitivity": np.clip(curve - 0.1, 0, 1),
        "specificity": np.clip(curve + 0.05, 0, 1),
        "lr": np.full(rows, 0.001),
        "seconds": np.full(rows, 3.0),
        "written": np.full(rows, np.datetime64(_NOW.replace(tzinfo=None))),
    }


def _predictions(number: Any, scores: Any, labels: Any, part: Any, epochs: int) -> dict[str, Any]:
    n = len(number)
    return {
        "number": np.repeat(number, CASES),
        "fold": np.tile(part, n),
        "epoch": np.full(n * CASES, epochs - 1),
        "case": [f"c{i:03}" for i in range(CASES)] * n,
        "label": np.tile(labels, n).astype(np.int8),
        "probability": scores.ravel(),
    }
