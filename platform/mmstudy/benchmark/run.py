"""Runs every network of the paper's tables on one cohort, on one footing.

Each row is an ordinary study with the same protocol, windows, earlier stages and number of trials,
its best trial confirmed over the same new splits. Stages and features that rows share lie in one
folder and are computed once. What is done is left alone, so the same command goes on after a kill.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from msgspec.structs import replace

from mmcaf.files import checkpoint
from mmcaf.files.atomic import write_json
from mmcaf.files.remote import origin
from mmcaf.net.registry import reads_image
from mmcaf.training.stages import StageEpochs
from mmstudy.benchmark.rows import ROWS, STATE_FILE, BenchmarkState, RowState, study_name
from mmstudy.driver.contract import Runner
from mmstudy.driver.drive import Plan, plan_study, run_study
from mmstudy.driver.tally import Standing
from mmstudy.errors import MMStudyError, TooManyFailures, UsageError
from mmstudy.followup.confirm import MOST_RUNS, confirm
from mmstudy.spec.reading import find_spec, load_spec
from mmstudy.spec.study_spec import StudySpec, trial_config
from mmstudy.storage.parquet import read_json
from mmstudy.storage.schema import State
from mmstudy.study import open_study

__all__ = ["BenchmarkPlan", "Budget", "plan_benchmark", "run_benchmark"]

_SHARED = "bench-shared"
_NOTHING = BenchmarkState()
_CONFIRMED = 1  # the trial with the highest value of a row's search

Progress = Callable[[str, int, int], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What every row gets alike; None leaves what its search space has."""

    trials: int
    seeds: int
    epochs: int | None = None  # of every stage and step
    width: float | None = None
    folds: int | None = None
    gpu: float = 0.0
    cpu: int = 1
    settings: tuple[str, ...] = ()  # path=value, for all rows

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= MOST_RUNS:
            raise UsageError(f"seeds must be from 1 to {MOST_RUNS}, got {self.seeds}.")


@dataclass(frozen=True, slots=True)
class BenchmarkPlan:
    """Rows ready to run; nothing is written yet."""

    root: Path
    cohort: Path
    budget: Budget
    plans: dict[str, Plan]
    faults: dict[str, str]  # row -> why it cannot be reproduced here
    sam: Path | None = None  # folder of SAM's weights


def plan_benchmark(
    rows: Sequence[str], budget: Budget, *, cohort: Path, root: Path, sam: Path | None = None
) -> BenchmarkPlan:
    """Check every row before any of them runs.

    Args:
        rows: keys of `ROWS`.
        budget: what each of them gets.
        cohort: the patients.
        root: folder of the studies.
        sam: SAM's weights; without them its row is not reproducible.

    Raises:
        UsageError: a setting does not fit, or a folder holds another study.
        DataError: the cohort cannot be read.
    """
    if origin(root) is not None:
        raise UsageError(
            "The rows of a benchmark share stages in one folder: --root must be a folder, not an "
            "address."
        )
    plans, faults = {}, {}
    for key in rows:
        if ROWS[key].needs and sam is None:
            faults[key] = f"not reproducible here: needs {ROWS[key].needs} (--sam)"
            continue
        more = (
            [f"model.weights={json.dumps(str(sam.resolve()))}"] if ROWS[key].needs and sam else []
        )
        spec = row_spec(key, budget, more)
        plans[key] = plan_study(
            spec, cohort=cohort, root=root, name=study_name(key), shared=root / _SHARED
        )
    return BenchmarkPlan(root, cohort, budget, plans, faults, sam)


def row_spec(key: str, budget: Budget, more: Sequence[str] = ()) -> StudySpec:
    """The spec of a row's study: its search space under the budget.

    Raises:
        UsageError: lists every fault.
    """
    settings = [f"resources.gpu={budget.gpu}", f"resources.cpu={budget.cpu}"]
    if budget.folds is not None:
        settings.append(f"protocol.folds={budget.folds}")
    change = partial(_budgeted, budget=budget)
    space = ROWS[key].space or find_spec(f"models/{key}")
    return load_spec(space, [*settings, *budget.settings, *more], None, change)


def _budgeted(raw: dict[str, Any], *, budget: Budget) -> None:
    """Trials, epochs and width of the budget, where a row has such a thing."""
    train, model = raw["train"], raw["model"]
    if raw.get("space"):
        raw["search"]["trials"] = budget.trials
    if budget.epochs is not None and train["epochs"] > 1:
        train["epochs"] = budget.epochs
    if budget.epochs is not None and "step_epochs" in train:
        train["step_epochs"] = budget.epochs
    for stage in train["stages"][:-1]:
        stage["epochs"] = budget.epochs or stage["epochs"]
    if budget.width is not None and raw["resources"].get("gpu"):  # a table has no width
        model["width"] = budget.width


