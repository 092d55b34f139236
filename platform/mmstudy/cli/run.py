"""Run studies; what a spec may say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmstudy.cli.shared import (
    ROOT,
    CohortOption,
    FormatOption,
    InlineOption,
    RootOption,
    app,
    located,
    opened_study,
    print_rows,
    say,
    short,
)
from mmstudy.errors import UsageError

if TYPE_CHECKING:
    from mmstudy.driver.contract import Runner
    from mmstudy.spec.study_spec import StudySpec

__all__ = ["has_begun", "probe", "run", "runner_for", "spec_schema"]

spec_app = typer.Typer(no_args_is_help=True, help="What a study spec may say.")
app.add_typer(spec_app, name="spec")


@app.command()
def run(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of a ready space.")],
    cohort: CohortOption = None,
    root: RootOption = ROOT,
    name: Annotated[str | None, typer.Option(help="The study's name; else the spec's.")] = None,
    trials: Annotated[int | None, typer.Option(help="Number of trials, over the spec's.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value, repeatable.")] = None,
    inline: InlineOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show, run nothing.")
    ] = False,
) -> None:
    """Run a study, or go on with one that was interrupted."""
    from mmstudy.cli.progress import Reporter
    from mmstudy.driver.drive import plan_study, run_study
    from mmstudy.spec.effects import given_for_nothing
    from mmstudy.spec.reading import find_spec, load_spec

    path = find_spec(spec)
    overrides = [*(set_ or []), *([f"search.trials={trials}"] if trials is not None else [])]
    loaded = load_spec(path, overrides, begun=has_begun(root, name or path.stem))
    for sentence in given_for_nothing(loaded):
        say(sentence)
    folder, reporter = _cohort_of(loaded, cohort), Reporter()
    plan = plan_study(
        loaded, cohort=folder, root=root, name=name or path.stem, progress=reporter.steps
    )
    if dry_run:
        from mmstudy.driver.forecast import forecast
        from mmstudy.study import open_study

        here = root / plan.folder.name
        begun = open_study(here) if (here / "study.json").is_file() else None
        told = plan.describe() | forecast(plan, begun)
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    run_study(plan, runner_for(inline), notify=reporter.standing, progress=reporter.steps, say=say)
    study = opened_study(str(root / plan.folder.name), root)
    print_rows([short(row) for row in study.trials().to_dicts()], "table", study.origin)


@app.command()
def probe(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of a ready space.")],
    cohort: CohortOption = None,
    root: RootOption = ROOT,
    name: Annotated[str | None, typer.Option(help="The study's name; else the spec's.")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Trainings of each point.")] = 5,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value, repeatable.")] = None,
    how: FormatOption = "table",
) -> None:
    """How far each searched setting moves predictions, beside how far another seed does.

    On the first fold, before the search or beside it; stored with the study. What is done stays:
    the same command goes on.
    """
    from mmstudy.analysis.reach import probed, probed_rows
    from mmstudy.cli.progress import Reporter
    from mmstudy.driver.drive import plan_study
    from mmstudy.driver.reach import origin_of
    from mmstudy.driver.reach import probe as measure
    from mmstudy.spec.reading import find_spec, load_spec

    path, reporter = find_spec(spec), Reporter()
    own = name or path.stem
    loaded = load_spec(path, set_ or [], begun=has_begun(root, own))
    folder = _cohort_of(loaded, cohort)
    plan = plan_study(
        loaded, cohort=folder, root=root, name=own, progress=reporter.steps, continues=False
    )
    found = measure(plan, runner_for(inline=True), seeds=seeds, progress=reporter.steps, say=say)
    print_rows(probed_rows(found), how, origin_of(plan))
    for sentence in probed(found):
        say(sentence)


@spec_app.command("schema")
def spec_schema() -> None:
    """The JSON schema of a spec, for editors."""
    from mmstudy.spec.reading import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def _cohort_of(spec: StudySpec, given: Path | None) -> Path:
    """Where the cohort lies: what the user gave, or what the spec says."""
    folder = given or (located(spec.cohort, "cohort") if spec.cohort else None)
    if folder is None:
        raise UsageError("No cohort: give --cohort, or `cohort:` in the spec.")
    return folder


def has_begun(root: Path | str, name: str) -> bool:
    """Whether the study `name` of a root, a folder or an address, has a `study.json`.

    Raises:
        DataError: its store cannot be reached.
    """
    from mmcaf.files.remote import place
    from mmstudy.storage.folder import StudyFolder

    folder = StudyFolder(place(str(root)) / name)
    folder.refresh(at_once=True)
    return folder.study.exists()


def runner_for(inline: bool) -> Runner:
    """Who executes trials: this process, or Ray."""
    if inline:
        from mmstudy.driver.inline import InlineRunner

        return InlineRunner()
    from mmstudy.driver.on_ray import RayRunner

    return RayRunner()
