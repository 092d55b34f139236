"""The command `mmstudy`. stdout carries data only; progress and faults go to stderr.

Exit codes: see `mmstudy.errors`. Everything heavy is imported inside the command that needs it, so
that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmcaf.errors import DataError
from mmstudy.errors import CheckFailed, MMStudyError, UsageError

if TYPE_CHECKING:
    from mmstudy.results import Study

__all__ = ["main"]

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
data = typer.Typer(no_args_is_help=True, help="Cohorts: make, read, look at them.")
app.add_typer(data, name="data")

Format = Literal["table", "json", "csv"]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How rows are printed.")]
RootOption = Annotated[Path, typer.Option(help="Folder of studies.")]
CohortOption = Annotated[Path | None, typer.Option(help="The cohort, if it was moved.")]
StudyArgument = Annotated[str, typer.Argument(help="A study folder, or its name under --root.")]
TrialArgument = Annotated[str, typer.Argument(help="`best`, or a trial's number.")]
ROOT = Path("studies")


def main() -> None:
    """Entry point: run a command, turn what it raises into a sentence and an exit code."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (MMStudyError, DataError, OSError, ValueError) as error:
        if debug:
            raise
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sys.stderr.write(f"\n{message}\n")
        code = getattr(error, "exit_code", 1 if isinstance(error, OSError) else 2)
        sys.exit(int(code))
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        sys.exit(130)


@data.command("synth")
def data_synth(
    out: Path,
    patients: int = 24,
    size: int = 128,
    slices: int = 24,
    signal_image: float = 1.5,
    signal_clinical: float = 1.0,
    variant: Annotated[str, typer.Option(help="plain, or a trap; see the README.")] = "plain",
    faults: Annotated[bool, typer.Option("--faults", help="With all that can go wrong.")] = False,
    seed: int = 0,
) -> None:
    """Write a SYNTHETIC cohort as DICOM in the collection's layout, its truth known."""
    from mmcaf.data.faults.strike import patients_needed, strike
    from mmcaf.data.synthetic import SyntheticSpec, write
    from mmstudy.progress import Reporter

    spec = SyntheticSpec(
        patients=patients,
        size=size,
        slices=slices,
        signal_image=signal_image,
        signal_clinical=signal_clinical,
        variant=variant,  # type: ignore[arg-type] # checked, with the choices, by the spec
        seed=seed,
    )
    if faults and (patients < patients_needed() or variant != "plain"):
        raise UsageError(f"--faults needs --patients {patients_needed()} or more, variant plain.")
    write(out, spec, Reporter().steps)
    if faults:
        strike(out)
    _print([{"written": str(out), "patients": patients, "origin": "SYNTHETIC"}], "table")


@data.command("ingest")
def data_ingest(
    source: list[Path],
    out: Annotated[Path, typer.Option(help="Folder of the cohort.")],
    annotations: Annotated[Path | None, typer.Option(help="Folder of VOC annotations.")] = None,
    clinical: Annotated[Path | None, typer.Option(help="The clinical sheet.")] = None,
    in_plane: Annotated[int, typer.Option(help="Pixels per side of cached slices.")] = 208,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; else all cores.")] = None,
    task: Annotated[Literal["adc-vs-scc"], typer.Option(help="What is told apart.")] = "adc-vs-scc",
) -> None:
    """Read DICOM, annotations and the clinical sheet of one or more folders into a cohort."""
    from mmcaf.data.ingest import ingest
    from mmstudy.progress import Reporter

    ingest(
        source,
        out,
        annotation_folder=annotations,
        sheet=clinical,
        in_plane_px=in_plane,
        workers=jobs,
        progress=Reporter().steps,
    )
    sys.stderr.write(f"To look at: {out / 'ingest_report.html'}\n")
    data_show(out)


@data.command("show")
def data_show(cohort: Path) -> None:
    """Counts, exclusions by reason, fingerprint."""
    from mmcaf.data.cohort import load
    from mmstudy.store import read_json

    load(cohort)
    report = read_json(cohort / "ingest_report.json")
    if report["synthetic"]:
        sys.stdout.write("SYNTHETIC cohort\n")
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


