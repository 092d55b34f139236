"""Run a study on a cluster, and stop one wherever it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmstudy.cli.shared import ROOT, RootOption, StudyArgument, app, opened_study, say, user_path
from mmstudy.errors import Interrupted, MMStudyError, UsageError

if TYPE_CHECKING:
    from mmstudy.cluster.ray_jobs import Head
    from mmstudy.cluster.submit import Submission

__all__ = ["stop", "submit"]

_ADDRESS = "RAY_API_SERVER_ADDRESS"
_PATIENCE_SECONDS = 300.0
Address = Annotated[
    str | None, typer.Option(envvar=_ADDRESS, help="The head's dashboard: http://HEAD:8265.")
]


@app.command()
def submit(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of a ready space.")],
    address: Address = None,
    cohort: Annotated[str | None, typer.Option(help="The cohort's path on the cluster.")] = None,
    root: Annotated[str, typer.Option(help="Folder of studies that all nodes share.")] = str(ROOT),
    name: Annotated[str | None, typer.Option(help="The study's name; else the spec's.")] = None,
    trials: Annotated[int | None, typer.Option(help="Number of trials, over the spec's.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value, repeatable.")] = None,
    working_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder to send; a checkout runs its code. Else the spec.", parser=user_path
        ),
    ] = None,
    any_version: Annotated[
        bool, typer.Option("--any-version", help="Whatever versions the cluster has.")
    ] = False,
    grows: Annotated[
        str, typer.Option(help="CPU=64,GPU=8: what a cluster that buys nodes when asked may have.")
    ] = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not follow the log.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, send nothing.")] = False,
) -> None:
    """Check a cluster, run a study there, and follow its log; submitted again, it goes on."""
    from mmstudy.cluster.submit import check, next_job

    overrides = [*(set_ or []), *([f"search.trials={trials}"] if trials is not None else [])]
    submission = _submission(spec, overrides, cohort, root, name, working_dir, grows)
    wanted = submission.wanted(any_version=any_version)
    if address is None:
        raise UsageError(f"No cluster: give --address http://HEAD:8265, or set {_ADDRESS}.")
    submission.job(0)  # its own faults first
    head = check(address, submission, wanted, say)
    job = next_job(head, submission)
    sys.stdout.write(job.command(head.address) + "\n")
    sys.stdout.flush()
    if dry_run:
        return
    head.submit(job)
    if no_wait:
        say(f"Submitted {job.id}. {_follow(head, job.id)}")
        return
    raise typer.Exit(_followed(head, job.id))


@app.command()
def stop(study: StudyArgument, root: RootOption = ROOT, address: Address = None) -> None:
    """Ask the driver of a running study to stop after the epochs now being trained.

    Over the study's folder, or, with --address, over the cluster that runs it.
    """
    here = any((folder / "study.json").is_file() for folder in (user_path(study), root / study))
    if address is not None and not here:
        _stop_job(address, study)
        return
    from mmstudy.storage.lock import holder
    from mmstudy.storage.stop import ask_to_stop

    opened = opened_study(study, root)
    found = holder(opened.folder)
    if found is None:
        raise MMStudyError(f"No driver runs {opened.name}.")
    host, process = found
    ask_to_stop(opened.folder)
    say(
        f"Asked process {process} on {host} to stop; `mmstudy run` or `mmstudy submit` goes on "
        "with the study."
    )


def _stop_job(address: str, study: str) -> None:
    from mmstudy.cluster.ray_jobs import Head
    from mmstudy.cluster.submit import alive

    head = Head(address)
    job = alive(head, study)
    if job is None:
        raise MMStudyError(f"No job on {head.address} runs {study}.")
    head.stop(job)
    say(f"Asked {job} to stop; `mmstudy submit` goes on with the study.")


def _submission(
    spec: str,
    overrides: list[str],
    cohort: str | None,
    root: str,
    name: str | None,
    working_dir: Path | None,
    grows: str = "",
) -> Submission:
    from mmstudy.cli.run import has_begun
    from mmstudy.cluster.submit import Submission
    from mmstudy.spec.reading import find_spec, load_spec

    path = find_spec(spec)
    # Of a store that only the cluster may reach, the job's own `mmstudy run` finds out.
    begun = "://" in root or has_begun(root, name or path.stem)
    loaded = load_spec(path, overrides, begun=begun)
    folder = cohort or loaded.cohort
    if folder is None:
        raise UsageError("No cohort: give --cohort, or `cohort:` in the spec.")
    if working_dir is not None and not working_dir.is_dir():
        raise UsageError(f"--working-dir {working_dir} is no folder.")
    return Submission(
        spec=loaded,
        spec_file=path,
        cohort=_absolute(folder),
        root=_absolute(root),
        name=name or path.stem,
        overrides=overrides,
        working_dir=working_dir,
        grows=grows,
    )


def _absolute(path: str) -> str:
    """A path that means the same wherever the driver runs; an object store's is one already."""
    return path if "://" in path else str(user_path(path).absolute())


def _follow(head: Head, job: str) -> str:
    from mmstudy.cluster.submit import how_to_follow

    return how_to_follow(head, job)


def _followed(head: Head, job: str) -> int:
    """Show the log until the job ends; its exit code."""
    from mmstudy.cli.progress import LogRelay

    log = LogRelay()
    try:
        ended = head.follow(job, log.write, say, patience=_PATIENCE_SECONDS)
    except KeyboardInterrupt as error:
        log.close()
        raise Interrupted(f"Detached: {job} goes on. {_follow(head, job)}") from error
    except MMStudyError as error:
        log.close()
        raise MMStudyError(f"{error} {job} may well go on. {_follow(head, job)}") from error
    log.close()
    if ended.message:
        raise MMStudyError(f"{job} failed: {ended.message}")
    return ended.exit_code
