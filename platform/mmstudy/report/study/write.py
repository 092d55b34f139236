"""A study's report: gathered, told in sections, written as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmcaf.files.atomic import replacing
from mmcaf.files.home import home_path
from mmstudy.errors import UsageError
from mmstudy.report.study import design, patients, record, results
from mmstudy.report.study.evidence import Evidence, gather
from mmstudy.report.study.guidelines import CLAIM, TRIPOD_AI, guideline
from mmstudy.report.study.hide import Hide, hiding
from mmstudy.report.study.page import page
from mmstudy.study import Study

__all__ = ["report_page", "write_report"]

_SECTIONS = (
    design.question,
    patients.cohort_flow,
    patients.table_one,
    design.protocol,
    design.search,
    results.results,
    results.calibration,
    results.against,
    results.parts,
    record.failures,
    record.provenance,
    record.environment,
)
_NAMES = ("patient_id", "group_id", "case", "volume", "series_uid", "study_uid")


def write_report(study: Study, path: str | Path, cohort: str | Path | None = None) -> None:
    """Write the report of a study as one HTML file that needs nothing else.

    It holds no name, id or date of a patient and no path. A browser prints it, also to PDF.

    Args:
        study: of any state; without a complete trial sections say so.
        path: of the file, which ends in `.html`; it appears whole or not at all.
        cohort: the study's cohort, if that was moved. Without one there is no Table 1.

    Raises:
        UsageError: the file's name has another ending.
        MMStudyError: the cohort given is another.
        DataError: the cohort given cannot be read, or the file cannot be written.
    """
    path = home_path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"A report is an HTML file; got {path.name!r}. End its name in .html.")
    text = report_page(study, cohort)
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def report_page(study: Study, cohort: str | Path | None = None) -> str:
    """The report as HTML: the same study gives the same page, on the same machine.

    Raises:
        MMStudyError: the cohort given is another.
        DataError: the cohort given cannot be read.
    """
    evidence = gather(study, cohort)
    told = [section(evidence) for section in _SECTIONS]
    told += [
        guideline(
            "tripod-ai",
            "TRIPOD+AI",
            "Collins et al. 2024, BMJ 385:e078378.",
            items=TRIPOD_AI,
            sections=told,
        ),
        guideline(
            "claim",
            "CLAIM, 2024 update",
            "Tejani et al. 2024, Radiology: Artificial Intelligence 6(4):e240300.",
            items=CLAIM,
            sections=told,
        ),
    ]
    return page(study.name, study.origin, told, _hide(evidence))


def _hide(evidence: Evidence) -> Hide:
    return hiding(_patients(evidence), evidence.trials["host"].drop_nulls().unique())


def _patients(evidence: Evidence) -> Iterator[str]:
    """All names of patients and of their images that this program knows."""
    split = evidence.study.about.split
    yield from split.test
    for fold in split.folds:
        yield from fold.train
        yield from fold.val
    if evidence.patients is not None:
        for column in _NAMES:
            if column in evidence.patients.columns:
                yield from evidence.patients[column].drop_nulls().cast(str)
