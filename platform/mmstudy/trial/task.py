"""What one trial's process is told, and what it gives back: values that travel to any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from mmstudy.errors import MMStudyError
from mmstudy.storage.parquet import params_of
from mmstudy.storage.schema import EpochRow

if TYPE_CHECKING:
    from torch import nn

    from mmcaf.files.checkpoint import Checkpoint
    from mmcaf.training.loop import EpochReport
    from mmstudy.spec.sections import TrialConfig
    from mmstudy.spec.study_spec import StudySpec

__all__ = ["Compute", "Fitted", "FoldEpoch", "Objective", "Reached", "TrialTask", "stored_config"]

_Count = Annotated[int, msgspec.Meta(ge=0, lt=1_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """All that a trial's process needs to know; plain values, so it travels anywhere."""

    study: str  # the study folder
    cohort: str  # the cohort folder
    number: int
    params: str  # JSON
    seed: int
    threads: int
    device: str
    gpu: float = 0.0  # share of one GPU, or number of them
    epoch_seconds: float | None = None  # longest time for one epoch
    launch: str | None = None  # of the driver
    split_seed: int | None = None  # other folds than the study's
    confirms: tuple[int, int] | None = None  # of a confirming run: the trial, and which run
    last_epoch: int | None = None  # each fold ends after it
    weights: str | None = None  # folder of a network's given weights, named by the user


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """How far the checkpoint of a trial is."""

    fold: _Count
    epoch: _Count
    split: Annotated[int, msgspec.Meta(ge=1, lt=1_000_000)] = 1  # parts of each step


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """What the checkpoint of a fold's network says of how patients are read."""

    encoder: dict[str, dict[str, float]]
    intensity: dict[str, Any] | None = None  # None: no image is read


def stored_config(spec: StudySpec, task: TrialTask) -> TrialConfig:
    """The configs of a trial as its study keeps them, with the weights that the user named.

    Raises:
        MMStudyError: the params are damaged, or not of this spec; names trial and field. Or it
            needs weights, and the user named none: a file of a study does not decide what is read.
    """
    from mmstudy.spec.study_spec import trial_config  # which needs pydantic

    try:
        config = trial_config(spec, params_of(task.params, task.number))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        told = f"no section {error}" if isinstance(error, KeyError) else error
        raise MMStudyError(
            f"The params of trial {task.number} are none of its study's spec: {told}."
        ) from error
    if (kept := getattr(config.model, "weights", None)) is None:
        return config
    if task.weights is None:
        raise MMStudyError(
            f"Trial {task.number} needs the weights that lay in {kept!r}. A file of a study does "
            "not decide what is read here: if you have them, give their folder with --weights."
        )
    return replace(config, model=replace(config.model, weights=task.weights))


Objective = Callable[[TrialTask], Iterator[EpochRow | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldEpoch:
    """What one epoch of one fold gave."""

    fold: int
    n_train: int
    n_val: int
    n_val_positive: int
    report: EpochReport
    net: nn.Module  # the whole network; only before the next epoch is begun
    parameters: int | None = None  # trainable weights
    accumulate: int = 1  # micro-batches a step was made of

    def row(self, number: int, *, attempt: int = 1, **costs: Any) -> EpochRow:
        """What the record keeps of it, as an epoch of trial `number`.

        `costs` are fields of `EpochRow` that say what it took.
        """
        report = self.report
        return EpochRow(
            number=number,
            fold=self.fold,
            epoch=report.epoch,
            attempt=attempt,
            n_train=self.n_train,
            n_val=self.n_val,
            n_val_positive=self.n_val_positive,
            train_loss=report.train_loss,
            val_loss=report.val_loss,
            rates=report.rates,
            lr=report.lr,
            seconds=report.seconds,
            written=datetime.now(UTC),
            **costs,
        )


Compute: TypeAlias = "Callable[[TrialTask, Checkpoint | None, int], Iterator[FoldEpoch | None]]"
"""(task, what to resume from, into how many more parts each step is split) -> epochs, in order."""
