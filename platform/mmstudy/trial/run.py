"""One trial computed and recorded: what every runner executes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from mmstudy.storage.schema import EpochRow
from mmstudy.trial.compute import load_plan, train
from mmstudy.trial.recorder import record
from mmstudy.trial.task import TrialTask

__all__ = ["run_trial"]


def run_trial(task: TrialTask) -> Iterator[EpochRow | None]:
    """Compute and record one trial; see `mmstudy.trial.recorder.record`."""
    plans = partial(load_plan, task)
    return record(task, lambda _, resume, split: train(plans(), resume, split=split))
