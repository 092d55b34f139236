"""What all commands share: the app, options, how a study is found and rows are printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmstudy.errors import MMStudyError, UsageError
from mmstudy.report.escape import visible
from mmstudy.report.table import MACHINES, Format, Table, render

if TYPE_CHECKING:
    from mmstudy.storage.origin import Origin
    from mmstudy.study import Study

__all__ = [
    "ROOT",
    "CohortOption",
    "FormatOption",
    "InlineOption",
    "RootOption",
    "StudyArgument",
    "TrialArgument",
    "WeightsOption",
    "app",
    "cohort_place",
    "data",
    "located",
    "opened_study",
    "print_rows",
    "print_table",
    "say",
    "short",
    "study_place",
    "trial_number",
    "user_path",
]


def user_path(text: str) -> Path:
    """A path as given to a command: no shell writes out the `~` of `--root=~/studies`."""
    from mmcaf.files.home import home_path

    return home_path(text)


def located(text: str, kind: str = "read") -> Path:
    """The local folder of a path or an address; `kind` says whose copy of an address it is."""
    from mmcaf.files.remote import place

    return place(text, kind)


def _root(text: str) -> Path:
    return located(str(text))  # the default is a path already


def cohort_place(text: str) -> Path:
    """A cohort's folder, or the local copy of an address."""
    return located(str(text), "cohort")


app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
data = typer.Typer(no_args_is_help=True, help="Cohorts: make, read, look at them.")
app.add_typer(data, name="data")

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How rows are printed.")]
RootOption = Annotated[
    Path, typer.Option(help="Folder of studies, or s3://bucket/prefix.", parser=_root)
]
CohortOption = Annotated[
    Path | None,
    typer.Option(help="The cohort, a folder or s3://…, if it was moved.", parser=cohort_place),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of SAM's weights, for a trial with them.", parser=user_path),
]
InlineOption = Annotated[bool, typer.Option("--inline", help="Without Ray, one by one.")]
PrevalenceOption = Annotated[
    float | None,
    typer.Option(help="Share of squamous patients, as 0.2, that PPV and NPV are given for too."),
]
StudyArgument = Annotated[str, typer.Argument(help="A study folder, or its name under --root.")]
TrialArgument = Annotated[str, typer.Argument(help="`best`, or a trial's number.")]
ROOT = Path("studies")

# Columns of the record that a table of trials leaves out; `-f json` of `show` has them.
_LEFT_OUT = {"started", "ended", "seed", "device", "threads", "parameters", "hardware", "host"}
_LEFT_OUT |= {"versions", "code_version", "cohort_digest", "gpu_seconds", "seconds_per_epoch"}
_LEFT_OUT |= {"prepare_seconds", "data_wait_share", "gpu_utilisation"}


def opened_study(name: str, root: Path) -> Study:
    """The study in the folder `name` or at that address, or of that name under `root`."""
    from mmstudy.study import open_study

    return open_study(study_place(name, root))


def study_place(name: str, root: Path) -> Path | str:
    """The folder `name` or that address, or the folder of that name under `root`."""
    if "://" in name:
        return name
    path = user_path(name)
    return path if (path / "study.json").is_file() else root / name


def trial_number(study: Study, trial: str) -> int:
    """The number that `best` or a number as text means.

    Raises:
        UsageError: it is neither.
        MMStudyError: there is no such trial.
    """
    if trial == "best":
        found = study.best_trial()
        if found is None:
            raise MMStudyError(f"{study.name} has no complete trial yet.")
        return int(found["number"])
    if not trial.isdigit():
        raise UsageError(f"A trial is `best` or a number, got {trial!r}.")
    study.trial(int(trial))
    return int(trial)


def known_prevalence(prevalence: float | None) -> float | None:
    """The prevalence that was given, if it can be one; to be asked before anything is computed.

    Raises:
        UsageError: it is not strictly between 0 and 1.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(
            f"--prevalence is the share of squamous patients, between 0 and 1, got {prevalence:g}; "
            "for 20 % write 0.2."
        )
    return prevalence


def short(row: dict[str, Any]) -> dict[str, Any]:
    """A trial's row without what only a machine wants to know."""
    return {key.removeprefix("param:"): v for key, v in row.items() if key not in _LEFT_OUT}


def say(text: str) -> None:
    """Tell the user something that is not data."""
    sys.stderr.write(visible(text) + "\n")


def print_rows(rows: list[dict[str, Any]], how: Format, origin: Origin | None = None) -> None:
    """Write rows to stdout, and say whose numbers they are: to people above them, to a machine in
    each row, and then on stderr as well.

    Args:
        rows: of the same keys.
        how: they are written.
        origin: whose numbers they are; None where they are of no patient.
    """
    print_table(Table.of(rows, origin=origin), how)


def print_table(table: Table, how: Format) -> None:
    """Write a table to stdout; what a machine does not read of its warnings goes to stderr."""
    if how in MACHINES:
        for warning in table.warnings:
            say(warning)
    sys.stdout.write(render(table, how))
