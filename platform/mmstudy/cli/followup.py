"""After the search: again, confirmed, on the test set, on other patients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmstudy.cli.shared import (
    ROOT,
    CohortOption,
    FormatOption,
    InlineOption,
    PrevalenceOption,
    RootOption,
    StudyArgument,
    TrialArgument,
    WeightsOption,
    app,
    cohort_place,
    known_prevalence,
    opened_study,
    print_rows,
    print_table,
    say,
    trial_number,
)
from mmstudy.errors import CheckFailed, UsageError
from mmstudy.report.table import MACHINES

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
    """The best few trials over new folds of the same patients and new seeds, with intervals.

    That takes out luck of training, not of patients; the columns on errors say how much is which.
    """
    from mmstudy.analysis.luck import luck_sentences
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
    for sentence in luck_sentences(opened):
        say(sentence)


@app.command()
def evaluate(
    study: StudyArgument,
    trial: TrialArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    weights: WeightsOption = None,
    prevalence: PrevalenceOption = None,
    how: FormatOption = "table",
) -> None:
    """The ensemble of a trial's folds on the patients set aside; every look is logged and counted.

    Every rate has counts and an interval. Calls are made at 0.5 and at the mean of the folds'
    Youden thresholds; calibration is of corrected probabilities.
    """
    from mmstudy.analysis.selection import selection_of
    from mmstudy.cli.progress import Reporter
    from mmstudy.comparison.judged import judged_look
    from mmstudy.followup.evaluate import evaluate as look_at_test
    from mmstudy.report.judged import judged_table

    prevalence, opened = known_prevalence(prevalence), opened_study(study, root)
    number = trial_number(opened, trial)
    row = look_at_test(opened, number, cohort, Reporter().steps, weights=weights, say=say)
    found = judged_look(opened, number, row["look"])
    table = judged_table(found, number=number, look=row["look"], prevalence=prevalence)
    print_table(table, how)
    if how in MACHINES:
        say(found.world.sentence)
    selection = selection_of(opened, cohort)
    say(selection.looks.sentence)
    if why := selection.untested(number):
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
    prevalence: PrevalenceOption = None,
    how: FormatOption = "table",
) -> None:
    """The ensemble of a trial's folds on another cohort: rates with counts, or every case.

    Patients of the study's own cohort are refused, under whatever names. `corrected` is the
    probability at the share of squamous patients the networks trained on, `probability` is raw.
    """
    from mmcaf.data.node_cache import load_cohort
    from mmstudy.cli.progress import Reporter
    from mmstudy.comparison.judged import judged
    from mmstudy.followup.predict import predict as predict_other
    from mmstudy.report.judged import judged_table
    from mmstudy.storage.origin import Origin

    prevalence, opened = known_prevalence(prevalence), opened_study(study, root)
    number = trial_number(opened, trial)
    found = predict_other(opened, number, folder, Reporter().steps, cohort=cohort, weights=weights)
    origin = Origin(opened.synthetic or load_cohort(folder).synthetic, opened.oracle)
    if cases:
        print_rows(found.to_dicts(), how, origin)
        say(opened.world(number).sentence)
        return
    of = judged(opened, number, found, words="another cohort", origin=origin)
    print_table(judged_table(of, number=number, prevalence=prevalence), how)
    if how in MACHINES:
        say(of.world.sentence)
