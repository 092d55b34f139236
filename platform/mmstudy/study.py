"""A study folder as tables: read-only, while it runs or after; no torch, no Ray, no Optuna."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import polars as pl

from mmcaf.data.cohort import Cohort
from mmcaf.data.node_cache import load_cohort, load_patients, note_cohort
from mmcaf.errors import DataError
from mmcaf.files.remote import place
from mmcaf.stats.estimates import Estimate, corrected_interval
from mmstudy.errors import MMStudyError
from mmstudy.storage.about import About, cohort_place, read_about
from mmstudy.storage.folder import StudyFolder, refresh_root
from mmstudy.storage.lock import holder
from mmstudy.storage.origin import Origin
from mmstudy.storage.parquet import params_of, read_tables
from mmstudy.storage.schema import (
    CONFIRMATIONS,
    EVALUATIONS,
    LEAST_TRIALS,
    PREDICTIONS,
    Importances,
    Probe,
    State,
    too_few,
)
from mmstudy.storage.segments import Table

__all__ = ["Found", "Snapshot", "Study", "found_studies", "list_studies", "open_study", "per_case"]

T = TypeVar("T")
_MARKS = frozenset({"study.json", "trials", "optuna.journal"})  # of a study's folder

_ANSWER = ("case", "label", "probability")


@dataclass(frozen=True, slots=True)
class Study:
    """One study, read anew at every call: a running one grows.

        study = open_study("demo/studies/demo")
        study.trials()           # one row per trial, best first
        study.metrics(3)         # one row per fold and epoch of trial 3
        study.best()             # the best trial, a table of one row
        study.read().trials()    # as it is now: each file is read once

    Tables are Polars frames; `.to_pandas()` gives the same for pandas.
    """

    folder: StudyFolder
    about: About

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def synthetic(self) -> bool:
        """Whether any of its patients is synthetic."""
        return self.about.synthetic

    @property
    def origin(self) -> Origin:
        """Whose data its numbers are of, and whether its windows were placed by annotations."""
        return Origin(self.synthetic, self.oracle)

    @property
    def question(self) -> str:
        """What the study asks, in words."""
        return self.about.question

    @property
    def asked(self) -> int:
        """Number of trials asked for."""
        return self.about.asked

    @property
    def folds(self) -> int:
        """Number of folds of every trial."""
        return len(self.about.split.folds)

    def trials(self) -> pl.DataFrame:
        """One row per trial, best first; its params as columns `param:<dotted path>`."""
        return self._once("trials, shown", self._trials)

    def _trials(self) -> pl.DataFrame:
        table = self._table("trials")
        params = [
            params_of(text, number) for number, text in table.select("number", "params").iter_rows()
        ]
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
        return self._rows("metrics", number).sort("number", "fold", "epoch")

    def predictions(self, number: int | None = None) -> pl.DataFrame:
        """One row per trial, fold, epoch and validation case; of trial `number` only, if given."""
        found = self._rows("predictions", number)
        return found if number is not None else found.sort("number", "fold", "epoch", "case")

    def counts(self) -> dict[str, int]:
        """State -> number of trials; every state has an entry."""
        found = dict(self._table("trials")["state"].value_counts().iter_rows())
        return {state.value: found.get(state.value, 0) for state in State}

    def trial(self, number: int) -> dict[str, Any]:
        """The row of trial `number`.

        Raises:
            MMStudyError: there is no such trial; says which numbers there are.
        """
        rows = self.trials().filter(pl.col("number") == number).to_dicts()
        if not rows:
            known = self.trials().height
            raise MMStudyError(
                f"{self.name} has no trial {number}; it has {known} trials: see `mmstudy trials`."
            )
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
        names = self.about.objectives
        columns = ["value" if name == "auroc" else name for name in names]
        complete = self.trials().filter(pl.col("state") == State.COMPLETE).drop_nulls(columns)
        signs = [1.0 if name == "auroc" else -1.0 for name in names]
        points = complete.select(columns).to_numpy() * np.array(signs)
        as_good = (points[:, None] >= points[None]).all(axis=2)
        better = (points[:, None] > points[None]).any(axis=2)
        return complete.filter(~pl.Series((as_good & better).any(axis=0), dtype=pl.Boolean))

    def hours(self) -> dict[str, float]:
        """Hours of computing, in all and by what became of the trials; GPU hours among them."""
        table = self._table("trials")
        spent = {
            state.value: float(table.filter(pl.col("state") == state)["seconds"].sum() or 0) / 3600
            for state in State
        }
        gpu = float(table["gpu_seconds"].sum() or 0) / 3600
        return {"all": sum(spent.values()), "gpu": gpu} | spent

    def confirmations(self) -> pl.DataFrame:
        """One row per fold of every confirming run."""
        return self._once("confirmations", self._confirmations)

    def _confirmations(self) -> pl.DataFrame:
        files = self.folder.files(self.folder.confirmations, "[0-9]*.parquet")
        rows = read_tables(files, CONFIRMATIONS, limit=self.folder.root).sort(
            "number", "run", "fold"
        )
        # Two processes may have done one fold, to the same numbers, when a driver was killed.
        return rows.unique(["number", "run", "fold"], keep="first", maintain_order=True)

    def confirmed(self) -> dict[int, Estimate]:
        """Trial -> mean AUROC over new splits and seeds, with its interval.

        Only whole runs of complete trials count: the row of a trial may be lost.
        """
        complete = self._table("trials").filter(state=State.COMPLETE)["number"]
        rows = self.confirmations().filter(pl.col("number").is_in(complete.to_list()))
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
        return self._once("evaluations", self._evaluations)

    def _evaluations(self) -> pl.DataFrame:
        files = [self.folder.evaluations] if self.folder.evaluations.exists() else []
        return read_tables(files, EVALUATIONS, limit=self.folder.root).sort("look")

    def test_predictions(self, look: int) -> pl.DataFrame:
        """One row per test case of one look at the test set: case, label, probability."""
        files = [self.folder.test_predictions(look)]
        return read_tables(files, PREDICTIONS, limit=self.folder.root).select(*_ANSWER)

    def importances(self) -> dict[str, Any] | None:
        """What the driver wrote when it last ended: `rows` as `mmstudy importance` prints them, or
        `fault`, and the number of `complete` trials; None where it wrote nothing.

        Raises:
            MMStudyError: the file is damaged; names the field.
        """
        file = self.folder.importance
        if not file.exists() and not file.is_symlink():
            return None
        found: dict[str, Any] = msgspec.to_builtins(self.folder.json(file, Importances))
        if found["complete"] < LEAST_TRIALS and "rows" in found:  # an earlier version weighed four
            return {"complete": found["complete"], "fault": too_few(found["complete"])}
        return found

    def probe(self) -> Probe | None:
        """What `mmstudy probe` has measured for this study; None where it has not.

        Raises:
            MMStudyError: the file is damaged; names the field.
        """
        file = self.folder.probe
        there = file.exists() or file.is_symlink()
        return self.folder.json(file, Probe) if there else None

    def live(self) -> bool:
        """Whether a driver holds the study's lock; that of a killed one is free."""
        try:
            return holder(self.folder) is not None
        except (OSError, DataError):  # a folder that is only read, a damaged lease
            return False

    @property
    def oracle(self) -> bool:
        """Whether any trial looks where the annotated lesion is, which no scanner delivers."""
        return self.about.oracle

    def top(self) -> dict[str, Any] | None:
        """The complete trial with the highest value of the search, confirmed or not."""
        complete = self.trials().filter(pl.col("state") == State.COMPLETE)
        return complete.row(0, named=True) if complete.height else None

    def out_of_fold(self, number: int) -> pl.DataFrame:
        """The validation cases at the trial's best epoch: case, label, fold, probability.

        `fold` says which network scored the case: probabilities of different folds cannot be put in
        one order. Where folds are repeated, a case has a row for each repeat.
        """
        return self.at_best(number).select(*_ANSWER[:2], "fold", "probability").sort("case", "fold")

    def at_best(self, number: int) -> pl.DataFrame:
        """The predictions of trial `number` at its best epoch: one row per fold and case.

        Raises:
            MMStudyError: the trial is not complete, or its predictions are lost.
        """
        epoch = self.trial(number)["best_epoch"]
        if epoch is None:
            raise MMStudyError(f"Trial {number} of {self.name} is not complete.")
        found = self.predictions(number).filter(pl.col("epoch") == epoch)
        if found.is_empty():
            raise MMStudyError(
                f"Trial {number} of {self.name} has no predictions in {self.folder.predictions}. "
                f"Copy them there again, or have `mmstudy run` compute the trial anew."
            )
        return found

    def cohort(self, given: Path | str | None = None, *, volumes: bool = True) -> Cohort:
        """The cohort the study was begun on: `given`, or where it lay then; fetched if needed.

        Without `volumes` only its rows can be used; of one in a store nothing else is fetched.

        Raises:
            MMStudyError: the study does not say where, it cannot be read there, or it is another.
            DataError: the one given cannot be read.
        """
        load = load_cohort if volumes else load_patients
        if given is not None:
            found = load(place(str(given), "cohort"))
        else:
            lay = cohort_place(self.about, self.folder)
            try:
                found = load(lay)
            except DataError as error:
                raise MMStudyError(
                    f"The cohort of {self.name} cannot be read from here; give it with --cohort, "
                    f"or copy it to where it lay beside the study. {error}"
                ) from error
        self.about.check_cohort(found)
        if given is not None:
            note_cohort(found)
        return found

    def refresh(self) -> None:
        """Bring the local copy of a study in a store up to date, now; it is done by itself when
        that was last done some seconds ago."""
        self.folder.refresh(at_once=True)

    def read(self) -> Snapshot:
        """The study as it is now: every table is read once, when it is first asked for."""
        return Snapshot(self.folder, self.about)

    def _table(self, name: Table) -> pl.DataFrame:
        return self._once(name, lambda: self.folder.read_table(name))

    def _rows(self, table: Table, number: int | None) -> pl.DataFrame:
        if number is None:
            return self._table(table)
        return self._once((table, number), lambda: self.folder.rows_of(table, number))

    def _once(self, key: object, read: Callable[[], T]) -> T:
        """What `read` gives; a snapshot keeps it under `key`."""
        self.folder.refresh()
        return read()


