"""Keep house: gather small files, take tables elsewhere, delete, check the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmcaf.errors import DataError
from mmcaf.files.home import from_home
from mmstudy.cli.shared import (
    ROOT,
    FormatOption,
    RootOption,
    StudyArgument,
    app,
    opened_study,
    print_rows,
    say,
    study_place,
    user_path,
)
from mmstudy.errors import MMStudyError, UsageError

if TYPE_CHECKING:
    from mmstudy.storage.folder import StudyFolder

__all__ = ["compact", "doctor", "export", "remove"]


@app.command()
def compact(study: StudyArgument, root: RootOption = ROOT) -> None:
    """Gather the tables of ended trials into segments; readers never notice."""
    from mmstudy.storage.compaction import compact as gather
    from mmstudy.storage.lock import driver_lock

    opened = opened_study(study, root)
    folder = opened.folder.working()
    with driver_lock(folder):
        folder.refresh(at_once=True)
        moved = gather(folder)
    print_rows([{"study": opened.name, "trials_moved": moved}], "table")


@app.command()
def export(
    study: StudyArgument,
    out: Annotated[
        Path, typer.Option(help="Folder for the tables; made if missing.", parser=user_path)
    ],
    root: RootOption = ROOT,
) -> None:
    """Trials, epochs, predictions, confirmations and test looks as one CSV file each."""
    import polars as pl

    from mmcaf.files.atomic import replacing
    from mmcaf.files.names import folder_fault
    from mmstudy.report.table import write_csv

    if fault := folder_fault(out):
        raise UsageError(fault)
    opened = opened_study(study, root)
    tables = {
        "trials": opened.trials(),
        "metrics": opened.metrics(),
        "predictions": opened.predictions(),
        "confirmations": opened.confirmations(),
        "evaluations": opened.evaluations(),
    }
    for name, table in tables.items():
        marked = table.select(pl.lit(opened.origin.column).alias("origin"), pl.all())
        with (
            replacing(out / f"{name}.csv") as beside,
            beside.open("w", encoding="utf-8", newline="") as file,
        ):
            words = pl.col(pl.Boolean).cast(pl.String)  # true and false, as other programs read
            write_csv(file, marked.columns, marked.with_columns(words).iter_rows())
    written = [{"file": f"{name}.csv", "rows": table.height} for name, table in tables.items()]
    print_rows(written, "table")


@app.command("rm")
def remove(
    study: StudyArgument,
    root: RootOption = ROOT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Also if it cannot be read.")] = False,
) -> None:
    """Delete a study's folder; refused while a driver runs it."""
    from mmstudy.storage.lock import driver_lock

    try:
        opened = opened_study(study, root)
        folder, trials = opened.folder, f"{sum(opened.counts().values())} trials"
    except (MMStudyError, DataError) as error:
        if not damaged:
            raise MMStudyError(f"{error} To delete the study all the same: --damaged.") from error
        folder, trials = _damaged(study_place(study, root)), "no trial that can be read"
    if not yes:
        typer.confirm(f"Delete {folder.address} with {trials}?", abort=True, err=True)
    with driver_lock(folder):
        folder.delete()
    folder.root.rmdir()
    say(f"Deleted {folder.name}, {trials}.")


def _damaged(place: Path | str) -> StudyFolder:
    """The folder of a study that cannot be read, told by the names in it; no file is believed.

    Raises:
        UsageError: it is in a store, no study, or holds something else.
    """
    from mmstudy.storage.folder import StudyFolder

    folder = StudyFolder.at(str(place))
    if folder.stored:
        raise UsageError(f"{folder.address} is in a store; delete it with the tools of the store.")
    if fault := folder.foreign():
        raise UsageError(f"{folder.root} {fault}, so it is not deleted. Look what it is.")
    return folder


@app.command()
def doctor(root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """What this machine offers: versions, decoders, disk, processors, GPUs, browser, Ray."""
    from mmstudy.provenance import INSTALL_CODECS, INSTALL_RUN, cpu_name, missing_to_run, versions

    here = next(p for p in (root.resolve(), *root.resolve().parents) if p.exists())
    browser = from_home(os.environ.get("CHROMIUM", "")) or shutil.which("chromium")
    free = shutil.disk_usage(here).free
    missing = missing_to_run()
    machine: list[dict[str, Any]] = [
        {"what": "free disk", "found": f"{free / 2**30:.1f} GiB", "ok": free > 2**30},
        {"what": "processors", "found": f"{os.cpu_count()} x {cpu_name()}", "ok": True},
        {"what": "browser", "found": browser or "none", "ok": browser is not None},
        *([] if missing else _to_run()),
    ]
    slices = _syntaxes() if "pydicom" not in missing else []
    installed: list[dict[str, Any]] = [
        {"what": "install", "found": "reads results" if missing else "full", "ok": not missing},
        *({"what": k, "found": found, "ok": found != "absent"} for k, found in versions().items()),
        *slices,
    ]
    print_rows([*installed, *machine], how)
    if missing:
        say(f"Studies can be read here, not run: {INSTALL_RUN} adds {', '.join(missing)}.")
    if not all(row["ok"] for row in slices):
        say(f"Some compressed DICOM cannot be read here: {INSTALL_CODECS} adds its decoders.")
    bad = [str(row["what"]) for row in machine if not row["ok"]]
    if bad and not missing:
        say(f"Not there: {', '.join(bad)}. Studies run without, on a CPU far slower.")


def _syntaxes() -> list[dict[str, Any]]:
    """Which compressed slices can be ingested here."""
    from mmcaf.data.ingest.values.codecs import COMPRESSED, decoder_of

    by = {f"DICOM: {name}": decoder_of(syntax) for syntax, name in COMPRESSED.items()}
    return [
        {"what": what, "found": decoder or "no decoder", "ok": decoder is not None}
        for what, decoder in by.items()
    ]


def _to_run() -> list[dict[str, Any]]:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [
        {"what": "GPUs", "found": ", ".join(names) or "none", "ok": bool(names)},
        {"what": "Ray", "found": os.environ.get("RAY_ADDRESS", "started when needed"), "ok": True},
    ]
