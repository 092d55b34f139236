"""What a report is made of, read once: study, cohort where it is at hand, best trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.data.cohort import Cohort
from mmstudy.analysis.flow import Ingested, ingested
from mmstudy.comparison.comparison import Comparison, compare
from mmstudy.comparison.diagnosis import Diagnosis, diagnosis
from mmstudy.errors import MMStudyError
from mmstudy.report.study.hide import Hide, hiding
from mmstudy.study import Study

__all__ = ["NO_COHORT", "NO_TRIAL", "Evidence", "gather"]

NO_COHORT = "its cohort was not at hand when this report was made (--cohort gives it)"
NO_TRIAL = "no trial is complete"
_NAMES = ("patient_id", "group_id", "case", "volume", "series_uid", "study_uid")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """Of one study at one moment; what is None is not known, and `faults` say what went wrong."""

    study: Study  # a snapshot
    trials: pl.DataFrame
    cohort: Cohort | None
    seen: Ingested | None  # what the ingestion of the cohort saw
    best: Mapping[str, Any] | None  # the best trial's row
    found: Diagnosis | None  # what it says of the validation patients
    compared: Comparison | None
    faults: tuple[str, ...]
    hide: Hide  # takes from a text what must not leave

    @property
    def patients(self) -> pl.DataFrame | None:
        """The cohort's rows."""
        return None if self.cohort is None else self.cohort.patients

    @property
    def labels(self) -> dict[str, int]:
        """Case -> label, as far as known: of all with the cohort, else of those validated."""
        if self.cohort is not None:
            return dict(self.cohort.patients.select("case", "label").iter_rows())
        if self.found is None or self.found.row.predictions is None:
            return {}
        return dict(self.found.row.predictions.select("case", "label").iter_rows())


def gather(study: Study, cohort: Path | str | None = None) -> Evidence:
    """Everything; a study of any state will do.

    Args:
        study: that is reported.
        cohort: its cohort, if that was moved.

    Raises:
        MMStudyError: the cohort given is another.
        DataError: the cohort given cannot be read.
    """
    study = study.read()
    found: Cohort | None
    try:
        found = study.cohort(cohort, volumes=False)
    except MMStudyError:
        if cohort is not None:
            raise
        found = None
    best, faults = study.best_trial(), []
    told: Diagnosis | None = None
    compared: Comparison | None = None
    if best is not None:
        try:
            told = diagnosis(study, int(best["number"]))
            compared = compare(study, cohort)
        except MMStudyError as error:
            faults.append(str(error))
    return Evidence(
        study=study,
        trials=study.trials(),
        cohort=found,
        seen=ingested(found) if found is not None else None,
        best=best,
        found=told,
        compared=compared,
        faults=tuple(faults),
        hide=hiding(_names(study, found), study.trials()["host"].drop_nulls().unique().to_list()),
    )


def _names(study: Study, cohort: Cohort | None) -> Iterator[str]:
    """All names of patients and of their images that this program knows."""
    split = study.about.split
    yield from split.test
    for fold in split.folds:
        yield from fold.train
        yield from fold.val
    if cohort is not None:
        for column in _NAMES:
            if column in cohort.patients.columns:
                yield from cohort.patients[column].cast(pl.String).drop_nulls()
