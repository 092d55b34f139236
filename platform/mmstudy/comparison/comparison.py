"""The paper's published rows beside a study's best trial: figures, tests and sentences as data.

The published rows come from counts: the only integers that reproduce the printed figures. Rows that
were scored on other patients, or hold an impossible figure, are marked, not ranked and not tested.
Ours stands there on the validation patients of all folds and, where `mmstudy evaluate` looked at
them, on the test patients; each at 0.5 and at Youden's threshold, which is never chosen on the
cases it is reported on. What may be said of it is decided in `mmstudy.comparison.verdict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.splits import Split
from mmcaf.stats.estimates import Estimate
from mmcaf.stats.metrics import Proportion
from mmcaf.stats.thresholds import cross_fitted, youden
from mmcaf.training.baselines import READ_FROM_THE_LESION, out_of_fold_baselines
from mmstudy.analysis.optimism import corrected, judged_on
from mmstudy.analysis.selection import Selection, selection_of
from mmstudy.comparison.cautions import GAP, caution_of, notes
from mmstudy.comparison.published import published
from mmstudy.comparison.row import Kind, MethodRow, row_of
from mmstudy.comparison.verdict import Verdict, against_published, against_same_cases
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
        """One sentence on ours and all published rows."""
        shown = {
            word: [f"{v.against} (Table {v.table})" for v in self.against_paper if v.outcome == o]
            for o, word in (("better", "outperforms"), ("worse", "is outperformed by"))
        }
        parts = [f"{word} {', '.join(names)}" for word, names in shown.items() if names]
        tested = sum(v.outcome != "untested" for v in self.against_paper)
        if not parts:
            of = f"the {tested} published rows tested" if tested else "any published row"
            return f"No difference can be shown between {self.tested.method} and {of}."
        return f"{self.tested.method} {' and '.join(parts)}; {tested} published rows were tested."

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; without the cases."""
        expected = self.expected
        return {
            "study": self.study,
            "trial": self.trial,
            "synthetic": self.origin.synthetic,
            "oracle": self.origin.oracle,
            "summary": self.summary,
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
        found: case, label, fold, probability.
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
        expected: also resample the choice of the best trial, which takes seconds in a large study.

    Raises:
        MMStudyError: no trial is complete yet, or the cohort is another.
    """
    study = study.read()
    best = study.best_trial()
    if best is None:
        raise MMStudyError(f"{study.name} has no complete trial yet; nothing to compare.")
    number, split = int(best["number"]), study.about.split
    found = study.out_of_fold(number)
    method = study.origin.named(f"{study.name} trial {number}")
    validated = threshold_rows(found, split, method=method, origin=study.origin)
    tested = _test_rows(study, number, found, method)
    found_baselines, without = _baselines(study, cohort)
    simple = {
        name: threshold_rows(
            rows,
            split,
            method=name,
            origin=Origin(study.synthetic, oracle=name in READ_FROM_THE_LESION),
            kind="baseline",
            table="baseline",
        )
        for name, rows in found_baselines.items()
    }
    ours = (tested or validated)[0]
    baselines = [rows[0] for rows in simple.values()]
    selection = selection_of(study, cohort)
    resampled = corrected(study, [_plain(row) for row in baselines]) if expected else None
    pruned = [words] if resampled and (words := judged_on(study)) else []
    rows = [*tested, *validated, *(row for pair in simple.values() for row in pair), *published()]
    return Comparison(
        study=study.name,
        trial=number,
        origin=study.origin,
        sections=sections_of(rows),
        tested=ours,
        against_paper=against_published(
            ours, published(), caution=caution_of(study, selection, bool(tested))
        ),
        against_baselines=against_same_cases(
            validated[0],
            baselines,
            caution=selection.choice,
            # What was chosen in another study cannot be resampled here.
            ahead=resampled.ahead if resampled and not selection.inherits else (),
        ),
        selection=selection,
        expected=resampled.auroc if resampled else None,
        gap=GAP,
        notes=(*without, *notes(study, ours, selection, tested=bool(tested)), *pruned),
    )


def _plain(row: MethodRow) -> pl.DataFrame:
    if row.predictions is None:
        raise ValueError(f"{row.method} is known by its counts alone; it has no cases.")
    return row.predictions.select("case", "fold", "label", "probability")


def _test_rows(study: Study, number: int, found: pl.DataFrame, method: str) -> list[MethodRow]:
    """The latest look at the test set with trial `number`, at 0.5 and at the threshold that the
    validation cases give; none where nobody looked."""
    looks = study.evaluations().filter(pl.col("number") == number)
    if not looks.height:
        return []
    look = int(looks["look"][-1])
    cases = study.test_predictions(look)
    words = f"test, look {look}"
    fixed = row_of(cases, method=method, cases=words, origin=study.origin)
    chosen = youden(*_labels_and_scores(found))
    if chosen is None:
        return [fixed]
    calls = cases.sort("case")["probability"].to_numpy() >= chosen
    return [fixed, fixed.called(calls, threshold=f"validation-Youden {chosen:.2f}")]


def _labels_and_scores(found: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Both (cases,), by case."""
    by_case = per_case(found)
    return by_case["label"].to_numpy().astype(np.int64), by_case["probability"].to_numpy()


def _baselines(
    study: Study, cohort: str | Path | None
) -> tuple[dict[str, pl.DataFrame], tuple[str, ...]]:
    """Name -> out-of-fold predictions; without a cohort none, and a note that says why."""
    try:
        patients = study.cohort(cohort, volumes=False)
    except MMStudyError as error:
        if cohort is not None:
            raise
        return {}, (f"Baselines are missing: {error}",)
    return out_of_fold_baselines(patients.patients, study.about.split), ()
