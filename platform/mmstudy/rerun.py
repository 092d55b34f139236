"""A stored trial again: to check that its numbers hold, or to use its networks on other patients.

Both train anew from the plan alone, which on the same hardware and number of threads gives the same
numbers bit for bit; so no trial needs to keep its weights of every fold and epoch.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from mmcaf import checkpoint
from mmcaf.checkpoint import Checkpoint
from mmcaf.data import volumes
from mmcaf.data.batches import EvalBatches
from mmcaf.data.cohort import Cohort
from mmcaf.data.encoding import Intensity, TableEncoder
from mmcaf.data.nodecache import load_cohort
from mmcaf.data.volumes import VolumeSpec
from mmcaf.net.registry import reads_image
from mmcaf.places import address_of
from mmcaf.training import predict as predict_cases
from mmstudy.errors import MMStudyError
from mmstudy.ledger import FolderLedger
from mmstudy.objective import build_model, derive_seed, load_plan, train
from mmstudy.provenance import code_version, cpu_name, versions
from mmstudy.records import RATES, State
from mmstudy.results import Study
from mmstudy.runner import TrialTask
from mmstudy.spec import parse_spec, trial_config

__all__ = ["drift", "networks", "predict", "predict_test", "rerun", "split_of", "task_of"]

Progress = Callable[[str, int, int], None]

_COMPARED = ("train_loss", "val_loss", *RATES)


def task_of(study: Study, number: int, cohort: Path, seed: int | None = None) -> TrialTask:
    """The task of a stored trial, with another seed if given."""
    row = FolderLedger(study.paths).trial(number)
    if row is None:
        raise MMStudyError(f"{study.name} has no trial {number}.")
    return TrialTask(
        study=address_of(study.paths.root),
        cohort=address_of(cohort),
        number=number,
        params=row.params,
        seed=row.seed if seed is None else seed,
        threads=row.threads or 1,
        device=row.device or "cpu",
    )


def rerun(
    study: Study, number: int, cohort: Path, *, seed: int | None = None
) -> Iterator[dict[str, Any]]:
    """Train trial `number` again; one row per fold, epoch and metric, stored beside computed.

    Goes as far as the stored trial went; writes nothing. `difference` is null where either is
    undefined.
    """
    stored = {(row["fold"], row["epoch"]): row for row in study.epochs(number).to_dicts()}
    if not stored:
        raise MMStudyError(f"Trial {number} of {study.name} has no stored epoch to compare with.")
    task = task_of(study, number, cohort, seed)
    with tempfile.TemporaryDirectory(prefix="mmstudy-") as scratch:
        # Earlier stages are trained again too, not read from where the study keeps them.
        plan = replace(load_plan(task), shared=Path(scratch))
        for done in train(plan, split=split_of(study, task)):
            if done is None:
                continue
            row = stored.get((done.fold, done.report.epoch))
            if row is not None:
                yield from _compared(row, done)
            if (done.fold, done.report.epoch) == max(stored):
                return


def drift(study: Study, number: int) -> list[str]:
    """What differs between where trial `number` was computed and here; each may move its numbers.

    Empty where nothing does, and for a study of a version that did not keep it.
    """
    row = study.trial(number)
    on_gpu = str(row["device"]).startswith("cuda") and torch.cuda.is_available()
    here = {
        "hardware": torch.cuda.get_device_name() if on_gpu else cpu_name(),
        "code": code_version(),
        **versions(),
    }
    stored = {"hardware": row["hardware"], "code": row["code_version"]}
    stored |= json.loads(row["versions"] or "{}")
    return [
        f"{name} was {stored[name]}, is {now}"
        for name, now in here.items()
        if stored.get(name) not in (None, now)
    ]


def _compared(row: dict[str, Any], done: Any) -> Iterator[dict[str, Any]]:
    computed = {
        "train_loss": done.report.train_loss,
        "val_loss": done.report.val_loss,
        **done.report.rates,
    }
    for metric in _COMPARED:
        old, new = row[metric], computed[metric]
        same = old == new or (old is None and new is None)
        yield {
            "fold": done.fold,
            "epoch": done.report.epoch,
            "metric": metric,
            "stored": old,
            "computed": new,
            "difference": 0.0 if same else None if None in (old, new) else new - old,
            "same": same,
        }


def predict(
    study: Study,
    number: int,
    cohort: Path,
    other: Path,
    progress: Progress,
) -> pl.DataFrame:
    """Probabilities of every case of the cohort `other`: case, label, probability.

    The mean over the networks of all folds at the trial's best epoch. They are kept in the trial's
    artifacts; where they are missing they are trained again first.

    Raises:
        MMStudyError: the trial is not complete, or `other` shares patients with the study's cohort.
    """
    patients = load_cohort(other)
    own = load_cohort(cohort)
    # Synthetic patients of every cohort have the same ids; their series do not.
    key = "series_uid" if own.synthetic or patients.synthetic else "patient_id"
    shared = patients.patients[key].is_in(own.patients[key].to_list()).sum()
    if shared:
        raise MMStudyError(
            f"{shared} of the {patients.patients.height} patients are of the cohort the study was "
            "begun on, in whatever form; a trial is judged on others. `mmstudy evaluate` has its "
            "test patients."
        )
    return _ensemble(study, number, cohort, (patients, patients.patients), progress)


def predict_test(study: Study, number: int, cohort: Path, progress: Progress) -> pl.DataFrame:
    """As `predict`, of the study's own test patients; for `mmstudy.evaluate`, which logs it.

    Raises:
        MMStudyError: the trial is not complete, or the cohort is not the study's own.
    """
    patients = load_cohort(cohort)
    if patients.digest != study.about["cohort_digest"]:
        raise MMStudyError(
            f"The study was begun on cohort {study.about['cohort_digest']}, the one given is "
            f"{patients.digest}. Give the original one with --cohort."
        )
    test = patients.patients.filter(pl.col("case").is_in(study.about["split"]["test"]))
    return _ensemble(study, number, cohort, (patients, test), progress)


def _ensemble(
    study: Study, number: int, cohort: Path, of: tuple[Cohort, pl.DataFrame], progress: Progress
) -> pl.DataFrame:
    row = study.trial(number)
    if row["state"] != State.COMPLETE:
        raise MMStudyError(f"Trial {number} is {row['state']}; only a complete one can predict.")
    patients, cases = of[0], of[1].sort("case")
    task = task_of(study, number, cohort)
    config = trial_config(parse_spec(study.about["spec"]), json.loads(task.params))
    images = reads_image(config.model)
    spec = VolumeSpec(config.data.in_plane_px)
    if images:
        volumes.build(patients, spec, progress)
    opened = volumes.open_volumes(patients, spec) if images else {}
    total = np.zeros(cases.height)
    for fold, path in enumerate(networks(study, task, int(row["best_epoch"]), progress)):
        kept = checkpoint.load(path)
        model = build_model(config, derive_seed(task.seed, fold))
        model.load_state_dict(kept.part("model."))
        batches = EvalBatches(
            cases,
            opened,
            TableEncoder.from_json(kept.meta["encoder"]),
            Intensity.from_json(kept.meta["intensity"]) if images else None,
            config.data,
            8,
        )
        precision = config.train.precision
        found = predict_cases(model, batches, device=task.device, precision=precision)
        total += found.probability
    return cases.select("case", "label").with_columns(probability=total / study.folds)


def networks(study: Study, task: TrialTask, epoch: int, progress: Progress) -> list[Path]:
    """Checkpoints of all folds at the trial's best epoch; trained again where one is missing."""
    folder = study.paths.trial_artifacts(task.number)
    paths = [folder / f"fold-{fold}.safetensors" for fold in range(study.folds)]
    if all(path.exists() for path in paths):
        return paths
    split = split_of(study, task)
    for done in train(load_plan(task), last_epoch=epoch, split=split):
        if done is None:
            continue
        progress(f"training trial {task.number} again, fold", done.fold + 1, study.folds)
        if done.report.epoch == epoch:
            weights = {f"model.{name}": t for name, t in done.net.state_dict().items()}
            checkpoint.save(paths[done.fold], Checkpoint(weights, done.report.snapshot().meta))
    return paths


def split_of(study: Study, task: TrialTask) -> int:
    """How many times more micro-batches a step had than the config says, after running out of
    memory; exact where it did so before the first epoch was done."""
    config = trial_config(parse_spec(study.about["spec"]), json.loads(task.params))
    stored = study.epochs(task.number)["accumulate"].drop_nulls()
    base = config.train.accumulate
    return int(stored[0]) // base if len(stored) else 1
