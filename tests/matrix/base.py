"""The study that is damaged: by the commands of users, its last trial interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import Interrupted
from mmstudy.spec.reading import load_spec
from mmstudy.storage.schema import EpochRow
from mmstudy.trial.run import run_trial
from mmstudy.trial.task import TrialTask

__all__ = ["ENDED", "RUNS", "SPEC", "TRIALS", "interrupted"]

TRIALS = 7
ENDED, RUNS = 4, 6  # a trial that is complete and whose tables are not gathered; the interrupted
SPEC = {
    "question": "What can a damaged file do?",
    "protocol": {"kind": "kfold", "folds": 2, "test": {"fraction": 0.25}},
    "model": {"name": "mlp"},
    "train": {"stages": [{"part": "end_to_end"}], "epochs": 2, "batch_size": 8},
    "space": {"train.lr": {"float": [1e-4, 1e-1], "log": True}},
    "search": {"trials": TRIALS, "startup_trials": 3},
    "pruning": None,
}


def interrupted(spec: Path, cohort: Path, root: Path) -> None:
    """Go on with the study `s` until trial `RUNS` has three epochs, and stop there."""
    loaded = load_spec(spec, [])
    plan = plan_study(loaded, cohort=cohort, root=root, name="s")
    with suppress(Interrupted):
        run_study(plan, InlineRunner(), objective=_objective)


def _objective(task: TrialTask) -> Iterator[EpochRow | None]:
    for count, row in enumerate(run_trial(task)):
        yield row
        if task.number == RUNS and count == 2:
            raise KeyboardInterrupt
