"""A study as one page that a reviewer can sign."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmstudy.cli.shared import ROOT, CohortOption, RootOption, StudyArgument, app, say, user_path
from mmstudy.cli.shared import opened_study as opened

__all__ = ["report"]

_OUT = typer.Option(help="The file, which ends in .html; `report.html` here.", parser=user_path)


@app.command()
def report(
    study: StudyArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    out: Annotated[Path, _OUT] = Path("report.html"),
) -> None:
    """One HTML file on a study, to be printed and signed: from its question to TRIPOD+AI and CLAIM.

    It holds no name, id or date of a patient and no path. Without its cohort it has no Table 1.
    """
    from mmstudy.report.study.write import write_report

    write_report(opened(study, root), out, cohort)
    say(f"The report is in {out}; a browser prints it, also to PDF.")
