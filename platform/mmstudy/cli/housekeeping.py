"""Keep house: gather small files, take tables elsewhere, delete, check the machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from mmstudy.cli.shared import (
    ROOT,
    FormatOption,
    RootOption,
    StudyArgument,
    app,
    opened_study,
    print_rows,
    say,
)

__all__ = ["compact", "doctor", "export", "remove"]


@app.command()
def compact(study: StudyArgument, root: RootOption = ROOT) -> None:
    """Gather the tables of ended trials into segments; readers never notice."""
    from mmstudy.storage.lock import driver_lock
    from mmstudy.storage.mirror import pull
    from mmstudy.storage.segments import compact as gather

    opened = opened_study(study, root)
    with driver_lock(opened.paths):
        pull(opened.paths, at_once=True)
        moved = gather(opened.paths)
    print_rows([{"study": opened.name, "trials_moved": moved}], "table")


@app.command()
def export(
    study: StudyArgument,
    out: Annotated[Path, typer.Option(help="Folder for the tables; made if missing.")],
    root: RootOption = ROOT,
) -> None:
    """Trials, epochs, predictions, confirmations and test looks as one CSV file each."""
    import polars as pl

    from mmcaf.files.atomic import replacing
    from mmstudy.storage.segments import read_table

    opened = opened_study(study, root)
    tables = {
        "trials": opened.trials(),
        "metrics": opened.metrics(),
        "predictions": read_table(opened.paths, "predictions"),
        "confirmations": opened.confirmations(),
        "evaluations": opened.evaluations(),
    }
    origin = pl.lit("SYNTHETIC" if opened.synthetic else "real").alias("origin")
    for name, table in tables.items():
        with replacing(out / f"{name}.csv") as beside:
            table.with_columns(origin).write_csv(beside)
    written = [{"file": f"{name}.csv", "rows": table.height} for name, table in tables.items()]
    print_rows(written, "table")


@app.command("rm")
def remove(
    study: StudyArgument,
    root: RootOption = ROOT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a study's folder; refused while a driver runs it."""
    from mmcaf.files.remote import origin
    from mmstudy.storage.lock import driver_lock

    opened = opened_study(study, root)
    trials = sum(opened.counts().values())
    if not yes:
        typer.confirm(f"Delete {opened.paths.root} with {trials} trials?", abort=True, err=True)
    with driver_lock(opened.paths):
        if (remote := origin(opened.paths.root)) is not None:
            remote.delete_all()
        # study.json last: an interrupted deletion is still a study that can be deleted.
        for path in sorted(opened.paths.root.iterdir(), key=lambda p: p == opened.paths.study):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    opened.paths.root.rmdir()
    say(f"Deleted {opened.name}, {trials} trials.")


@app.command()
def doctor(root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """What this machine offers a study: versions, disk, processors, GPUs, browser, Ray."""
    import os

    from mmstudy.provenance import cpu_name, versions

    here = next(p for p in (root.resolve(), *root.resolve().parents) if p.exists())
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    rows: list[dict[str, Any]] = [
        {"what": name, "found": found, "ok": found != "absent"}
        for name, found in versions().items()
    ]
    free = shutil.disk_usage(here).free
    rows += [
        {"what": "free disk", "found": f"{free / 2**30:.1f} GiB", "ok": free > 2**30},
        {"what": "processors", "found": f"{os.cpu_count()} x {cpu_name()}", "ok": True},
        _gpus(),
        {"what": "browser", "found": browser or "none", "ok": browser is not None},
        {"what": "Ray", "found": os.environ.get("RAY_ADDRESS", "started when needed"), "ok": True},
    ]
    print_rows(rows, how)
    bad = [str(row["what"]) for row in rows if not row["ok"]]
    if bad:
        say(f"Not there: {', '.join(bad)}. Studies run without, on a CPU far slower.")


def _gpus() -> dict[str, Any]:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"what": "GPUs", "found": ", ".join(names) or "none", "ok": bool(names)}