@app.command()
def run(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of a ready space.")],
    cohort: CohortOption = None,
    root: RootOption = ROOT,
    name: Annotated[str | None, typer.Option(help="The study's name; else the spec's.")] = None,
    trials: Annotated[int | None, typer.Option(help="Number of trials, over the spec's.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="path=value, repeatable.")] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Without Ray, one by one.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show, run nothing.")
    ] = False,
) -> None:
    """Run a study, or go on with one that was interrupted."""
    from mmstudy.engine import plan_study, run_study
    from mmstudy.progress import Reporter
    from mmstudy.runner import InlineRunner, Runner
    from mmstudy.spec import find_spec, load_spec

    path = find_spec(spec)
    overrides = [*(set_ or []), *([f"search.trials={trials}"] if trials is not None else [])]
    loaded = load_spec(path, overrides)
    folder = cohort or (Path(loaded.cohort) if loaded.cohort else None)
    if folder is None:
        raise UsageError("No cohort: give --cohort, or `cohort:` in the spec.")
    plan = plan_study(loaded, cohort=folder, root=root, name=name or path.stem)
    if dry_run:
        sys.stdout.write(json.dumps(plan.describe(), indent=2) + "\n")
        return
    runner: Runner = InlineRunner()
    if not inline:
        from mmstudy.ray_runner import RayRunner

        runner = RayRunner(loaded.resources)
    reporter = Reporter()
    run_study(plan, runner, notify=reporter.standing, progress=reporter.steps)
    _trials_table(_study(str(plan.paths.root), root), "table")


