"""One trial: from params to epoch rows, the same code in Ray, inline and in a rerun.

`train` only computes: every fold in turn, one `FoldEpoch` per epoch, the numbers decided by the
plan alone (seeds are derived from it, per fold and epoch). `run_trial` records what `train`
computes: predictions, metrics, then a checkpoint, then it yields; a trial killed anywhere in
between goes on from its checkpoint and computes the same numbers again.
"""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from mmcaf import checkpoint
from mmcaf.checkpoint import Checkpoint
from mmcaf.data import cohort, volumes
from mmcaf.data.batches import fold_batches
from mmcaf.data.splits import Split
from mmcaf.data.volumes import VolumeSpec
from mmcaf.files import StorageError, replacing, write_json
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.staging import last_stage
from mmcaf.training import EpochReport, fit
from mmstudy.errors import MMStudyError
from mmstudy.paths import StudyPaths
from mmstudy.records import METRICS, PREDICTIONS, EpochRow
from mmstudy.runner import StudyHalted, TrialFailed, TrialTask
from mmstudy.spec import TrialConfig, parse_spec, trial_config
from mmstudy.store import read_json, read_rows, write_rows

__all__ = ["FoldEpoch", "TrialPlan", "derive_seed", "load_plan", "run_trial", "train"]


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """All that decides a trial's numbers, loaded."""

    config: TrialConfig
    split: Split
    cases: pl.DataFrame  # the cohort's patients, one row each
    volumes: Mapping[str, np.ndarray[Any, Any]]  # case -> int16 HU [slices, rows, columns]
    seed: int
    shared_seed: int  # of the stages before the last, which trials share
    source: str  # digest of the cohort
    shared: Path | None  # where such stages and their image tokens are kept
    threads: int
    device: str


@dataclass(frozen=True, slots=True)
class FoldEpoch:
    """What one epoch of one fold gave."""

    fold: int
    n_train: int
    n_val: int
    n_val_positive: int
    report: EpochReport
    net: MMCAFNet  # only before the next epoch is begun


