"""A study that is really run and recorded, by trials that cost milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.data.cohort import Cohort
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import Interrupted
from mmstudy.spec.study_spec import StudySpec, parse_spec
from mmstudy.storage.schema import EpochRow
from mmstudy.study import Study, open_study
from mmstudy.trial.recorder import record
from mmstudy.trial.task import Objective, TrialTask
from support.cheap_trial import compute
from support.tiny_spec import TINY_SPEC

__all__ = ["FOLDS", "quick", "run_quick", "spec_of", "truth"]

FOLDS, EPOCHS = 2, 2


def quick(task: TrialTask) -> Iterator[EpochRow | None]:
    """Two folds of two epochs of a real, tiny fit, recorded as every trial is; it never waits."""
    params = json.loads(task.params) | {"seconds": 0, "train.epochs": EPOCHS}
    # Other numbers go wrong on purpose.
    fine = 100 + task.number
    hurried = replace(task, params=json.dumps(params))
    return record(hurried, lambda _, resume, n: compute(replace(hurried, number=fine), resume, n))


def spec_of(trials: int, **changes: Any) -> StudySpec:
    """The spec of a study of such trials."""
    search = {"trials": trials, "startup_trials": 3} | changes.pop("search", {})
    space = {"train.lr": {"float": [1e-3, 3.0], "log": True}}
    given = {"space": space, "search": search, "pruning": None}
    return parse_spec(deepcopy(TINY_SPEC) | given | changes)


def run_quick(
    cohort: Cohort,
    root: Path,
    trials: int,
    *,
    objective: Objective = quick,
    say: Callable[[str], None] = lambda _: None,
    after: Callable[[], None] = lambda: None,
    **changes: Any,
) -> Study:
    """The study `root/s` with that many trials, begun or gone on with; `after` follows changes."""
    plan = plan_study(spec_of(trials, **changes), cohort=cohort.folder, root=root, name="s")
    with suppress(Interrupted):
        run_study(plan, InlineRunner(), objective=objective, say=say, notify=lambda _: after())
    return open_study(root / "s")


def truth(study: Study, numbers: list[int] | None = None) -> list[pl.DataFrame]:
    """All that may never change of trials, and nothing of when and how fast they ran."""
    trials = (
        study.trials()
        .sort("number")
        .select("number", "state", "value", "best_epoch", "^param:.*$", "seed")
    )
    metrics = study.metrics().select(
        "number", "fold", "epoch", "train_loss", "val_loss", "auroc", "brier"
    )
    predictions = study.predictions()
    if numbers is None:
        return [trials, metrics, predictions]
    return [one.filter(pl.col("number").is_in(numbers)) for one in (trials, metrics, predictions)]
