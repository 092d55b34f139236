"""A real objective that takes a second: logistic regression by gradient descent on a fixed table.

Recorded by the engine's own `record`, resumed from its checkpoints, exact again on a second run.
Some trials go wrong on purpose, decided by their number alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from mmcaf.files.checkpoint import Checkpoint
from mmcaf.stats.metrics import rates
from mmcaf.training.loop import EpochReport, Predictions
from mmstudy.errors import CannotSplit
from mmstudy.storage.schema import EpochRow
from mmstudy.trial.recorder import record
from mmstudy.trial.task import FoldEpoch, TrialTask

ALWAYS_FAILS, BECOMES_NAN, OUT_OF_MEMORY, HANGS = 3, 5, 7, 9
FOLDS, CASES = 2, 40


@lru_cache
def table() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Features (cases, 5) and labels (cases,) of a noisy, learnable problem."""
    rng = np.random.Generator(np.random.Philox(7))
    labels = np.arange(CASES) % 2
    return rng.normal(size=(CASES, 5)) + 0.8 * labels[:, None], labels


def compute(task: TrialTask, resume: Checkpoint | None, split: int) -> Iterator[FoldEpoch]:
    """Every epoch of every fold, from where `resume` ends."""
    if split > 1:
        raise CannotSplit("a cheap trial has no batches")
    params = json.loads(task.params)
    epochs, seconds = params.get("train.epochs", 5), params.get("seconds", 0.08)
    first = (int(resume.meta["fold"]), int(resume.meta["epoch"])) if resume else (0, -1)
    features, labels = table()
    for fold in range(first[0], FOLDS):
        val = np.arange(CASES) // 2 % FOLDS == fold
        weights = np.random.Generator(np.random.Philox([task.seed, fold])).normal(size=5)
        start = 0
        if resume and fold == first[0]:
            weights, start = resume.tensors["weights"].numpy().copy(), first[1] + 1
        for epoch in range(start, epochs):
            time.sleep(seconds)
            misfortune(task.number, fold, epoch)
            score = 1 / (1 + np.exp(-features @ weights))
            gradient = features[~val].T @ (score - labels)[~val] / (~val).sum()
            weights = weights - params["train.lr"] * gradient
            yield FoldEpoch(
                fold=fold,
                n_train=int((~val).sum()),
                n_val=int(val.sum()),
                n_val_positive=int(labels[val].sum()),
                report=report(epoch, features[val] @ weights, labels[val], weights),
                net=nn.Identity(),  # there is none
                parameters=5,
            )


def report(epoch: int, logits: Any, labels: Any, weights: Any) -> EpochReport:
    scores = 1 / (1 + np.exp(-logits))
    found = Predictions(tuple(f"c{i}" for i in range(len(labels))), labels, scores)
    state = Checkpoint({"weights": torch.from_numpy(weights.copy())}, {"epoch": epoch})
    return EpochReport(
        epoch=epoch,
        train_loss=float(np.abs(weights).mean()),
        val_loss=found.log_loss(),
        rates=rates(labels, scores),
        predictions=found,
        lr=0.1,
        seconds=0.1,
        data_seconds=0.02,
        snapshot=lambda: state,
    )


def misfortune(number: int, fold: int, epoch: int) -> None:
    """What goes wrong, for real, in the second epoch."""
    if (fold, epoch) != (0, 1):
        return
    if number == ALWAYS_FAILS:
        raise ValueError("on purpose, every time")
    if number == BECOMES_NAN:
        raise FloatingPointError(f"the loss became {float('inf') - float('inf')}")
    if number == OUT_OF_MEMORY:
        np.empty(2**50)
    if number == HANGS:
        time.sleep(3600)


def run_cheap(task: TrialTask) -> Iterator[EpochRow]:
    """The objective of a cheap trial."""
    return record(task, compute)
