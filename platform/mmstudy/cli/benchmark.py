"""Every network of the paper's tables on one cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mmstudy.cli.shared import (
    ROOT,
    FormatOption,
    InlineOption,
    RootOption,
    app,
    cohort_place,
    print_table,
    say,
    user_path,
)
from mmstudy.errors import MMStudyError

__all__ = ["benchmark"]


@app.command()
def benchmark(
    cohort: Annotated[
        Path, typer.Argument(help="The cohort, a folder or s3://…", parser=cohort_place)
    ],
    models: Annotated[str, typer.Option(help="`all`, or rows with commas between them.")] = "all",
    trials: Annotated[int, typer.Option(min=1, help="Trials of every row.")] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="New splits and seeds for each best.")] = 3,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of every stage and step.")] = None,
    width: Annotated[float | None, typer.Option(help="Of every trunk.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="The same for all rows.")] = None,
    root: RootOption = ROOT,
    gpu: Annotated[float, typer.Option(min=0, help="GPUs of one trial; a share of one.")] = 0.0,
    cpu: Annotated[int, typer.Option(min=1, help="Processors of one trial.")] = 1,
    sam: Annotated[
        Path | None, typer.Option(help="Folder of SAM's weights, for its row.", parser=user_path)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="path=value, for all rows; repeatable.")
    ] = None,
    inline: InlineOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all rows, run none.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only print what there is.")] = False,
    how: FormatOption = "table",
) -> None:
    """Train every row of the paper's tables on one footing, or go on with it, and compare."""
    from contextlib import nullcontext

    from mmstudy.benchmark.read import read_benchmark
    from mmstudy.benchmark.rows import wanted_rows
    from mmstudy.report.benchmark import benchmark_table

    wanted = wanted_rows(models)
    if not show:
        from mmstudy.benchmark.run import Budget, plan_benchmark, run_benchmark
        from mmstudy.cli.progress import Reporter
        from mmstudy.cli.run import runner_for

        budget = Budget(
            trials=trials,
            seeds=seeds,
            epochs=epochs,
            width=width,
            folds=folds,
            gpu=gpu,
            cpu=cpu,
            settings=tuple(set_ or ()),
        )
        plan = plan_benchmark(wanted, budget, cohort=cohort, root=root, sam=sam)
        for key, why in plan.faults.items():
            say(f"{key}: {why}.")
        if dry_run:
            for key, of in plan.plans.items():
                say(f"{key}: {of.describe()}")
            return
        # One cluster for all rows: each row's own runner finds it running.
        with nullcontext() if inline else runner_for(False):
            run_benchmark(
                plan,
                lambda cheap: runner_for(inline or cheap),
                progress=Reporter().steps,
                say=say,
            )
    found = read_benchmark(root)
    if found is None:
        raise MMStudyError(f"No benchmark in {root}; leave out --show to begin one.")
    rows = tuple(row for row in found.rows if row.entry.key in wanted)
    print_table(benchmark_table(replace(found, rows=rows)), how)
