"""What a study will take: disk from what is known before it runs, hours from what was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mmcaf.data.volumes import VolumeSpec
from mmstudy.driver.drive import Plan
from mmstudy.spec.study_spec import trial_config
from mmstudy.study import Study
from mmstudy.trial.compute import build_model

__all__ = ["forecast"]

_GIB = 2**30
_PREDICTION_BYTES, _EPOCH_BYTES, _TRIAL_BYTES = 12, 400, 20_000  # compressed, as files take them
_MOMENTS = {"adamw": 2, "sgd": 1}


def forecast(plan: Plan, study: Study | None) -> dict[str, Any]:
    """Disk in GiB, and hours of computing at most where `study`, its begin, has an epoch.

    Nothing is guessed of hours: without a measured epoch they are not given.
    """
    return {
        "disk, GiB": {
            "volumes still to be made": round(_volumes(plan) / _GIB, 3),
            "records of all trials": round(_records(plan) / _GIB, 3),
            "checkpoint of each running trial, at most": round(_checkpoint(plan) / _GIB, 3),
        },
        "hours of computing at most": _hours(plan, study),
    }


def _volumes(plan: Plan) -> int:
    """Bytes of cached volumes that are not there yet."""
    slices = int(plan.cohort.patients["n_slices"].sum())
    total = 0
    for side in plan.in_plane_px:
        folder = plan.cohort.folder / "volumes" / VolumeSpec(side).digest
        there = sum(path.stat().st_size for path in folder.glob("*.npy"))
        total += max(0, slices * side**2 * np.dtype(np.int16).itemsize - there)
    return total


def _records(plan: Plan) -> int:
    epochs = trial_config(plan.spec, {}, constrained=False).train.epochs
    cases = sum(len(fold.val) for fold in plan.split.folds)
    rows = cases * _PREDICTION_BYTES + len(plan.split.folds) * _EPOCH_BYTES
    return plan.spec.search.trials * (epochs * rows + _TRIAL_BYTES)


def _checkpoint(plan: Plan) -> int:
    """Weights and moments of the network as the spec has it, before anything is searched."""
    config = trial_config(plan.spec, {}, constrained=False)
    net = build_model(config, 0)
    weights = sum(tensor.nbytes for tensor in net.state_dict().values())
    trained = sum(parameter.nbytes for parameter in net.parameters())
    return int(weights + _MOMENTS[config.train.optimizer] * trained)


def _hours(plan: Plan, study: Study | None) -> float | str:
    rows = study.metrics() if study is not None else None
    if study is None or rows is None or rows.is_empty():
        return "nothing is measured yet; a first epoch will tell (run with --trials 1)"
    seconds = float(
        rows.select(pl.sum("seconds", "prepare_seconds").fill_null(0)).sum_horizontal()[0]
    )
    seconds /= rows.height
    done = sum(study.counts()[state] for state in ("complete", "pruned"))
    per_trial = len(plan.split.folds) * trial_config(plan.spec, {}, constrained=False).train.epochs
    hours = seconds * per_trial * max(0, plan.spec.search.trials - done) / 3600
    return f"{hours:.2f} (from {rows.height} measured epochs; trials side by side take less)"
