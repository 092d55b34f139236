"""Say whether a study or a cohort is whole, and put a damaged study in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmstudy.cli.shared import (
    ROOT,
    FormatOption,
    RootOption,
    app,
    located,
    opened_study,
    print_table,
    say,
)
from mmstudy.errors import CheckFailed, UsageError
from mmstudy.report.table import PEOPLE, Table

if TYPE_CHECKING:
    from mmstudy.study import Study

__all__ = ["check"]


@app.command()
def check(
    what: Annotated[str, typer.Argument(help="A study, as elsewhere, or a cohort's folder.")],
    root: RootOption = ROOT,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put a damaged study in order, as `run` does.")
    ] = False,
    how: FormatOption = "table",
) -> None:
    """Whether all records of a study agree, or all volumes of a cohort are as ingested.

    Ends with 4 where something is wrong. A repair deletes nothing: see `quarantine/` in the study.
    """
    if _is_cohort(what):
        if repair:
            raise UsageError("A cohort is not repaired: ingest it again, or copy it again.")
        rows = [{"what": "cohort", "reason": fault} for fault in _cohort_faults(what)]
        left = len(rows)
    else:
        study = opened_study(what, root)
        findings = _mended(study) if repair else _findings(study)
        rows = [dict(zip(("what", "reason", "remedy"), one, strict=True)) for one in findings]
        left = 0 if repair else len(rows)
    if rows or how not in PEOPLE:
        print_table(Table.of(rows), how)
    if left:
        raise CheckFailed(f"{what} is not whole; things that are wrong: {left}.")
    say(f"{what} is whole." if not rows else f"{what} is put in order.")


def _is_cohort(what: str) -> bool:
    state = located(what, "cohort") / "cohort.json"
    there = state.exists() or state.is_symlink()  # whatever it is, the cohort's reader says it
    return there or ("://" in what and not _is_study(what))


def _is_study(address: str) -> bool:
    from mmstudy.storage.folder import StudyFolder

    folder = StudyFolder.at(address)
    folder.refresh()
    return folder.study.is_file()


def _cohort_faults(what: str) -> list[str]:
    from mmcaf.data.node_cache import load_cohort
    from mmcaf.data.verification import verify
    from mmstudy.cli.progress import Reporter

    return verify(load_cohort(located(what, "cohort")), Reporter().steps)


def _findings(study: Study) -> list[tuple[str, str, str]]:
    from mmstudy.driver.judgement import judge

    study.folder.fetch_journal()
    found = judge(study.folder, study.about.spec, len(study.about.split.folds))
    return [(one.what, one.reason, one.remedy) for one in found]


def _mended(study: Study) -> list[tuple[str, str, str]]:
    from mmstudy.driver.judgement import Finding, mend
    from mmstudy.search.sources import with_points
    from mmstudy.storage.lock import driver_lock

    folder, found = study.folder.working(), list[Finding]()
    with driver_lock(folder):
        folder.refresh(at_once=True)
        folder.fetch_journal()
        spec = with_points(study.about.spec, study.about.sources)
        mend(folder, spec, len(study.about.split.folds), say=found.append, deep=True)
    return [(one.what, one.reason, one.remedy) for one in found]