def derive_seed(*parts: object) -> int:
    """A seed that depends on every part and on nothing else, alike on every machine."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def load_plan(task: TrialTask) -> TrialPlan:
    """Load what `task` names, after checking that the cohort is the study's own.

    Raises:
        MMStudyError: the cohort's content is not what the study was begun with.
        DataError: the cohort cannot be read.
    """
    paths = StudyPaths(Path(task.study))
    study = read_json(paths.study)
    patients = cohort.load(Path(task.cohort))
    if patients.digest != study["cohort_digest"]:
        raise MMStudyError(
            f"The study was begun on cohort {study['cohort_digest']}, but the cohort given is "
            f"{patients.digest}. Give the original one with --cohort, or begin a new study."
        )
    spec = parse_spec(study["spec"])
    config = trial_config(spec, json.loads(task.params))
    return TrialPlan(
        config=config,
        split=Split.from_json(study["split"]),
        cases=patients.patients,
        volumes=volumes.open_volumes(patients, VolumeSpec(config.data.in_plane_px)),
        seed=task.seed,
        shared_seed=derive_seed(spec.search.seed, "shared stages"),
        source=patients.digest,
        shared=paths.shared,
        threads=task.threads,
        device=task.device,
    )


def train(
    plan: TrialPlan, resume: Checkpoint | None = None, *, folds: int | None = None
) -> Iterator[FoldEpoch]:
    """Train every fold (or the first `folds`), in order, from where `resume` ends.

    Raises:
        FloatingPointError: the loss became infinite or NaN.
    """
    torch.set_num_threads(plan.threads)
    first = int(resume.meta["fold"]) if resume else 0
    for index, fold in enumerate(plan.split.folds[:folds]):
        if index < first:
            continue
        seed = derive_seed(plan.seed, index)
        batches = fold_batches(
            plan.cases,
            plan.volumes,
            fold,
            data=plan.config.data,
            train=plan.config.train,
            seed=seed,
        )
        labels = plan.cases.filter(pl.col("case").is_in(list(fold.val)))["label"]
        last = last_stage(
            plan.config.model,
            plan.config.train,
            batches,
            seed=seed,
            shared_seed=derive_seed(plan.shared_seed, index),
            source=plan.source,
            folder=plan.shared,
            device=plan.device,
        )
        for report in fit(
            last.view,
            last.batches,
            plan.config.train,
            seed=seed,
            device=plan.device,
            resume=resume if index == first else None,
        ):
            yield FoldEpoch(
                fold=index,
                n_train=len(fold.train),
                n_val=len(fold.val),
                n_val_positive=int(labels.sum()),
                report=report,
                net=last.net,
            )


def build_model(config: TrialConfig, seed: int) -> MMCAFNet:
    """The network of `config`, its weights decided by `seed` alone."""
    torch.manual_seed(seed)
    return MMCAFNet(config.model)


def run_trial(task: TrialTask) -> Iterator[EpochRow]:
    """Compute and record one trial, from its own checkpoint if it has one.

    Yields only the epochs computed by this call; earlier ones are in the trial's metrics file.

    Raises:
        TrialFailed: anything that would happen again on a second try.
        StudyHalted: nothing can be written any more.
    """
    try:
        yield from _recorded(task)
    except GeneratorExit:
        raise
    except _Superseded:
        return  # a later attempt owns the files now
    except StorageError as error:
        raise StudyHalted(error.strerror) from error
    except Exception as error:
        log = StudyPaths(Path(task.study)).trial_artifacts(task.number) / "error.txt"
        with replacing(log) as beside:
            beside.write_text(traceback.format_exc(), encoding="utf-8")
        raise TrialFailed(_reason(error)) from error


class _Superseded(Exception):
    pass


def _recorded(task: TrialTask) -> Iterator[EpochRow]:
    paths = StudyPaths(Path(task.study))
    attempt = _claim(paths, task)
    plan = load_plan(task)
    last = paths.trial_artifacts(task.number) / "last.safetensors"
    resume = checkpoint.load(last) if last.exists() else None
    metrics = _kept(read_rows(paths.trial_metrics(task.number), METRICS), resume)
    predictions = _kept(read_rows(paths.trial_predictions(task.number), PREDICTIONS), resume)
    for epoch in train(plan, resume):
        row = _row(task.number, attempt, epoch)
        metrics.append(row.as_dict())
        predictions += _prediction_rows(task.number, epoch)
        _check_owner(paths, task.number, attempt)
        write_rows(paths.trial_predictions(task.number), PREDICTIONS, predictions)
        write_rows(paths.trial_metrics(task.number), METRICS, metrics)
        snapshot = epoch.report.snapshot()
        meta = {**snapshot.meta, "fold": epoch.fold}
        checkpoint.save(last, Checkpoint(tensors=snapshot.tensors, meta=meta))
        yield row


def _claim(paths: StudyPaths, task: TrialTask) -> int:
    """Make this attempt the owner of the trial's files; workers outlive a killed driver."""
    path = paths.claim(task.number)
    attempt = int(read_json(path)["attempt"]) + 1 if path.exists() else 1
    write_json(path, {"attempt": attempt, "pid": os.getpid(), "device": task.device})
    return attempt


def _check_owner(paths: StudyPaths, number: int, attempt: int) -> None:
    if read_json(paths.claim(number))["attempt"] != attempt:
        raise _Superseded


def _kept(rows: list[dict[str, Any]], resume: Checkpoint | None) -> list[dict[str, Any]]:
    """Rows up to the checkpoint; later ones are computed again."""
    if resume is None:
        return []
    end = (resume.meta["fold"], resume.meta["epoch"])
    return [row for row in rows if (row["fold"], row["epoch"]) <= end]


def _row(number: int, attempt: int, epoch: FoldEpoch) -> EpochRow:
    report = epoch.report
    return EpochRow(
        number=number,
        fold=epoch.fold,
        epoch=report.epoch,
        attempt=attempt,
        n_train=epoch.n_train,
        n_val=epoch.n_val,
        n_val_positive=epoch.n_val_positive,
        train_loss=report.train_loss,
        val_loss=report.val_loss,
        rates=report.rates,
        lr=report.lr,
        seconds=report.seconds,
        written=datetime.now(UTC),
    )


def _prediction_rows(number: int, epoch: FoldEpoch) -> list[dict[str, Any]]:
    found = epoch.report.predictions
    return [
        {
            "number": number,
            "fold": epoch.fold,
            "epoch": epoch.report.epoch,
            "case": case,
            "label": int(label),
            "probability": float(probability),
        }
        for case, label, probability in zip(found.case, found.label, found.probability, strict=True)
    ]


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"oom: {error}"
    if isinstance(error, FloatingPointError):
        return f"not finite: {error}"
    return f"{type(error).__name__}: {error}"
