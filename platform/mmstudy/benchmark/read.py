"""Every network of the paper's tables on one cohort, beside what was published of it: read-only.

A row is an ordinary study, `bench-<row>`, of a space in `search_spaces/models/`. All have the same
cohort, folds, windows, earlier stages and number of trials. Ours is scored out of fold by a
choice that is cross-fitted: the (trial, epoch) a case is judged by was the best on the other folds,
so no row is the best of many on the patients it is shown for. Rows stand on the same cases, so they
are tested pairwise; published rows are of other patients and are not tested. No torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.errors import DataError
from mmcaf.stats.estimates import Estimate
from mmstudy.analysis.optimism import corrected_best, cross_fitted_choice
from mmstudy.benchmark.rows import (
    REFERENCE,
    ROWS,
    STATE_FILE,
    BenchmarkState,
    PaperRow,
    RowState,
    study_name,
)
from mmstudy.comparison.published import published
from mmstudy.comparison.row import MethodRow, limited_to, row_of
from mmstudy.comparison.verdict import Verdict, against_same_cases
from mmstudy.errors import MMStudyError
from mmstudy.storage.origin import Origin
from mmstudy.storage.parquet import read_json
from mmstudy.study import Study, open_study

__all__ = ["Benchmark", "BenchmarkRow", "read_benchmark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRow:
    """One network on this cohort; whatever is not known yet is None."""

    entry: PaperRow
    origin: Origin | None  # of its study
    state: str  # complete, or what is missing
    published: MethodRow | None
    ours: MethodRow | None
    expected: Estimate | None  # of what such a search picks, on other patients (BBC-CV)
    confirmed: Estimate | None  # of the best trial, over new splits and seeds
    seeds: int
    trials: int
    parameters: int | None
    seconds: float | None  # training of all trials and confirming runs, earlier stages apart
    gpu_hours: float | None
    wall_seconds: float | None  # of the command, starting of processes included


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """All there is to show."""

    origin: Origin  # the lesion box's own row apart, which is told by its nature
    folds: int
    asked_trials: int
    asked_seeds: int
    rows: tuple[BenchmarkRow, ...]
    verdicts: Mapping[str, Verdict]  # key of a row -> MMCAF-Net against it
    shared_seconds: float | None  # of the stages that the rows share
    notes: tuple[str, ...]

    def origin_of(self, row: BenchmarkRow) -> Origin:
        """Whose data our figures of a row are of; as the others', where it was not run yet."""
        return row.origin or self.origin

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; without the cases."""
        return {
            "synthetic": self.origin.synthetic,
            "oracle": self.origin.oracle,
            "folds": self.folds,
            "trials": self.asked_trials,
            "seeds": self.asked_seeds,
            "shared_seconds": self.shared_seconds,
            "rows": [
                {"origin": self.origin_of(row).column}
                | _row_dict(row, self.verdicts.get(row.entry.key))
                for row in self.rows
            ],
            "notes": list(self.notes),
        }


def read_benchmark(root: str | Path) -> Benchmark | None:
    """The benchmark in the folder `root`, finished or not; None where none was begun.

    Raises:
        MMStudyError: its state is damaged; names the field. A study that is says so in its row.
    """
    root = Path(root)
    file = root / STATE_FILE
    if not file.exists() and not file.is_symlink():
        return None
    state = read_json(file, BenchmarkState, limit=root)
    rows = tuple(_row(root, ROWS[key], state) for key in state.rows if key in ROWS)
    studies = [_study(root, row.entry.key) for row in rows]
    known = [study for study in studies if study is not None]
    floors = {study_name(row.entry.key) for row in rows if row.entry.table == "floor"}
    return Benchmark(
        origin=Origin(
            synthetic=any(study.synthetic for study in known),
            oracle=any(study.oracle for study in known if study.name not in floors),
        ),
        folds=known[0].folds if known else 0,
        asked_trials=state.trials,
        asked_seeds=state.seeds,
        rows=rows,
        verdicts=_verdicts(rows),
        shared_seconds=state.shared_seconds,
        notes=_notes(rows, state.seeds),
    )


def _row(root: Path, entry: PaperRow, state: BenchmarkState) -> BenchmarkRow:
    """One row; of a study that cannot be read, why."""
    of, folder = state.rows[entry.key], root / study_name(entry.key)
    if not os.path.lexists(folder / "study.json"):
        return _empty_row(entry, of, of.fault or "not run yet")
    try:
        return _read_row(open_study(folder).read(), entry, state)
    except (MMStudyError, DataError, OSError, ValueError) as error:
        return _empty_row(entry, of, f"cannot be read: {error}")


def _empty_row(
    entry: PaperRow, of: RowState, state: str, origin: Origin | None = None
) -> BenchmarkRow:
    return BenchmarkRow(
        entry=entry,
        origin=origin,
        state=state,
        published=_published().get((entry.table, entry.published or "")),
        ours=None,
        expected=None,
        confirmed=None,
        seeds=0,
        trials=0,
        parameters=None,
        seconds=None,
        gpu_hours=None,
        wall_seconds=of.wall_seconds,
    )


def _read_row(study: Study, entry: PaperRow, state: BenchmarkState) -> BenchmarkRow:
    of, best = state.rows[entry.key], study.best_trial()
    if best is None:
        return _empty_row(entry, of, of.fault or "not run yet", study.origin)
    complete = study.counts()["complete"]
    runs = study.confirmations()
    seeds = runs.filter(runs["number"] == best["number"])["run"].n_unique()
    whole = complete >= min(study.asked, state.trials) and seeds >= state.seeds
    of_trials = study.trials().select(pl.sum("seconds", "prepare_seconds").fill_null(0)).row(0)
    return BenchmarkRow(
        entry=entry,
        origin=study.origin,
        state=of.fault or ("complete" if whole else "running or interrupted"),
        published=_published().get((entry.table, entry.published or "")),
        ours=_ours(study, entry),
        expected=_known(corrected_best(study)),
        confirmed=_known(study.confirmed().get(int(best["number"]))),
        seeds=seeds,
        trials=complete,
        parameters=best["parameters"],
        seconds=of_trials[0] - of_trials[1] + float(runs["seconds"].sum()),
        gpu_hours=study.hours()["gpu"],
        wall_seconds=of.wall_seconds,
    )


def _ours(study: Study, entry: PaperRow) -> MethodRow | None:
    found = cross_fitted_choice(study)
    if found is None:
        return None
    words = "validation, choice cross-fitted"
    row = row_of(found.rows, method=entry.title, cases=words, origin=study.origin)
    return replace(row, among=found.among)


def _study(root: Path, key: str) -> Study | None:
    try:
        return open_study(root / study_name(key))
    except (MMStudyError, DataError, OSError):
        return None


def _known(found: Estimate | None) -> Estimate | None:
    return found if found is not None and found.mean == found.mean else None


@cache
def _published() -> dict[tuple[str, str], MethodRow]:
    return {(row.table, row.method): row for row in published()}


def _verdicts(rows: tuple[BenchmarkRow, ...]) -> dict[str, Verdict]:
    """The reference against every other row on the cases they share, one family for Holm.

    Rows share all cases, but for those of the first fold, which judge no study that prunes. A row
    on folds of its own is not tested.
    """
    scored = {row.entry.key: row.ours for row in rows if row.ours is not None}
    if REFERENCE not in scored:
        return {}
    tables = [row.predictions for row in scored.values() if row.predictions is not None]
    shared = min(tables, key=lambda table: table.height)["case"]
    limited = {key: limited_to(row, shared) for key, row in scored.items()}
    reference = limited.pop(REFERENCE)
    same = {key: row for key, row in limited.items() if _cases(row).equals(_cases(reference))}
    found = against_same_cases(reference, list(same.values()))
    return dict(zip(same, found, strict=True))


def _cases(row: MethodRow) -> pl.DataFrame:
    if row.predictions is None:
        raise ValueError(f"{row.method} has no cases.")
    return row.predictions.select("case", "fold", "label")


def _notes(rows: tuple[BenchmarkRow, ...], seeds: int) -> tuple[str, ...]:
    flags = {row.published for row in rows if row.published is not None and row.published.flag}
    return (
        "Ours: every patient outside the test set once, in the fold that validated them, by the "
        "trial and epoch that were best on the other folds (cross-fitted choice), at a threshold "
        "of 0.5; AUROC is the mean over folds. The test set was not looked at.",
        "expected: what the best of such a search is worth on other patients (BBC-CV). confirmed: "
        f"mean AUROC of the best trial over {seeds} new splits and seeds, nothing chosen again, "
        "with Nadeau and Bengio's interval; its settings had been chosen on the same patients.",
        "Intervals are 95 %: logit-DeLong for ours, logit-Hanley-McNeil for published AUROCs, "
        "Wilson for proportions. Tests are of MMCAF-Net against each other row on the same cases: "
        "AUROC within folds, the choice made anew in every draw; exact McNemar; one Holm family. "
        "Where trials were pruned, patients of the first fold are left out of tests.",
        "An interval of a difference is of that comparison alone; what lies outside is excluded, "
        "one-sided at 2.5 %. P(MMCAF-Net higher): how probable that is from these patients alone. "
        "Could show: the smallest true difference in favour of MMCAF-Net that the corrected test "
        "finds with 80 % power.",
        "Published rows are of other patients (n beside each) and are tested against nothing here; "
        "their thresholds may have been chosen on the test set.",
        "Costs: training of a row's trials and confirming runs; stages that rows share are counted "
        "once, apart. The row that comes first to a shared stage waits for it: in its wall time, "
        "and in its GPU hours where it holds one meanwhile.",
        *(f"{row.method}, published: {row.flag}" for row in sorted(flags, key=lambda r: r.method)),
    )


def _row_dict(row: BenchmarkRow, verdict: Verdict | None) -> dict[str, Any]:
    def estimate(found: Estimate | None) -> dict[str, float | int | None] | None:
        if found is None:
            return None
        bounds = [None if bound != bound else bound for bound in (found.low, found.high)]
        return {"mean": found.mean, "low": bounds[0], "high": bounds[1], "n": found.n}

    return {
        "row": row.entry.key,
        "title": row.entry.title,
        "table": row.entry.table,
        "state": row.state,
        "published": row.published.as_dict() if row.published else None,
        "ours": row.ours.as_dict() if row.ours else None,
        "expected": estimate(row.expected),
        "confirmed": estimate(row.confirmed),
        "against_mmcaf_net": verdict.as_dict() if verdict else None,
        "trials": row.trials,
        "seeds": row.seeds,
        "parameters": row.parameters,
        "seconds": row.seconds,
        "gpu_hours": row.gpu_hours,
        "wall_seconds": row.wall_seconds,
    }
