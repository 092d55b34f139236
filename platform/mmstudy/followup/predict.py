"""The networks of a stored trial on other patients, or on the study's own test patients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from mmcaf.data import volumes
from mmcaf.data.batches import EvalBatches
from mmcaf.data.cohort import Cohort
from mmcaf.data.encoding import Intensity, TableEncoder
from mmcaf.data.node_cache import load_cohort
from mmcaf.data.verification import check, open_verified
from mmcaf.data.volumes import VolumeSpec
from mmcaf.files import checkpoint
from mmcaf.files.checkpoint import Checkpoint
from mmcaf.files.remote import place
from mmcaf.net.registry import reads_image
from mmcaf.training.loop import load_model_state
from mmcaf.training.loop import predict as predict_cases
from mmstudy.errors import MMStudyError
from mmstudy.followup.overlap import shared_patients
from mmstudy.followup.rerun import Progress, split_of, task_of
from mmstudy.storage.schema import State
from mmstudy.study import Study, with_corrected
from mmstudy.trial.compute import build_model, derive_seed, load_plan, train
from mmstudy.trial.task import Fitted, TrialTask, stored_config

__all__ = ["networks", "predict", "predict_test"]


def predict(
    study: Study,
    number: int,
    other: str | Path,
    progress: Progress = lambda *_: None,
    *,
    cohort: str | Path | None = None,
    weights: str | Path | None = None,
) -> pl.DataFrame:
    """Probabilities of every case of the cohort `other`: case, label, probability, corrected.

    `probability` is raw: the mean over the networks of all folds at the trial's best epoch.
    `corrected` is of the share of squamous patients among those the networks trained on, and null
    where that cannot be told (`mmstudy.analysis.probabilities`). The networks are kept in the
    trial's artifacts; where they are missing they are trained again first.

    Args:
        study: where the trial is.
        number: a complete trial.
        other: a cohort of other patients, a folder or its address.
        progress: told of every step.
        cohort: the study's own, if it was moved.
        weights: folder of SAM's weights, for a trial that needs them.

    Raises:
        MMStudyError: the trial is not complete, it needs weights, or `other` shares patients with
            the study's cohort, under whatever names.
    """
    patients = load_cohort(place(str(other), "cohort"))
    own = study.cohort(cohort)
    _refuse_own(own, patients)
    found = _ensemble(study, number, own, (patients, patients.patients), progress, weights)
    return with_corrected(found, study.world(number).ensemble)


def predict_test(
    study: Study,
    number: int,
    own: Cohort,
    progress: Progress,
    weights: str | Path | None = None,
) -> pl.DataFrame:
    """Raw probabilities of the study's own test patients; only `evaluate`, which logs the look,
    calls it.

    Raises:
        MMStudyError: the trial is not complete.
    """
    test = own.patients.filter(pl.col("case").is_in(study.about.split.test))
    return _ensemble(study, number, own, (own, test), progress, weights)


def _refuse_own(own: Cohort, other: Cohort) -> None:
    found = shared_patients(own, other)
    if found.patients:
        told = ", ".join(f"{count} by {name}" for name, count in found.by.items() if count)
        raise MMStudyError(
            f"{len(found.patients)} of the {other.patients.height} patients are of the cohort the "
            f"study was begun on, under whatever names ({told}); a trial is judged on others. "
            "`mmstudy evaluate` has its test patients."
        )


def _ensemble(
    study: Study,
    number: int,
    own: Cohort,
    of: tuple[Cohort, pl.DataFrame],
    progress: Progress,
    weights: str | Path | None,
) -> pl.DataFrame:
    row = study.trial(number)
    if row["state"] != State.COMPLETE:
        raise MMStudyError(f"Trial {number} is {row['state']}; only a complete one can predict.")
    patients, cases = of[0], of[1].sort("case")
    task = task_of(study, number, own, weights=weights)
    config = stored_config(study.about.spec, task)
    images = reads_image(config.model)
    spec = VolumeSpec(config.data.in_plane_px)
    if images:
        volumes.build(patients, spec, progress)
        opened = open_verified(patients, spec, progress)
    else:
        check(patients, progress=progress)
        opened = {}
    total = np.zeros(cases.height)
    for fold, path in enumerate(networks(study, task, int(row["best_epoch"]), progress)):
        kept = checkpoint.load(path, study.folder.working().root)
        fitted = kept.told(Fitted)
        model = build_model(config, derive_seed(task.seed, fold))
        load_model_state(model, kept)
        batches = EvalBatches(
            cases,
            opened,
            TableEncoder.from_json(fitted.encoder),
            Intensity.from_json(fitted.intensity or {}) if images else None,
            config.data,
            8,
        )
        precision = config.train.precision
        found = predict_cases(model, batches, device=task.device, precision=precision)
        total += found.probability
    return cases.select("case", "label").with_columns(probability=total / study.folds)


def networks(
    study: Study,
    task: TrialTask,
    epoch: int,
    progress: Progress,
    again: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Checkpoints of all folds at the trial's best epoch; trained again where one is missing.

    `again` is called before they are.
    """
    folder = study.folder.working()
    paths = [folder.network(task.number, fold) for fold in range(study.folds)]
    folder.fetch(*paths)
    if all(path.exists() for path in paths):
        return paths
    again()
    split = split_of(study, task)
    for done in train(load_plan(task), last_epoch=epoch, split=split):
        if done is None:
            continue
        progress(f"training trial {task.number} again, fold", done.fold + 1, study.folds)
        if done.report.epoch == epoch:
            weights = {f"model.{name}": t for name, t in done.net.state_dict().items()}
            kept = Checkpoint(weights, done.report.snapshot().meta)
            folder.put(paths[done.fold], partial(checkpoint.save, checkpoint=kept))
    return paths