@dataclass(frozen=True, slots=True)
class Snapshot(Study):
    """A study at one moment: for whoever asks several questions of the same tables."""

    _kept: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def read(self) -> Snapshot:
        """Itself."""
        return self

    def refresh(self) -> None:
        """Forget what was read, and bring the local copy of a study in a store up to date."""
        self._kept.clear()
        self.folder.refresh(at_once=True)

    def _once(self, key: object, read: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = read()
        kept: T = self._kept[key]
        return kept


@dataclass(frozen=True, slots=True)
class Found:
    """A folder that holds a study, or should: `fault` says why it cannot be opened."""

    folder: Path
    study: Study | None
    fault: str | None = None


def open_study(folder: Path | str) -> Study:
    """The study in `folder` or at an address, brought up to date first if it lies in a store.

    Raises:
        MMStudyError: none there, half-copied, or written by a later version.
        DataError: its store cannot be reached.
    """
    found = StudyFolder.at(str(folder))
    found.refresh()
    return Study(found, read_about(found))


def found_studies(root: Path) -> Iterator[Found]:
    """Every folder under `root` that looks like a study's, by name; also those half-copied."""
    refresh_root(root)
    if not root.is_dir():
        return
    stored = StudyFolder(root).stored
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    for name in names:
        if (one := _found(root / name, stored=stored)) is not None:
            yield one


def _found(folder: Path, *, stored: bool) -> Found | None:
    """The study in a folder, or its fault; None where the folder is of no study."""
    paths = StudyFolder(folder)
    try:
        if stored:
            paths.refresh()
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
        # In a copy, a folder may be of a study that is deleted by now, or not brought here yet.
        if not names & ({paths.study.name} if stored else _MARKS):
            return None
        return Found(folder, Study(paths, read_about(paths)))
    except (MMStudyError, DataError) as error:
        return Found(folder, None, str(error))
    except OSError as error:
        return Found(folder, None, f"Cannot read {error.filename or folder}: {error.strerror}.")


def list_studies(root: Path | str) -> list[Study]:
    """The readable studies under `root`, a folder or an address, by name."""
    found = found_studies(place(str(root)))
    return [one.study for one in found if one.study is not None]


def per_case(rows: pl.DataFrame) -> pl.DataFrame:
    """Each case once, by case: case, label, probability, the mean over its rows."""
    return rows.group_by("case", "label").agg(pl.mean("probability")).sort("case")


def _shown(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
