"""After the search: again, confirmed, on the test set, on other patients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmstudy.cli.shared import (
    ROOT,
    CohortOption,
    FormatOption,
    InlineOption,
    RootOption,
    StudyArgument,
    TrialArgument,
    WeightsOption,
    app,
    cohort_place,
    opened_study,
    print_rows,
    say,
    trial_number,
)
from mmstudy.errors import CheckFailed, UsageError

__all__ = ["confirm", "evaluate", "predict", "rerun"]


@app.command()
def rerun(
    study: StudyArgument,
    trial: TrialArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the trial's.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 4 unless all is equal.")] = False,
    weights: WeightsOption = None,
    how: FormatOption = "table",
) -> None:
    """The same trial again, its numbers beside the stored ones."""
    from mmstudy.followup.rerun import drift
    from mmstudy.followup.rerun import rerun as again

    opened = opened_study(study, root)
    if check and seed is not None:
        raise UsageError("--check compares with what the stored seed gave; leave out --seed.")
    number = trial_number(opened, trial)
    rows = list(again(opened, number, cohort, seed=seed, weights=weights))
    shown = [row for row in rows if row["metric"] == "auroc" or not row["same"]]
    print_rows(shown, how, opened.origin)
    wrong = [row for row in rows if not row["same"]]
    for line in drift(opened, number) if wrong else ():
        say(f"Computed elsewhere: {line}.")
    if check and wrong:
        named = ", ".join(f"{r['metric']} of fold {r['fold']} epoch {r['epoch']}" for r in wrong)
        raise CheckFailed(f"{len(wrong)} of {len(rows)} stored values do not hold: {named}.")
    if check:
        sys.stderr.write(f"All {len(rows)} stored values hold exactly (difference 0).\n")


@app.command()
def confirm(
    study: StudyArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="New splits and seeds for each.")] = 5,
    weights: WeightsOption = None,
    inline: InlineOption = False,
    how: FormatOption = "table",
) -> None:
    """The best few trials over new splits and training seeds, with intervals."""
    from mmstudy.cli.progress import Reporter
    from mmstudy.cli.run import runner_for
    from mmstudy.followup.confirm import confirm as confirm_trials

    opened = opened_study(study, root)
    rows = confirm_trials(
        opened,
        runner_for(inline),
        cohort=cohort,
        top=top,
        seeds=seeds,
        weights=weights,
        progress=Reporter().steps,
        say=say,
    )
    print_rows(rows, how, opened.origin)


@app.command()
def evaluate(
    study: StudyArgument,
    trial: TrialArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    weights: WeightsOption = None,
    how: FormatOption = "table",
) -> None:
    """One trial on the patients set aside for testing; every look is logged and counted."""
    from mmstudy.analysis.selection import selection_of
    from mmstudy.cli.progress import Reporter
    from mmstudy.followup.evaluate import evaluate as look_at_test

    opened = opened_study(study, root)
    number = trial_number(opened, trial)
    row = look_at_test(opened, number, cohort, Reporter().steps, weights=weights, say=say)
    print_rows([row], how, opened.origin)
    found = selection_of(opened, cohort)
    say(found.looks.sentence)
    if why := found.untested(number):
        say(f"They are no test of this trial: {why}.")


@app.command()
def predict(
    study: StudyArgument,
    trial: TrialArgument,
    folder: Annotated[
        Path, typer.Argument(help="Another cohort, a folder or s3://…", parser=cohort_place)
    ],
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    cases: Annotated[bool, typer.Option("--cases", help="Every case's probability.")] = False,
    weights: WeightsOption = None,
    how: FormatOption = "table",
) -> None:
    """The trial's networks on patients of another cohort: metrics with n, or every case."""
    from mmcaf.data.node_cache import load_cohort
    from mmcaf.stats.areas import auroc_interval, auroc_standard_error
    from mmcaf.stats.metrics import rates
    from mmstudy.cli.progress import Reporter
    from mmstudy.followup.predict import predict as predict_other
    from mmstudy.storage.origin import Origin

    opened = opened_study(study, root)
    number = trial_number(opened, trial)
    found = predict_other(opened, number, folder, Reporter().steps, cohort=cohort, weights=weights)
    origin = Origin(opened.synthetic or load_cohort(folder).synthetic, opened.oracle)
    if cases:
        print_rows(found.to_dicts(), how, origin)
        return
    labels, scores = found["label"].to_numpy(), found["probability"].to_numpy()
    row: dict[str, Any] = {"n": found.height, "n_squamous": int(labels.sum())}
    row |= rates(labels, scores)
    row["auroc_standard_error"] = auroc_standard_error(labels, scores)
    row["auroc_low"], row["auroc_high"] = auroc_interval(labels, scores)
    print_rows([row], how, origin)
