"""One trial: from params to epochs, the same code in Ray, inline and in a rerun.

`train` only computes: every fold in turn, one `FoldEpoch` per epoch, the numbers decided by the
plan alone (seeds are derived from it, per fold and epoch). `run_trial` has it recorded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from mmcaf.config import TrainConfig
from mmcaf.data.batches import FoldBatches, fold_batches
from mmcaf.data.cohort import Cohort
from mmcaf.data.node_cache import load_cohort, make_volumes
from mmcaf.data.splits import Fold, Split
from mmcaf.data.verification import check, open_verified
from mmcaf.data.volumes import VolumeSpec
from mmcaf.errors import CohortError
from mmcaf.files.checkpoint import Checkpoint
from mmcaf.files.remote import origin, place
from mmcaf.net.registry import reads_image, table_columns
from mmcaf.training.loop import fit
from mmcaf.training.stages import last_stage, whole_network
from mmstudy.errors import CannotSplit, MMStudyError
from mmstudy.spec.sections import TrialConfig
from mmstudy.spec.study_spec import StudySpec
from mmstudy.storage.about import read_about
from mmstudy.storage.folder import StudyFolder
from mmstudy.trial.folds import split_cohort
from mmstudy.trial.task import FoldEpoch, Reached, TrialTask, stored_config
from mmstudy.trial.threads import pin_threads

__all__ = [
    "TrialPlan",
    "build_model",
    "derive_seed",
    "load_plan",
    "plan_trial",
    "split_steps",
    "stages_seed",
    "train",
]


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
    check_volumes: Callable[[], None] = field(compare=False)  # raises when one has changed
    gpu: float = field(default=1.0, compare=False)  # share of the GPU's memory it may use


def derive_seed(*parts: object) -> int:
    """A seed that depends on every part and on nothing else, alike on every machine."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def load_plan(task: TrialTask) -> TrialPlan:
    """Load what `task` names, after checking that the cohort is the study's own, and whole.

    Raises:
        CohortError: the cohort cannot be read, or is not what the study was begun with.
    """
    folder = StudyFolder.at(task.study, "trial")
    folder.fetch(folder.study)
    about = read_about(folder)
    patients = load_cohort(place(task.cohort, "cohort"))
    try:
        about.check_cohort(patients)
    except MMStudyError as error:
        raise CohortError(str(error)) from error
    spec, split = about.spec, about.split
    config = stored_config(spec, task)
    if len(config.train.stages) > 1:
        folder.fetch_stages()
    if task.split_seed is not None:
        split = split_cohort(spec.protocol, patients, seed=task.split_seed)
    return plan_trial(
        config,
        patients,
        split,
        seed=task.seed,
        # A confirming run has stages of its own: new seeds all the way.
        shared_seed=stages_seed(spec, task.split_seed),
        shared=folder.shared_with(about.shared),
        threads=task.threads,
        device=task.device,
        gpu=task.gpu,
    )


def stages_seed(spec: StudySpec, split_seed: int | None = None) -> int:
    """The seed of the stages that all trials of a study share, on other folds if given."""
    return derive_seed(spec.search.seed, "shared stages", split_seed or "")


def plan_trial(config: TrialConfig, patients: Cohort, split: Split, **how: Any) -> TrialPlan:
    """Load what `config` needs of `patients`; `how` gives the other fields of a `TrialPlan`.

    Raises:
        CohortError: a volume is not what was ingested.
    """
    return TrialPlan(
        config=config,
        split=split,
        cases=patients.patients,
        volumes=_opened(patients, config),
        check_volumes=partial(check, patients, _sides(config)),
        source=patients.digest,
        **how,
    )


