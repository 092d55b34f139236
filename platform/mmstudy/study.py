"""A study folder as tables: read-only, while it runs or after; no torch, no Ray, no Optuna."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmcaf.files.remote import address_of, origin
from mmcaf.stats.estimates import Estimate, corrected_interval
from mmstudy.errors import MMStudyError
from mmstudy.storage import mirror as copies
from mmstudy.storage.lock import holder
from mmstudy.storage.parquet import read_json, read_tables
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.schema import CONFIRMATIONS, EVALUATIONS, SCHEMA_VERSION, State
from mmstudy.storage.segments import read_table, rows_of

__all__ = ["Found", "Study", "found_studies", "list_studies", "open_study"]


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
        table = read_table(self.paths, "trials")
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

    def metrics(self, number: int | None = None) -> pl.DataFrame:
        """One row per trial, fold and epoch; of trial `number` only, if given."""
        if number is None:
            table = read_table(self.paths, "metrics")
        else:
            table = rows_of(self.paths, "metrics", number)
        return table.sort("number", "fold", "epoch")

    def predictions(self, number: int | None = None) -> pl.DataFrame:
        """One row per trial, fold, epoch and validation case; of trial `number` only, if given."""
        if number is None:
            return read_table(self.paths, "predictions").sort("number", "fold", "epoch", "case")
        return rows_of(self.paths, "predictions", number)

    def counts(self) -> dict[str, int]:
        """State -> number of trials; every state has an entry."""
        found = dict(read_table(self.paths, "trials")["state"].value_counts().iter_rows())
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

    def best(self) -> pl.DataFrame:
        """The best trial as a table of one row, or of none; `best_trial` says which it is."""
        found = self.best_trial()
        number = -1 if found is None else found["number"]
        return self.trials().filter(pl.col("number") == number)

    def best_trial(self) -> dict[str, Any] | None:
        """The complete trial with the highest confirmed value, or, where none was confirmed, with
        the highest objective; a pruned one is never best."""
        complete = self.trials().filter(pl.col("state") == State.COMPLETE)
        if not complete.height:
            return None
        confirmed = self.confirmed()
        if confirmed:
            number = max(confirmed, key=lambda one: (confirmed[one].mean, -one))
            return complete.row(by_predicate=pl.col("number") == number, named=True)
        return complete.row(0, named=True)

    def front(self) -> pl.DataFrame:
        """The complete trials that no other is better than in one objective of the study and as
        good in all; with one objective, the best."""
        names = self.about["spec"]["search"].get("objectives") or ["auroc"]
        columns = ["value" if name == "auroc" else name for name in names]
        complete = self.trials().filter(pl.col("state") == State.COMPLETE).drop_nulls(columns)
        signs = [1.0 if name == "auroc" else -1.0 for name in names]
        points = complete.select(columns).to_numpy() * np.array(signs)
        as_good = (points[:, None] >= points[None]).all(axis=2)
        better = (points[:, None] > points[None]).any(axis=2)
        return complete.filter(~pl.Series((as_good & better).any(axis=0), dtype=pl.Boolean))

    def hours(self) -> dict[str, float]:
        """Hours of computing, in all and by what became of the trials; GPU hours among them."""
        table = read_table(self.paths, "trials")
        spent = {
            state.value: float(table.filter(pl.col("state") == state)["seconds"].sum() or 0) / 3600
            for state in State
        }
        gpu = float(table["gpu_seconds"].sum() or 0) / 3600
        return {"all": sum(spent.values()), "gpu": gpu} | spent

    def confirmations(self) -> pl.DataFrame:
        """One row per fold of every confirming run."""
        files = sorted(self.paths.confirmations.glob("[0-9]*.parquet"))
        rows = read_tables(files, CONFIRMATIONS).sort("number", "run", "fold")
        # Two processes may have done one fold, to the same numbers, when a driver was killed.
        return rows.unique(["number", "run", "fold"], keep="first", maintain_order=True)

    def confirmed(self) -> dict[int, Estimate]:
        """Trial -> mean AUROC over new splits and seeds, with its interval; whole runs only."""
        rows = self.confirmations()
        whole = rows.filter(pl.len().over("number", "run") == self.folds)
        return {
            int(group["number"][0]): corrected_interval(
                group["auroc"].drop_nulls().to_list(),
                ratio=float((group["n_val"] / group["n_train"]).mean()),  # type: ignore[arg-type]
            )
            for group in whole.partition_by("number")
        }

    def evaluations(self) -> pl.DataFrame:
        """One row per look at the test set, in order."""
        files = [self.paths.evaluations] if self.paths.evaluations.exists() else []
        return read_tables(files, EVALUATIONS).sort("look")

    def importances(self) -> dict[str, Any] | None:
        """What the driver wrote when it last ended: `rows` as `mmstudy importance` prints them, or
        `fault`, and the number of `complete` trials; None where it wrote nothing.

        Raises:
            MMStudyError: the file is half-copied.
        """
        return read_json(self.paths.importance) if self.paths.importance.exists() else None

    def live(self) -> bool:
        """Whether a driver holds the study's lock; that of a killed one is free."""
        try:
            return holder(self.paths) is not None
        except OSError:  # a folder that is only read
            return False

    @property
    def oracle(self) -> bool:
        """Whether any trial looks where the annotated lesion is, which no scanner delivers."""
        spec = self.about["spec"]
        if spec.get("model", {}).get("name") == "lesion_box":  # reads nothing else
            return True
        options = spec.get("space", {}).get("data.location", {}).get("choice", ())
        return "oracle" in (spec.get("data", {}).get("location"), *options)

    def top(self) -> dict[str, Any] | None:
        """The complete trial with the highest value of the search, confirmed or not."""
        complete = self.trials().filter(pl.col("state") == State.COMPLETE)
        return complete.row(0, named=True) if complete.height else None

    def out_of_fold(self, number: int) -> pl.DataFrame:
        """Each validation case once, at the trial's best epoch: case, label, probability.

        Where folds are repeated, the probability is the mean over the repeats.
        """
        epoch = self.trial(number)["best_epoch"]
        if epoch is None:
            raise MMStudyError(f"Trial {number} of {self.name} is not complete.")
        at_best = self.predictions(number).filter(pl.col("epoch") == epoch)
        return at_best.group_by("case", "label").agg(pl.mean("probability")).sort("case")