def run_benchmark(
    plan: BenchmarkPlan, runner_for: Callable[[bool], Runner], *, progress: Progress, say: Say
) -> None:
    """Run what is missing of every row.

    Args:
        plan: what `plan_benchmark` has checked.
        runner_for: makes a runner; inline if asked, which a row without images always is.
        progress: called with how far all rows are.
        say: called with what a user should know now.

    Raises:
        Interrupted: the user stopped it; the same call goes on from there.
        TooManyFailures: rows failed; all others were run.
    """
    state = _State(plan)
    failed = []
    for key, of in plan.plans.items():
        started = time.monotonic()
        model = trial_config(of.spec, {}, constrained=False).model
        inline = not reads_image(model)  # cheaper than a process
        try:
            _run_row(plan, key, partial(runner_for, inline), state.progress(key, progress), say)
        except (TooManyFailures, _NoTrial) as error:
            failed.append(key)
            state.fault(key, f"failed: {error}")
        finally:
            state.spent(key, time.monotonic() - started)
    if failed:
        raise TooManyFailures(
            f"{len(failed)} of {len(plan.plans)} rows failed: {', '.join(failed)}. "
            f"`mmstudy trials {study_name(failed[0])}` shows why."
        )


class _NoTrial(MMStudyError):
    """A row has nothing to confirm."""


def _run_row(
    plan: BenchmarkPlan, key: str, runner: Callable[[], Runner], progress: Progress, say: Say
) -> None:
    of = plan.plans[key]

    def notify(now: Standing) -> None:
        progress("trials", now.complete + now.pruned + now.failed, now.asked)

    if not _searched(of):
        run_study(of, runner(), notify=notify, progress=progress, say=say)
    study = open_study(of.folder.root)
    if not study.counts()[State.COMPLETE]:
        raise _NoTrial(f"no trial of {study.name} is complete")
    wanted = pl.col("number").is_in(study.highest(_CONFIRMED))
    done = study.confirmations().filter(wanted).height
    if done < _CONFIRMED * study.folds * plan.budget.seeds:
        confirm(
            study,
            runner(),
            cohort=plan.cohort,
            top=_CONFIRMED,
            seeds=plan.budget.seeds,
            weights=plan.sam,
            progress=progress,
            say=say,
        )


def _searched(plan: Plan) -> bool:
    """Whether the study has all the trials asked for, so that no runner need start."""
    if not plan.folder.study.exists():
        return False
    counts = open_study(plan.folder.root).counts()
    counted = counts[State.COMPLETE] + counts[State.PRUNED]  # a failed trial is replaced
    return counted >= plan.spec.search.trials and not counts[State.RUNNING]


class _State:
    """`benchmark.json`: which rows there are and what they cost so far; written by the driver."""

    def __init__(self, plan: BenchmarkPlan) -> None:
        self._path, self._plan = plan.root / STATE_FILE, plan
        there = self._path.exists() or self._path.is_symlink()
        known = read_json(self._path, BenchmarkState, limit=plan.root) if there else _NOTHING
        asked = {key: known.rows.get(key, RowState(fault=why)) for key, why in plan.faults.items()}
        asked |= {key: replace(known.rows.get(key, RowState()), fault=None) for key in plan.plans}
        rows = {**known.rows, **asked}
        self._value = replace(
            known,
            trials=plan.budget.trials,
            seeds=plan.budget.seeds,
            # In the order of the tables, whatever was asked for first.
            rows={key: rows[key] for key in ROWS if key in rows},
        )
        self._keys = [*plan.plans]
        self._write()

    def progress(self, key: str, show: Progress) -> Progress:
        """Steps of one row as steps of all rows."""
        place = self._keys.index(key)
        title = f"row {place + 1} of {len(self._keys)}, {ROWS[key].title}"
        return lambda what, done, of: show(f"{title}: {what}", done, of)

    def fault(self, key: str, why: str) -> None:
        """The row cannot be finished."""
        self._row(key, fault=why)

    def spent(self, key: str, seconds: float) -> None:
        """Time went into the row, in this call or an earlier one."""
        self._row(key, wall_seconds=(self._value.rows[key].wall_seconds or 0.0) + seconds)
        shared = _shared_seconds(self._plan.root, self._plan.root / _SHARED)
        self._value = replace(self._value, shared_seconds=shared)
        self._write()

    def _row(self, key: str, **changes: Any) -> None:
        rows = self._value.rows
        self._value = replace(self._value, rows=rows | {key: replace(rows[key], **changes)})

    def _write(self) -> None:
        write_json(self._path, msgspec.to_builtins(self._value))


def _shared_seconds(root: Path, folder: Path) -> float | None:
    """Training time of the stages kept in `folder`, which lies in `root`; None without any."""
    files = [path for path in folder.glob("*.safetensors") if not path.stem.endswith("-last")]
    if not files:
        return None
    stages = [checkpoint.load(path, root).told(StageEpochs).epochs for path in files]
    return float(sum(epoch.seconds for stage in stages for epoch in stage))
