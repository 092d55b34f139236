"""What all commands share: the app, options, how a study is found and rows are printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmstudy.errors import MMStudyError, UsageError

if TYPE_CHECKING:
    from mmstudy.study import Study

__all__ = [
    "ROOT",
    "CohortOption",
    "Format",
    "FormatOption",
    "InlineOption",
    "RootOption",
    "StudyArgument",
    "TrialArgument",
    "app",
    "cohort_place",
    "data",
    "located",
    "opened_study",
    "print_rows",
    "print_rows_of",
    "say",
    "short",
    "tell_origin",
    "trial_number",
]


def located(text: str, kind: str = "read") -> Path:
    """See `mmcaf.files.remote.place`, which a plain path need not wait for."""
    if "://" not in text:
        return Path(text)
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

Format = Literal["table", "json", "csv"]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How rows are printed.")]
RootOption = Annotated[
    Path, typer.Option(help="Folder of studies, or s3://bucket/prefix.", parser=_root)
]
CohortOption = Annotated[
    Path | None,
    typer.Option(help="The cohort, a folder or s3://…, if it was moved.", parser=cohort_place),
]
InlineOption = Annotated[bool, typer.Option("--inline", help="Without Ray, one by one.")]
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

    if "://" in name:
        return open_study(name)
    path = Path(name)
    return open_study(path if (path / "study.json").is_file() else root / name)


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


def short(row: dict[str, Any]) -> dict[str, Any]:
    """A trial's row without what only a machine wants to know."""
    return {key.removeprefix("param:"): v for key, v in row.items() if key not in _LEFT_OUT}


def tell_origin(study: Study, how: str, synthetic: bool = False) -> None:
    """Say that a study's patients are synthetic, or its windows placed by annotations, if so."""
    stream = sys.stdout if how == "table" else sys.stderr
    if study.synthetic or synthetic:
        stream.write("SYNTHETIC DATA: these numbers say nothing about patients.\n")
    if study.oracle:
        stream.write("ORACLE: windows were centred on the annotated lesion, also at evaluation.\n")


def say(text: str) -> None:
    """Tell the user something that is not data."""
    sys.stderr.write(text + "\n")


def print_rows(rows: list[dict[str, Any]], how: Format) -> None:
    """Write rows to stdout."""
    from mmstudy.report.text import as_text

    sys.stdout.write(as_text(rows, how))


def print_rows_of(
    study: Study, rows: list[dict[str, Any]], how: Format, *, synthetic: bool = False
) -> None:
    """Write rows of a study to stdout, and say whose data they are: where they are read by a
    machine, in each row.

    Args:
        study: whose trials they are of.
        rows: of the same keys.
        how: they are written.
        synthetic: whether they are of synthetic patients, though the study's are real.
    """
    synthetic |= study.synthetic
    tell_origin(study, how, synthetic)
    origin = {"origin": "SYNTHETIC" if synthetic else "real"}
    print_rows(rows if how == "table" else [origin | row for row in rows], how)
