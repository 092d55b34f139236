"""A study folder as tables: read-only, while it runs or after; no torch, no Ray, no Optuna."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from mmstudy.errors import MMStudyError
from mmstudy.paths import StudyPaths
from mmstudy.records import METRICS, PREDICTIONS, SCHEMA_VERSION, TRIALS, State
from mmstudy.store import read_json, read_tables

__all__ = ["Study", "list_studies", "open_study"]

_ALIVE = timedelta(minutes=10).total_seconds()


@dataclass(frozen=True, slots=True)
class Study:
    """One study, read anew at every call: a running one grows."""

    paths: StudyPaths
    about: dict[str, Any]  # the content of study.json

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.paths.name

    @property
    def synthetic(self) -> bool:
        """Whether any of its patients is synthetic."""
        return bool(self.about["synthetic"])

    @property
    def question(self) -> str:
        """What the study asks, in words."""
        return str(self.about["question"])

    @property
    def asked(self) -> int:
        """Number of trials asked for."""
        return int(self.about["spec"]["search"]["trials"])

    @property
    def folds(self) -> int:
        """Number of folds of every trial."""
        return len(self.about["split"]["folds"])

    def trials(self) -> pl.DataFrame:
        """One row per trial, best first; its params as columns `param:<dotted path>`."""
        table = _table(self.paths.trials, TRIALS)
        params = [json.loads(text) for text in table["params"]]
        paths = list(dict.fromkeys(path for of in params for path in of))
        columns = [
            pl.Series(f"param:{path}", [_shown(of.get(path)) for of in params], strict=False)
            for path in paths
        ]
        complete = pl.col("state") == State.COMPLETE
        ranked = table.with_columns(columns).sort(
            complete, "value", "number", descending=[True, True, False], nulls_last=True
        )
        return ranked.drop("params")

    def epochs(self, number: int | None = None) -> pl.DataFrame:
        """One row per trial, fold and epoch; of trial `number` only, if given."""
        table = _table(self.paths.metrics, METRICS, number)
        return table.sort("number", "fold", "epoch")

    def predictions(self, number: int) -> pl.DataFrame:
        """One row per fold, epoch and validation case of a trial."""
        return _table(self.paths.predictions, PREDICTIONS, number)

    def counts(self) -> dict[str, int]:
        """State -> number of trials; every state has an entry."""
        found = dict(_table(self.paths.trials, TRIALS)["state"].value_counts().iter_rows())
        return {state.value: found.get(state.value, 0) for state in State}

    def trial(self, number: int) -> dict[str, Any]:
        """The row of trial `number`.

        Raises:
            MMStudyError: there is no such trial; says which numbers there are.
        """
        rows = self.trials().filter(pl.col("number") == number).to_dicts()
        if not rows:
            known = self.trials().height
            raise MMStudyError(f"{self.name} has no trial {number}; it has {known} trials.")
        return rows[0]

    def best(self) -> dict[str, Any] | None:
        """The complete trial with the highest objective; a pruned one is never best."""
        complete = self.trials().filter(pl.col("state") == State.COMPLETE)
        return complete.row(0, named=True) if complete.height else None

    def live(self) -> bool:
        """Whether a driver has shown signs of life of late."""
        lock = self.paths.lock
        if not lock.exists() or not lock.stat().st_size:
            return False
        return time.time() - lock.stat().st_mtime < _ALIVE

    @property
    def oracle(self) -> bool:
        """Whether any trial looks where the annotated lesion is, which no scanner delivers."""
        spec = self.about["spec"]
        options = spec.get("space", {}).get("data.location", {}).get("choice", ())
        return "oracle" in (spec.get("data", {}).get("location"), *options)

    def out_of_fold(self, number: int) -> pl.DataFrame:
        """Each validation case once, at the trial's best epoch: case, label, probability.

        Where folds are repeated, the probability is the mean over the repeats.
        """
        epoch = self.trial(number)["best_epoch"]
        if epoch is None:
            raise MMStudyError(f"Trial {number} of {self.name} is not complete.")
        at_best = self.predictions(number).filter(pl.col("epoch") == epoch)
        return at_best.group_by("case", "label").agg(pl.mean("probability")).sort("case")


def open_study(folder: Path) -> Study:
    """The study in `folder`.

    Raises:
        MMStudyError: none there, half-copied, or written by a later version.
    """
    paths = StudyPaths(folder)
    if not paths.study.is_file():
        raise MMStudyError(
            f"No study in {folder}: it has no study.json. `mmstudy ls` lists the studies of a root."
        )
    about = read_json(paths.study)
    found = about.get("schema_version")
    if found != SCHEMA_VERSION:
        raise MMStudyError(
            f"The study {folder.name} has version {found}, this program reads {SCHEMA_VERSION}."
        )
    lacking = [key for key in ("synthetic", "question", "spec", "split") if key not in about]
    if lacking:
        raise MMStudyError(f"The study.json of {folder.name} lacks {', '.join(lacking)}.")
    return Study(paths, about)


def list_studies(root: Path) -> list[Study]:
    """The readable studies under `root`, by name."""
    studies = []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if (folder / "study.json").is_file():
            try:
                studies.append(open_study(folder))
            except MMStudyError:
                continue  # opened by name, it says why
    return studies


def _table(folder: Path, schema: pa.Schema, number: int | None = None) -> pl.DataFrame:
    pattern = "[0-9]*.parquet" if number is None else f"{number:05d}.*parquet"
    return read_tables(sorted(folder.glob(pattern)), schema)


def _shown(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
