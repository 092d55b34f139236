"""The paper's published rows beside a study's best trial: figures, tests and sentences as data.

The published rows come from counts: the only integers that reproduce the printed figures. Rows that
were scored on other patients, or hold an impossible figure, are marked, not ranked and not tested.
Ours stands there on the validation patients of all folds and, where `mmstudy evaluate` looked at
them, on the test patients; each at 0.5 and at Youden's threshold, which is never chosen on the
cases it is reported on. What may be said of it is decided in `mmstudy.comparison.verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.splits import Split
from mmcaf.stats.estimates import Estimate
from mmcaf.stats.metrics import Proportion
from mmcaf.stats.thresholds import cross_fitted
from mmcaf.training.baselines import READ_FROM_THE_LESION, out_of_fold_baselines
from mmstudy.analysis.optimism import corrected_best, cross_fitted_choice, judged_on
from mmstudy.analysis.probabilities import out_of_fold
from mmstudy.analysis.selection import Selection, selection_of
from mmstudy.comparison.cautions import GAP, caution_of, cross_fitted_because, notes
from mmstudy.comparison.judged import judged_look
from mmstudy.comparison.published import published
from mmstudy.comparison.row import Kind, MethodRow, limited_to, row_of
from mmstudy.comparison.verdict import (
    Verdict,
    against_published,
    against_same_cases,
    summary_of,
)
from mmstudy.errors import MMStudyError
from mmstudy.storage.origin import Origin
from mmstudy.study import Study, per_case

__all__ = ["Comparison", "Section", "compare", "sections_of", "threshold_rows"]

_TITLES = {
    "ours": "This study",
    "baseline": "Baselines, fitted and scored on the study's own folds",
    "1": "Published, Table 1: networks",
    "2": "Published, Table 2: image encoders",
    "3": "Published, Table 3: fusion",
    "readme": "Published, README of the authors: table encoders",
}


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under one heading."""

    table: str
    title: str
    rows: tuple[MethodRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All there is to show; nothing of it is text to be parsed."""

    study: str
    trial: int
    origin: Origin  # of the study's own rows
    sections: tuple[Section, ...]
    tested: MethodRow  # the row of ours that the verdicts are about
    against_paper: tuple[Verdict, ...]  # one per published row
    against_baselines: tuple[Verdict, ...]  # validation cases, the same for both
    selection: Selection  # how the trial came to be the best
    expected: Estimate | None  # of what such a search picks, on other patients (BBC-CV)
    gap: Proportion  # of two accuracies on the paper's test set, below which nothing can show
    notes: tuple[str, ...]

    @property
    def rows(self) -> tuple[MethodRow, ...]:
        """All rows in order, ours first."""
        return tuple(row for section in self.sections for row in section.rows)

    @property
    def summary(self) -> str:
        """On ours and all published rows; names each row that shows a difference."""
        return summary_of(self.tested.method, self.against_paper, "published row")

    @property
    def summary_of_baselines(self) -> str:
        """The same on the baselines; empty where there are none."""
        if not self.against_baselines:
            return ""
        return summary_of(self.against_baselines[0].ours, self.against_baselines, "baseline")

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; without the cases."""
        expected = self.expected
        return {
            "study": self.study,
            "trial": self.trial,
            "synthetic": self.origin.synthetic,
            "oracle": self.origin.oracle,
            "summary": self.summary,
            "summary_of_baselines": self.summary_of_baselines,
            "trials": self.selection.trials,
            "best_value": self.selection.value,
            "chosen": self.selection.sentence,
            "expected": None
            if expected is None or expected.mean != expected.mean
            else {"mean": expected.mean, "low": expected.low, "high": expected.high},
            "test_looks": self.selection.looks.count,
            "smallest_gap": {"hits": self.gap.hits, "total": self.gap.total},
            "sections": [
                {"title": section.title, "rows": [row.as_dict() for row in section.rows]}
                for section in self.sections
            ],
            "against_paper": [verdict.as_dict() for verdict in self.against_paper],
            "against_baselines": [verdict.as_dict() for verdict in self.against_baselines],
            "notes": list(self.notes),
        }


def sections_of(rows: Sequence[MethodRow]) -> tuple[Section, ...]:
    """The rows under their headings, in the order the tables first occur."""
    tables = dict.fromkeys(row.table for row in rows)
    return tuple(
        Section(table, _TITLES.get(table, table), tuple(row for row in rows if row.table == table))
        for table in tables
    )


def threshold_rows(
    found: pl.DataFrame,
    split: Split,
    *,
    method: str,
    origin: Origin,
    kind: Kind = "ours",
    table: str = "ours",
    cases: str = "validation, out of fold",
) -> tuple[MethodRow, ...]:
    """Out-of-fold predictions as a row at 0.5 and one at Youden's threshold, cross-fitted.

    The second is left out where it is undefined: with one fold there are no other folds to choose
    it on.

    Args:
        found: case, label, fold, probability, and corrected where that is known.
        split: the folds it is out of.
        method: its name.
        origin: whether they are synthetic, and whether the method was told where the lesion is.
        kind: whose row it is.
        table: under which heading it stands.
        cases: which patients these are, in words.
    """
    fixed = row_of(found, method=method, cases=cases, origin=origin, kind=kind, table=table)
    part_of: dict[str, int] = {}
    for number, fold in enumerate(split.folds):  # of repeated folds the first deal is the partition
        for case in fold.val:
            part_of.setdefault(case, number)
    parts = [part_of.get(case, -1) for case in fixed.per_case["case"]]
    chosen = cross_fitted(*_labels_and_scores(found), parts)
    if chosen is None:
        return (fixed,)
    low, high = min(chosen.thresholds), max(chosen.thresholds)
    name = f"Youden of the other folds, {low:.2f} to {high:.2f}"
    return (fixed, fixed.called(chosen.calls, threshold=name))


def compare(study: Study, cohort: str | Path | None = None, *, expected: bool = True) -> Comparison:
    """The study's best trial beside the baselines of its own folds and every published row.

    Args:
        study: a study with a complete trial.
        cohort: its cohort, if that was moved; without a cohort there are no baselines.
        expected: also what depends on every trial's predictions, which takes seconds in a large
            study: the choice of the best one resampled, and the verdicts on the baselines.

    Raises:
        MMStudyError: no trial is complete yet, or the cohort is another.
    """
    study = study.read()
    best = study.best_trial()
    if best is None:
        raise MMStudyError(f"{study.name} has no complete trial yet; nothing to compare.")
    number, split = int(best["number"]), study.about.split
    found, world = out_of_fold(study, number)
    method = study.origin.named(f"{study.name} trial {number}")
    validated = threshold_rows(found, split, method=method, origin=study.origin)
    tested = _test_rows(study, number)
    simple, without = _baselines(study, cohort)
    ours = (tested or validated)[0]
    baselines = [rows[0] for rows in simple]
    selection = selection_of(study, cohort)
    pruned = [words] if expected and (words := judged_on(study)) else []
    rows = [*tested, *validated, *(row for rows in simple for row in rows), *published()]
    return Comparison(
        study=study.name,
        trial=number,
        origin=study.origin,
        sections=sections_of(rows),
        tested=ours,
        against_paper=against_published(
            ours, published(), caution=caution_of(study, selection, bool(tested))
        ),
        against_baselines=_against_baselines(study, validated[0], baselines, selection)
        if expected
        else (),
        selection=selection,
        expected=corrected_best(study) if expected else None,
        gap=GAP,
        notes=(
            *without,
            world.sentence,
            *notes(study, ours, selection, tested=bool(tested)),
            *pruned,
        ),
    )


def _against_baselines(
    study: Study, ours: MethodRow, baselines: Sequence[MethodRow], selection: Selection
) -> tuple[Verdict, ...]:
    """Ours as it is where nothing was chosen on these cases, else by the cross-fitted choice."""
    chosen = selection.choice
    if not chosen or not baselines:
        return against_same_cases(ours, baselines)
    # What was chosen on these patients in another study cannot be chosen anew here.
    found = None if selection.inherits else cross_fitted_choice(study)
    if found is None:
        return against_same_cases(ours, baselines, caution=chosen)
    pick = row_of(
        found.rows,
        method=study.origin.named(f"what the search of {study.name} picks"),
        cases="validation, choice cross-fitted",
        origin=study.origin,
    )
    pick = replace(pick, among=found.among)
    baselines = [limited_to(row, found.rows["case"]) for row in baselines]
    return against_same_cases(pick, baselines, remark=cross_fitted_because(study))


def _test_rows(study: Study, number: int) -> list[MethodRow]:
    """The latest look at the test set with trial `number`, at 0.5 and at the threshold that the
    validation cases give its ensemble; none where nobody looked."""
    looks = study.evaluations().filter(pl.col("number") == number)
    return [*judged_look(study, number, int(looks["look"][-1])).rows] if looks.height else []


def _labels_and_scores(found: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Both (cases,), by case."""
    by_case = per_case(found)
    return by_case["label"].to_numpy().astype(np.int64), by_case["probability"].to_numpy()


def _baselines(
    study: Study, cohort: str | Path | None
) -> tuple[list[tuple[MethodRow, ...]], tuple[str, ...]]:
    """Rows of each baseline; without a cohort none, and a note that says why."""
    try:
        patients = study.cohort(cohort, volumes=False)
    except MMStudyError as error:
        if cohort is not None:
            raise
        return [], (f"Baselines are missing: {error}",)
    split = study.about.split
    found = [
        threshold_rows(
            rows,
            split,
            method=name,
            origin=Origin(study.synthetic, oracle=name in READ_FROM_THE_LESION),
            kind="baseline",
            table="baseline",
        )
        for name, rows in out_of_fold_baselines(patients.patients, split).items()
    ]
    return found, ()
