"""A study folder as tables: read-only, while it runs or after; no torch, no Ray, no Optuna."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import polars as pl

from mmcaf.data.cohort import Cohort
from mmcaf.data.node_cache import load_cohort, load_patients, note_cohort
from mmcaf.errors import DataError
from mmcaf.files.look_notes import Look
from mmcaf.files.remote import place
from mmcaf.stats.estimates import Estimate, corrected_interval
from mmcaf.stats.luck import Luck, luck
from mmcaf.stats.priors import Share, World, corrected
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

__all__ = [
    "Found",
    "Snapshot",
    "Study",
    "best_first",
    "found_studies",
    "list_studies",
    "open_study",
    "per_case",
    "with_corrected",
]

T = TypeVar("T")
_MARKS = frozenset({"study.json", "trials", "optuna.journal"})  # of a study's folder

_ANSWER = ("case", "label", "probability")
_AVERAGED = "the network averages models that learnt at different shares of squamous patients"


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
        """One row per trial, best first (`best_first`), those without a value last; its params as
        columns `param:<dotted path>`, and `confirmed` where any trial was."""
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
        table = table.with_columns(columns).drop("params")
        if confirmed := self.confirmed():
            table = _with_confirmed(table, confirmed)
        others = table.filter(pl.col("state") != State.COMPLETE).sort(
            "value", "number", descending=[True, False], nulls_last=True
        )
        return pl.concat([best_first(table), others])

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
        the highest value of the search (`best_first`); a pruned one is never best."""
        complete = self.trials().filter(pl.col("state") == State.COMPLETE)
        return complete.row(0, named=True) if complete.height else None

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

    def confirmed_cases(self, number: int) -> pl.DataFrame:
        """The validation cases of every whole confirming run of trial `number`: run, fold, case,
        label, probability (raw). Runs of earlier versions kept none."""
        of = self.confirmations().filter(number=number)
        runs = of.group_by("run").len().filter(pl.col("len") == self.folds)["run"].sort()
        paths = {run: self.folder.confirmation_cases(number, run) for run in runs}
        parts = [
            read_tables([path], PREDICTIONS, limit=self.folder.root).with_columns(run=run)
            for run, path in paths.items()
            if path.exists()
        ]
        columns = ("run", "fold", *_ANSWER)
        if not parts:
            return pl.DataFrame(schema=dict.fromkeys(columns, pl.Int64))
        return pl.concat(parts).select(columns).sort("run", "fold", "case")

    def confirmed(self) -> dict[int, Estimate]:
        """Trial -> mean AUROC over new splits and seeds, with its interval; the best first.

        Only whole runs of complete trials count: the row of a trial may be lost.
        """
        rows = self.confirmations()
        if rows.is_empty():
            return {}
        complete = self._table("trials").filter(state=State.COMPLETE)
        rows = rows.filter(pl.col("number").is_in(complete["number"].to_list()))
        whole = rows.filter(pl.len().over("number", "run") == self.folds)
        found = {
            int(group["number"][0]): corrected_interval(
                group["auroc"].drop_nulls().to_list(),
                ratio=float((group["n_val"] / group["n_train"]).mean()),  # type: ignore[arg-type]
            )
            for group in whole.partition_by("number")
        }
        order = best_first(_with_confirmed(complete, found))["number"]
        return {number: found[number] for number in order if number in found}

    def evaluations(self) -> pl.DataFrame:
        """One row per look at the test set, in order."""
        return self._once("evaluations", self._evaluations)

    def _evaluations(self) -> pl.DataFrame:
        files = [self.folder.evaluations] if self.folder.evaluations.exists() else []
        return read_tables(files, EVALUATIONS, limit=self.folder.root).sort("look")

    def look(self, number: int, written: datetime) -> Look:
        """A look at the test patients with trial `number`, as it is noted beside the cohort."""
        cases = self.about.split.test
        return Look(study=self.name, trial=number, written=written.isoformat(), cases=cases)

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

    def highest(self, count: int) -> list[int]:
        """The complete trials with the highest values of the search, confirmed or not: whichever
        is the best of them is what `mmstudy confirm` finds out."""
        complete = self.trials().select("number", "state", "value")
        return best_first(complete)["number"].head(count).to_list()

    def out_of_fold(self, number: int) -> pl.DataFrame:
        """The validation cases at the trial's best epoch: case, label, fold, probability (raw).

        `fold` says which network scored the case: probabilities of different folds cannot be put in
        one order. Where folds are repeated, a case has a row for each repeat.
        """
        return self.at_best(number).select(*_ANSWER[:2], "fold", "probability").sort("case", "fold")

    def world(self, number: int) -> World:
        """What the raw probabilities of trial `number` are true of, fold by fold: at which share of
        squamous patients its networks learnt, and the share among those who trained.

        Raises:
            MMStudyError: there is no such trial.
        """
        # When asked for: pydantic takes longer than everything a reader of tables needs.
        from mmcaf.config.settings import WrongSettings
        from mmcaf.net.registry import network_of

        given = self._table("trials").filter(pl.col("number") == number)["params"]
        if given.is_empty():
            raise MMStudyError(f"{self.name} has no trial {number}.")
        try:
            config = self.about.config(params_of(given[0], number))
            learnt = network_of(config.model).learnt_at(config.model, config.train)
        except (MMStudyError, WrongSettings):
            return World((), "this version cannot read the settings they were trained with")
        if learnt == "unknown":
            return World((), _AVERAGED)
        counts = self.about.train_positive or self._train_positive(number)
        sizes = [len(fold.train) for fold in self.about.split.folds]
        if counts is None:
            return World((), "the study, of an earlier version, does not say who trained")
        if not all(0 < count < size for count, size in zip(counts, sizes, strict=True)):
            return World((), "a fold trained on patients of one class alone")
        pairs = zip(counts, sizes, strict=True)
        return World(tuple(Share.drawn(*pair, evenly=learnt == "even") for pair in pairs))

    def _train_positive(self, number: int) -> list[int] | None:
        """Squamous training cases of each fold, from the labels of those that validated; None where
        someone who trained never did."""
        label = dict(self.at_best(number).select("case", "label").unique().iter_rows())
        folds = self.about.split.folds
        if any(case not in label for fold in folds for case in fold.train):
            return None
        return [sum(label[case] for case in fold.train) for fold in folds]

    def luck(self, number: int) -> Luck | None:
        """Of the confirmed value of trial `number`; None where its runs do not tell: fewer than
        two, runs of an earlier version, which kept no probabilities, or a hold-out."""
        rows = self.confirmed_cases(number)
        if rows.is_empty():
            return None
        labels, scores, runs, folds, cases = (
            rows[name].to_numpy() for name in ("label", "probability", "run", "fold", "case")
        )
        return luck(labels, scores, runs=runs, folds=folds, cases=cases)

    def at_best(self, number: int) -> pl.DataFrame:
        """The predictions of trial `number` at its best epoch: one row per fold and case.

        Raises:
            MMStudyError: the trial is not complete, or its predictions are lost or damaged.
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
        if not found["fold"].is_between(0, self.folds - 1).all():
            raise MMStudyError(
                f"The predictions of trial {number} of {self.name} name a fold that the study does "
                f"not have; its folds are 0 to {self.folds - 1}. Copy them again from where they "
                "were made."
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
    """Each case once, by case: case, label, probability, the mean over its rows; and so of
    `corrected` where that column is there."""
    means = [name for name in ("probability", "corrected") if name in rows.columns]
    return rows.group_by("case", "label").agg(pl.mean(*means)).sort("case")


def with_corrected(rows: pl.DataFrame, share: Share | None) -> pl.DataFrame:
    """`rows` of one network, or of one ensemble, with the column `corrected`: the probability at
    `share`, null where that is not known."""
    if share is None:
        return rows.with_columns(corrected=pl.lit(None, dtype=pl.Float64))
    values = corrected(rows["probability"].to_numpy(), share)
    return rows.with_columns(corrected=pl.Series(values))


def best_first(trials: pl.DataFrame) -> pl.DataFrame:
    """The complete ones of `trials`, the best first: the one order all pages and commands have.

    First come those that were confirmed, by their confirmed value, where there is such a column;
    then the others by the value of the search, which is that of the luckiest of many. The earlier
    of two equals comes first.
    """
    by = [*(["confirmed"] if "confirmed" in trials.columns else []), "value"]
    return trials.filter(pl.col("state") == State.COMPLETE).sort(
        *by, "number", descending=[True] * len(by) + [False], nulls_last=True
    )


def _with_confirmed(trials: pl.DataFrame, found: dict[int, Estimate]) -> pl.DataFrame:
    means = {number: one.mean for number, one in found.items()}
    mean = pl.col("number").replace_strict(means, default=None, return_dtype=pl.Float64)
    return trials.with_columns(confirmed=mean.fill_nan(None))


def _shown(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
