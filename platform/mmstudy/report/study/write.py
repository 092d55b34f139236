"""A study's report: gathered, told in sections, written as one HTML file."""

from __future__ import annotations

from pathlib import Path

from mmcaf.files.atomic import replacing
from mmcaf.files.home import home_path
from mmstudy.errors import UsageError
from mmstudy.report.study import design, patients, record, results
from mmstudy.report.study.blocks import Section
from mmstudy.report.study.evidence import Evidence, gather
from mmstudy.report.study.guidelines import CLAIM, TRIPOD_AI, guideline
from mmstudy.report.study.page import page
from mmstudy.study import Study

__all__ = ["SECTIONS", "report_page", "sections_of", "write_report"]

SECTIONS = {  # name: who tells it; in order
    "question": design.question,
    "flow": patients.cohort_flow,
    "patients": patients.table_one,
    "protocol": design.protocol,
    "search": design.search,
    "results": results.results,
    "performance": results.calibration,
    "comparison": results.against,
    "subgroups": results.parts,
    "failures": record.failures,
    "provenance": record.provenance,
    "environment": record.environment,
}


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
    return page(study.name, study.origin, sections_of(evidence), evidence.hide)


def sections_of(evidence: Evidence) -> list[Section]:
    """All sections, those of the guidelines last."""
    told = [section(evidence) for section in SECTIONS.values()]
    tripod = guideline(
        "tripod-ai",
        "TRIPOD+AI",
        "Collins et al. 2024, BMJ 385:e078378.",
        items=TRIPOD_AI,
        sections=told,
    )
    claim = guideline(
        "claim",
        "CLAIM, 2024 update",
        "Tejani et al. 2024, Radiology: Artificial Intelligence 6(4):e240300.",
        items=CLAIM,
        sections=told,
    )
    return [*told, tripod, claim]
