"""Look at studies: nothing here computes a trial or changes a folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mmstudy.cli.shared import (
    ROOT,
    CohortOption,
    FormatOption,
    PrevalenceOption,
    RootOption,
    StudyArgument,
    TrialArgument,
    app,
    known_prevalence,
    opened_study,
    print_rows,
    print_table,
    say,
    short,
    trial_number,
)
from mmstudy.errors import MMStudyError
from mmstudy.report.table import PEOPLE

if TYPE_CHECKING:
    from mmstudy.analysis.listing import Standing

__all__ = ["best", "compare", "importance", "list_", "show", "status", "trials"]


@app.command("ls")
def list_(root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """The studies of a root; one that cannot be read is named, and hides no other."""
    from mmstudy.analysis.listing import listed

    rows, faults = [], []
    for one in listed(root):
        if one.standing is not None:
            rows.append(_summary(one.standing))
        else:
            faults.append(f"{one.name} {one.fault}")
    print_rows(rows, how)
    for fault in faults:
        say(fault)
    if not rows and not faults:
        say(f"There is no study in {root}. Begin one with `mmstudy run`, or give its --root.")


@app.command()
def status(study: StudyArgument, root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """How a study stands, and where its hours went."""
    from mmstudy.analysis.listing import standing
    from mmstudy.analysis.looks import looks_of

    opened = opened_study(study, root).read()
    hours = opened.hours()
    spent = {
        "hours": hours["all"],
        "hours_pruned": hours["pruned"],
        "hours_failed": hours["fail"],
        "gpu_hours": hours["gpu"],
        "test_looks": looks_of(opened).count,
    }
    print_rows([_summary(standing(opened)) | spent], how)


@app.command()
def trials(study: StudyArgument, root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """All trials, best first."""
    opened = opened_study(study, root).read()
    print_rows([short(row) for row in opened.trials().to_dicts()], how, opened.origin)


@app.command()
def best(study: StudyArgument, root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """The best trial: by its confirmed value where there is one; its optimism corrected.

    With several objectives, the trials that no other beats in all of them.
    """
    from mmstudy.analysis.optimism import corrected_best, judged_on
    from mmstudy.analysis.selection import selection_of

    opened = opened_study(study, root).read()
    if len(opened.about.objectives) > 1:
        front = opened.front()
        kept = front.select("seconds_per_epoch", "parameters").to_dicts()
        rows = [short(row) | of for row, of in zip(front.to_dicts(), kept, strict=True)]
        print_rows(rows, how, opened.origin)
        return
    number = trial_number(opened, "best")
    row = short(opened.trial(number))
    corrected, confirmed = corrected_best(opened), opened.confirmed().get(number)
    row.pop("confirmed", None)  # it stands last here, whether there is one or not
    row |= {
        "expected": corrected.mean if corrected else None,
        "expected_low": corrected.low if corrected else None,
        "expected_high": corrected.high if corrected else None,
        "confirmed": confirmed.mean if confirmed else None,
        "confirmed_low": confirmed.low if confirmed else None,
        "confirmed_high": confirmed.high if confirmed else None,
    }
    print_rows([row], how, opened.origin)
    say(selection_of(opened).sentence)
    say(
        "value: the search's own. expected: of the trial a search like this one picks, "
        "on patients it did not see (BBC-CV). confirmed: over new splits (`mmstudy confirm`)."
    )
    if words := judged_on(opened):
        say(words)


@app.command()
def show(
    study: StudyArgument, trial: TrialArgument, root: RootOption = ROOT, how: FormatOption = "table"
) -> None:
    """One trial, epoch by epoch."""
    opened = opened_study(study, root).read()
    number = trial_number(opened, trial)
    columns = ["fold", "epoch", "n_train", "n_val", "train_loss", "val_loss", "auroc"]
    columns += ["sensitivity", "specificity", "auprc", "brier", "seconds"]
    epochs = opened.metrics(number).select(columns).to_dicts()
    if how in PEOPLE:
        print_rows([short(opened.trial(number))], how, opened.origin)
        sys.stdout.write("\n")
        print_rows(epochs, how)
    else:
        print_rows(epochs, how, opened.origin)
    say("Folds and epochs count from 0 here and in files, from 1 in the dashboard.")


@app.command()
def importance(study: StudyArgument, root: RootOption = ROOT, how: FormatOption = "table") -> None:
    """Which searched settings the value depends on, how many trials say so, and what a probe says.

    With fewer than 30 complete trials nothing is said of importance; a probe is shown all the same.
    """
    from mmstudy.analysis.reach import foreign_probe, reach_columns
    from mmstudy.search.importance import importance as of

    opened = opened_study(study, root).read()
    found, rows, fault = opened.probe(), None, None
    try:
        rows = of(opened)
    except MMStudyError as error:
        if found is None:
            raise
        fault = str(error)
    print_rows(reach_columns(rows, found), how, opened.origin)
    counts = opened.counts()
    for words in (fault, foreign_probe(opened), None if fault else _READING, _pruned(counts)):
        if words:
            say(words)


@app.command()
def compare(
    study: StudyArgument,
    root: RootOption = ROOT,
    cohort: CohortOption = None,
    prevalence: PrevalenceOption = None,
    how: FormatOption = "table",
) -> None:
    """The best trial beside baselines and the paper's rows, with what a test says of each."""
    from mmstudy.comparison.comparison import compare as beside
    from mmstudy.report.comparison import comparison_table

    prevalence = known_prevalence(prevalence)
    found = beside(opened_study(study, root), cohort)
    print_table(comparison_table(found, prevalence), how)


_READING = (
    "fanova: a setting's part in how the value varies over the whole space, main effects alone. "
    "ped_anova: its part in what tells the best tenth of the trials from the rest. Either adds up "
    "to 1 also where nothing matters: by_chance is fanova's part then, and p is of no dependence, "
    "adjusted for all settings. Intervals are over trials: 95 %, bootstrap."
)


def _pruned(counts: dict[str, int]) -> str | None:
    if not counts["pruned"]:
        return None
    return (
        f"{counts['pruned']} of {sum(counts.values())} trials were pruned and have no value: what "
        "decided early is judged among its survivors, and looks smaller than it is."
    )


def _summary(now: Standing) -> dict[str, Any]:
    study = now.study
    return {
        "study": study.name,
        "origin": study.origin.column,
        "location": "oracle" if study.oracle else "tiling",
        "live": now.live,
        "asked": study.asked,
        **now.counts,
        "best": now.value,
        "confirmed": now.confirmed,
        "trial": now.trial,
        "n": study.about.n_cases - len(study.about.split.test),  # the value is of these
        "set_aside": len(study.about.split.test),
    }