@dataclass(frozen=True, slots=True)
class Found:
    """A folder that holds a study, or should: `fault` says why it cannot be opened."""

    folder: Path
    study: Study | None
    fault: str | None = None


def open_study(folder: Path) -> Study:
    """The study in `folder`, brought up to date first if that is a copy.

    Raises:
        MMStudyError: none there, half-copied, or written by a later version.
        DataError: it is in an object store, which cannot be reached.
    """
    paths = StudyPaths(folder)
    copies.pull(paths)
    if not paths.study.is_file():
        raise MMStudyError(
            f"No study in {address_of(folder)}: it has no study.json. "
            "`mmstudy ls` lists the studies of a root."
        )
    about = read_json(paths.study)
    found = about.get("schema_version")
    if not isinstance(found, int) or not 1 <= found <= SCHEMA_VERSION:
        raise MMStudyError(
            f"The study {folder.name} has version {found}, this program reads 1 to "
            f"{SCHEMA_VERSION}; use the version of the program that wrote it, or a later one."
        )
    lacking = [key for key in ("synthetic", "question", "spec", "split") if key not in about]
    if lacking:
        raise MMStudyError(f"The study.json of {folder.name} lacks {', '.join(lacking)}.")
    return Study(paths, about)


def found_studies(root: Path) -> list[Found]:
    """Every folder under `root` that looks like a study's, by name; also those half-copied."""
    copies.pull_studies(root)
    found = []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if not folder.is_dir():
            continue
        paths = StudyPaths(folder)
        # In a copy, a folder may be of a study that is deleted by now, or not brought here yet.
        marks = paths.study.is_file() or paths.trials.is_dir() or paths.journal.is_file()
        if origin(folder) is not None:
            copies.pull(paths)
            marks = paths.study.is_file()
        if not marks:
            continue
        try:
            found.append(Found(folder, open_study(folder)))
        except MMStudyError as error:
            found.append(Found(folder, None, str(error)))
    return found


def list_studies(root: Path) -> list[Study]:
    """The readable studies under `root`, by name."""
    return [one.study for one in found_studies(root) if one.study is not None]


def _shown(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