@app.command("ls")
def list_(root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """The studies of a root."""
    from mmstudy.results import list_studies

    _print([_summary(study) for study in list_studies(root)], how)


@app.command()
def status(study: StudyArgument, root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """How a study stands."""
    _print([_summary(_study(study, root))], how)


@app.command()
def trials(study: StudyArgument, root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """All trials, best first."""
    _trials_table(_study(study, root), how)


@app.command()
def best(study: StudyArgument, root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """The best complete trial."""
    opened = _study(study, root)
    _origin(opened, how)
    _print([_short(opened.trial(_number(opened, "best")))], how)


@app.command()
def show(
    study: StudyArgument, trial: TrialArgument, root: RootOption = ROOT, how: FormatOption = "table"
) -> None:
    """One trial, epoch by epoch."""
    opened = _study(study, root)
    number = _number(opened, trial)
    _origin(opened, how)
    columns = ["fold", "epoch", "n_train", "n_val", "train_loss", "val_loss", "auroc"]
    columns += ["sensitivity", "specificity", "auprc", "brier", "seconds"]
    if how == "table":
        _print([_short(opened.trial(number))], how)
    _print(opened.epochs(number).select(columns).to_dicts(), how)


@app.command()
def rerun(
    study: StudyArgument,
    trial: TrialArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the trial's.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 4 unless all is equal.")] = False,
    how: FormatOption = "table",
) -> None:
    """The same trial again, its numbers beside the stored ones."""
    from mmstudy.engine import cohort_of
    from mmstudy.rerun import rerun as again

    opened = _study(study, root)
    if check and seed is not None:
        raise UsageError("--check compares with what the stored seed gave; leave out --seed.")
    _origin(opened, how)
    number = _number(opened, trial)
    rows = list(again(opened, number, cohort_of(opened.paths.root, cohort), seed=seed))
    _print([row for row in rows if row["metric"] == "auroc" or not row["same"]], how)
    wrong = [row for row in rows if not row["same"]]
    if check and wrong:
        named = ", ".join(f"{r['metric']} of fold {r['fold']} epoch {r['epoch']}" for r in wrong)
        raise CheckFailed(f"{len(wrong)} of {len(rows)} stored values do not hold: {named}.")
    if check:
        sys.stderr.write(f"All {len(rows)} stored values hold exactly (difference 0).\n")


@app.command()
def predict(
    study: StudyArgument,
    trial: TrialArgument,
    folder: Annotated[Path, typer.Argument(help="Another cohort.")],
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    cases: Annotated[bool, typer.Option("--cases", help="Every case's probability.")] = False,
    how: FormatOption = "table",
) -> None:
    """The trial's networks on patients of another cohort: metrics with n, or every case."""
    from mmcaf.metrics import auroc_interval, auroc_standard_error, rates
    from mmstudy.engine import cohort_of
    from mmstudy.progress import Reporter
    from mmstudy.rerun import predict as predict_other

    opened = _study(study, root)
    number = _number(opened, trial)
    link = cohort_of(opened.paths.root, cohort)
    found = predict_other(opened, number, link, folder, Reporter().steps)
    _origin(opened, how)
    if cases:
        _print(found.to_dicts(), how)
        return
    labels, scores = found["label"].to_numpy(), found["probability"].to_numpy()
    row: dict[str, Any] = {"n": found.height, "n_squamous": int(labels.sum())}
    row |= rates(labels, scores)
    row["auroc_standard_error"] = auroc_standard_error(labels, scores)
    row["auroc_low"], row["auroc_high"] = auroc_interval(labels, scores)
    _print([row], how)


@app.command()
def compare(
    study: StudyArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    paper: Annotated[bool, typer.Option("--paper", help="Beside the published rows.")] = True,
    how: Annotated[
        Literal["table", "json", "csv", "markdown", "latex"], typer.Option("--format", "-f")
    ] = "table",
) -> None:
    """The best trial beside the paper's published rows, with counts and intervals."""
    from mmstudy.paper import compare as beside
    from mmstudy.paper import render

    if not paper:
        raise UsageError(
            "There is nothing but the paper to compare with yet; leave out --no-paper."
        )
    sys.stdout.write(render(beside(_study(study, root), cohort), how).rstrip("\n") + "\n")


@app.command()
def dashboard(
    root: RootOption = ROOT, port: Annotated[int, typer.Option(min=1, max=65535)] = 8501
) -> None:
    """Open the results in a browser; listens on this machine only."""
    import subprocess

    from mmstudy.dashboard import command

    sys.stderr.write(f"http://127.0.0.1:{port} (from elsewhere: ssh -L {port}:127.0.0.1:{port})\n")
    sys.exit(subprocess.run(command(root, port), check=False).returncode)  # noqa: S603 - our own


def _study(name: str, root: Path) -> Study:
    from mmstudy.results import open_study

    path = Path(name)
    return open_study(path if (path / "study.json").is_file() else root / name)


def _number(study: Study, trial: str) -> int:
    if trial == "best":
        found = study.best()
        if found is None:
            raise MMStudyError(f"{study.name} has no complete trial yet.")
        return int(found["number"])
    if not trial.isdigit():
        raise UsageError(f"A trial is `best` or a number, got {trial!r}.")
    study.trial(int(trial))
    return int(trial)


def _summary(study: Study) -> dict[str, Any]:
    top = study.best()
    return {
        "study": study.name,
        "origin": "SYNTHETIC" if study.synthetic else "real",
        "location": "oracle" if study.oracle else "tiling",
        "live": study.live(),
        "asked": study.asked,
        **study.counts(),
        "best": top["value"] if top else None,
        "trial": top["number"] if top else None,
        "n": study.about["n_cases"],
    }


def _trials_table(study: Study, how: Format) -> None:
    _origin(study, how)
    _print([_short(row) for row in study.trials().to_dicts()], how)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    left_out = ("started", "ended", "seed", "device", "threads", "parameters")
    return {key.removeprefix("param:"): v for key, v in row.items() if key not in left_out}


def _origin(study: Study, how: str) -> None:
    stream = sys.stdout if how == "table" else sys.stderr
    if study.synthetic:
        stream.write("SYNTHETIC DATA: these numbers say nothing about patients.\n")
    if study.oracle:
        stream.write("ORACLE: windows were centred on the annotated lesion, also at evaluation.\n")


def _print(rows: list[dict[str, Any]], how: Format) -> None:
    from mmstudy.printing import as_text

    sys.stdout.write(as_text(rows, how))


if __name__ == "__main__":
    main()