def train(
    plan: TrialPlan,
    resume: Checkpoint | None = None,
    *,
    first_fold: int = 0,
    last_epoch: int | None = None,
    split: int = 1,
) -> Iterator[FoldEpoch | None]:
    """Train every fold, in order, from where `resume` ends.

    Yields None while stages before the last are computed: nothing to record, but alive.

    Args:
        plan: what to train.
        resume: a snapshot of the same plan, with the fold it is of.
        first_fold: earlier ones are left out, unless `resume` says where to begin.
        last_epoch: each fold ends after this epoch; its last one unless given.
        split: into how many parts each step is split, for a smaller memory.

    Raises:
        FloatingPointError: the loss became infinite or NaN.
        CannotSplit: a step cannot be made of that many micro-batches.
        CohortError: a volume changed; the epoch it changed in is not given.
    """
    _prepare(plan)
    config = split_steps(plan.config.train, split)
    first = resume.told(Reached).fold if resume else first_fold
    for index, fold in enumerate(plan.split.folds):
        if index < first:
            continue
        seed = derive_seed(plan.seed, index)
        batches = _batches(plan, fold, config, seed)
        labels = plan.cases.filter(pl.col("case").is_in(list(fold.val)))["label"]
        last = yield from last_stage(
            plan.config.model,
            config,
            batches,
            seed=seed,
            shared_seed=derive_seed(plan.shared_seed, index),
            source=plan.source,
            folder=plan.shared,
            device=plan.device,
        )
        spent = last.seconds  # on steps of its own, counted with the first epoch that follows
        for report in fit(
            last.view,
            last.batches,
            config,
            seed=seed,
            device=plan.device,
            resume=resume if index == first else None,
        ):
            plan.check_volumes()
            yield FoldEpoch(
                fold=index,
                n_train=len(fold.train),
                n_val=len(fold.val),
                n_val_positive=int(labels.sum()),
                report=replace(report, seconds=report.seconds + spent),
                net=last.net,
                parameters=last.parameters,
                accumulate=config.accumulate,
            )
            spent = 0.0
            if report.epoch == last_epoch:
                break


def _batches(plan: TrialPlan, fold: Fold, config: TrainConfig, seed: int) -> FoldBatches:
    return fold_batches(
        plan.cases,
        plan.volumes,
        fold,
        data=plan.config.data,
        train=config,
        seed=seed,
        columns=table_columns(plan.config.model),
        images=reads_image(plan.config.model),
    )


def _opened(patients: Cohort, config: TrialConfig) -> Mapping[str, np.ndarray[Any, Any]]:
    if not reads_image(config.model):
        check(patients)  # the rows of the table are under the same digest
        return {}
    sizes = VolumeSpec(config.data.in_plane_px)
    if origin(patients.folder) is not None:  # elsewhere the driver has made them
        make_volumes(patients, sizes)
    return open_verified(patients, sizes)


def _sides(config: TrialConfig) -> tuple[int, ...]:
    return (config.data.in_plane_px,) if reads_image(config.model) else ()


def build_model(config: TrialConfig, seed: int) -> nn.Module:
    """The network of `config`, its weights decided by `seed` alone."""
    torch.manual_seed(seed)
    return whole_network(config.model)


def split_steps(config: TrainConfig, split: int) -> TrainConfig:
    """`config` with every step made of `split` times as many micro-batches.

    Raises:
        CannotSplit: a micro-batch would have fewer than the two samples that batch norm needs.
    """
    if split == 1:
        return config
    parts = split * config.accumulate
    if config.batch_size // parts < 2:
        raise CannotSplit(
            f"a batch of {config.batch_size} in {parts} parts leaves batch norm fewer than 2 "
            "samples; use a smaller network or window, or a larger GPU"
        )
    return replace(config, accumulate=parts)


def _prepare(plan: TrialPlan) -> None:
    """Threads, and on a GPU its share of the memory and reproducible sums."""
    pin_threads(plan.threads)
    if not plan.device.startswith("cuda"):
        return
    if 0 < plan.gpu < 1:  # trials that share a GPU cannot take each other's memory
        torch.cuda.set_per_process_memory_fraction(plan.gpu)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.allow_tf32 = False  # fp32 is to be fp32; train.precision says bf16
    # Some 3D operations have no reproducible form: they warn, once, instead of failing.
    torch.use_deterministic_algorithms(True, warn_only=True)
