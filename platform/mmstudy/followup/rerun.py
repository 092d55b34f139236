"""A stored trial again: to check that its numbers hold, or to use its networks on other patients.

Both train anew from the plan alone, which on the same hardware and number of threads gives the same
numbers bit for bit; so no trial needs to keep its weights of every fold and epoch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mmcaf.data.cohort import Cohort
from mmcaf.files.remote import address_of
from mmstudy.errors import MMStudyError
from mmstudy.provenance import code_version, cpu_name, versions
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.parquet import decoded
from mmstudy.storage.schema import RATES, Text
from mmstudy.study import Study
from mmstudy.trial.compute import load_plan, train
from mmstudy.trial.task import TrialTask, stored_config

__all__ = ["drift", "rerun", "split_of", "task_of"]

Progress = Callable[[str, int, int], None]

_COMPARED = ("train_loss", "val_loss", *RATES)


def task_of(
    study: Study,
    number: int,
    cohort: Cohort,
    seed: int | None = None,
    weights: str | Path | None = None,
) -> TrialTask:
    """The task of a stored trial, with another seed and the folder of weights, if given.

    Raises:
        MMStudyError: there is no such trial, or it needs weights and none are given.
    """
    row = FolderLedger(study.folder).trial(number)
    if row is None:
        raise MMStudyError(f"{study.name} has no trial {number}.")
    task = TrialTask(
        study=study.folder.address,
        cohort=address_of(cohort.folder),
        number=number,
        params=row.params,
        seed=row.seed if seed is None else seed,
        threads=row.threads or 1,
        device=row.device or "cpu",
        weights=None if weights is None else str(weights),
    )
    stored_config(study.about.spec, task)
    return task


def rerun(
    study: Study,
    number: int,
    cohort: Path | None = None,
    *,
    seed: int | None = None,
    weights: str | Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Train trial `number` again; one row per fold, epoch and metric, stored beside computed.

    Goes as far as the stored trial went; writes nothing. `difference` is null where either is
    undefined.

    Args:
        study: where the trial is.
        number: the trial's.
        cohort: the study's own, if it was moved.
        seed: another than the trial had.
        weights: folder of SAM's weights, for a trial that needs them.

    Raises:
        MMStudyError: there is no such trial, it has no stored epoch, the cohort is another, or it
            needs weights.
    """
    stored = {(row["fold"], row["epoch"]): row for row in study.metrics(number).to_dicts()}
    if not stored:
        raise MMStudyError(
            f"Trial {number} of {study.name} has no stored epoch to compare with: "
            f"{study.folder.metrics} lacks them. Copy them there again."
        )
    task = task_of(study, number, study.cohort(cohort), seed, weights)
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
    stored |= decoded(
        row["versions"] or "{}",
        dict[Text, Text],
        source=f"The row of trial {number}, column versions,",
    )
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


def split_of(study: Study, task: TrialTask) -> int:
    """How many times more micro-batches a step had than the config says, after running out of
    memory; exact where it did so before the first epoch was done."""
    config = stored_config(study.about.spec, task)
    stored = study.metrics(task.number)["accumulate"].drop_nulls()
    base = config.train.accumulate
    return int(stored[0]) // base if len(stored) else 1
