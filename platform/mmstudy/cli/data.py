"""Cohorts: make, read, look at them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmstudy.cli.shared import data, print_rows, say, user_path
from mmstudy.errors import UsageError
from mmstudy.storage.origin import Origin

__all__ = ["data_ingest", "data_show", "data_synth"]


@data.command("synth")
def data_synth(
    out: Annotated[Path, typer.Argument(help="Folder of the DICOM tree; made if missing.")],
    patients: Annotated[int, typer.Option(help="How many, of both classes.")] = 24,
    size: Annotated[int, typer.Option(help="Pixels per side of a slice.")] = 128,
    slices: Annotated[int, typer.Option(help="Slices of one patient.")] = 24,
    signal_image: Annotated[float, typer.Option(help="Of lesions; 1 is the collection's.")] = 1.5,
    signal_clinical: Annotated[float, typer.Option(help="Of the sheet; 0 is no signal.")] = 1.0,
    variant: Annotated[
        str, typer.Option(help="plain, hu-trap, order-trap, multi-phase, scanner-confounded.")
    ] = "plain",
    faults: Annotated[bool, typer.Option("--faults", help="With all that can go wrong.")] = False,
    seed: Annotated[int, typer.Option(help="Decides every random number.")] = 0,
) -> None:
    """Write a synthetic cohort as DICOM in the collection's layout, its truth known."""
    from mmcaf.data.synthetic.faults.strike import patients_needed, strike
    from mmcaf.data.synthetic.write import SyntheticSpec, write
    from mmcaf.files.names import folder_fault
    from mmstudy.cli.progress import Reporter

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
    if fault := folder_fault(out):
        raise UsageError(fault)
    write(out, spec, Reporter().steps)
    if faults:
        strike(out)
    made = {"written": str(out), "patients": patients, "origin": Origin(synthetic=True).column}
    print_rows([made], "table")


@data.command("ingest")
def data_ingest(
    source: Annotated[list[Path], typer.Argument(help="Folders with DICOM.")],
    out: Annotated[Path, typer.Option(help="Folder of the cohort.", parser=user_path)],
    annotations: Annotated[
        Path | None, typer.Option(help="Folder of VOC annotations.", parser=user_path)
    ] = None,
    clinical: Annotated[
        Path | None, typer.Option(help="The clinical sheet.", parser=user_path)
    ] = None,
    in_plane: Annotated[int, typer.Option(help="Pixels per side of cached slices.")] = 208,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes; else all cores.")] = None,
    task: Annotated[Literal["adc-vs-scc"], typer.Option(help="What is told apart.")] = "adc-vs-scc",
) -> None:
    """Read DICOM, annotations and the clinical sheet of one or more folders into a cohort."""
    from mmcaf.data.ingest.run import ingest
    from mmstudy.cli.progress import Reporter

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
def data_show(cohort: Annotated[Path, typer.Argument(help="The cohort's folder.")]) -> None:
    """Counts, exclusions by reason, fingerprint."""
    from mmcaf.data.cohort import load
    from mmcaf.data.ingest.report import read_report

    load(cohort)
    report = read_report(cohort)
    origin = Origin(report["synthetic"])
    for warning in origin.warnings:
        say(warning)
    sys.stdout.write(json.dumps({"origin": origin.column} | report, indent=2) + "\n")
