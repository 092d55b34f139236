"""Cohorts: make, read, look at them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from mmstudy.cli.shared import FormatOption, data, print_rows, print_table, say, user_path
from mmstudy.errors import CheckFailed, UsageError
from mmstudy.storage.origin import Origin

__all__ = ["data_check", "data_ingest", "data_show", "data_synth"]

Sources = Annotated[list[Path], typer.Argument(help="Folders with DICOM.", parser=user_path)]
AnnotationsOption = Annotated[
    Path | None, typer.Option(help="Folder of VOC annotations.", parser=user_path)
]
SheetOption = Annotated[
    Path | None, typer.Option(help="The clinical sheet, XLSX or CSV.", parser=user_path)
]
JobsOption = Annotated[int | None, typer.Option(min=1, help="Processes; else all cores.")]


@data.command("synth")
def data_synth(
    out: Annotated[
        Path, typer.Argument(help="Folder of the DICOM tree; made if missing.", parser=user_path)
    ],
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
    source: Sources,
    out: Annotated[Path, typer.Option(help="Folder of the cohort.", parser=user_path)],
    annotations: AnnotationsOption = None,
    clinical: SheetOption = None,
    in_plane: Annotated[int, typer.Option(help="Pixels per side of cached slices.")] = 208,
    jobs: JobsOption = None,
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


@data.command("check")
def data_check(
    source: Sources,
    annotations: AnnotationsOption = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", "--clinical", help="The clinical sheet.", parser=user_path),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write the page of results there.", parser=user_path)
    ] = None,
    in_plane: Annotated[int, typer.Option(help="Pixels per side of slices.")] = 208,
    jobs: JobsOption = None,
    how: FormatOption = "table",
) -> None:
    """All of `ingest` without a cohort: who would be in it, who not and why, what is doubtful.

    Every pixel that would be used is read; nothing is written but the page. Ends with 4 where a
    patient is left out or something is flagged.
    """
    from mmcaf.data.ingest.rules import CODES
    from mmcaf.data.ingest.run import check
    from mmcaf.files.atomic import replacing
    from mmstudy.cli.progress import Reporter
    from mmstudy.report.ingestion import doubts_in, ingestion_table

    told = check(
        source,
        annotation_folder=annotations,
        sheet=sheet,
        in_plane_px=in_plane,
        workers=jobs,
        progress=Reporter().steps,
    )
    if page is not None:
        with replacing(page) as beside:
            beside.write_text(told.page, encoding="utf-8")
        say(f"To look at: {page}")
    print_table(ingestion_table(told.report, CODES, told.set_aside), how)
    if doubts := doubts_in(told.report):
        counted = ", ".join(f"{count} {what}" for what, count in doubts.items())
        raise CheckFailed(f"Not clean: {counted}.")
    say(f"{told.report['patients']} patients; nobody is left out, nothing is doubtful.")


@data.command("show")
def data_show(
    cohort: Annotated[Path, typer.Argument(help="The cohort's folder.", parser=user_path)],
) -> None:
    """Counts, exclusions by reason, fingerprint."""
    from mmcaf.data.cohort import load
    from mmcaf.data.ingest.report import read_report

    load(cohort)
    report = read_report(cohort)
    report.pop("choices", None)  # of every patient: the page shows them
    origin = Origin(report["synthetic"])
    for warning in origin.warnings:
        say(warning)
    sys.stdout.write(json.dumps({"origin": origin.column} | report, indent=2) + "\n")
