"""Every chart of the dashboard, from a study: what it shows is read, computed and drawn here.

Who has read a table already gives it; the dashboard gives those of its cache, a notebook may give
the rows it wants to see. Without a trial's number the best trial is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import polars as pl

from mmstudy.analysis.filters import Setting
from mmstudy.analysis.filters import settings as searched
from mmstudy.analysis.overview import band, mean_curves
from mmstudy.analysis.overview import timeline as spans
from mmstudy.comparison.benefit import net_benefit as benefit
from mmstudy.comparison.comparison import compare
from mmstudy.comparison.diagnosis import Diagnosis, diagnosis
from mmstudy.comparison.row import MethodRow
from mmstudy.errors import MMStudyError
from mmstudy.plots import evidence, search, settings
from mmstudy.plots.plot import AUROC, Plot
from mmstudy.storage.explanations import ExplainedCase, Explanations, load
from mmstudy.study import Study

__all__ = [
    "COSTS",
    "MEASURES",
    "MEASURES_OF_ROWS",
    "attribute",
    "calibration",
    "confirmed",
    "contour",
    "folds",
    "forest",
    "history",
    "importance",
    "learning_curves",
    "net_benefit",
    "parallel",
    "pareto",
    "roc",
    "setting",
    "shap",
    "timeline",
]

MEASURES = {  # of an epoch: column -> words
    "auroc": AUROC,
    "sensitivity": "sensitivity at 0.5",
    "specificity": "specificity at 0.5",
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "brier": "Brier score",
    "lr": "learning rate",
}
MEASURES_OF_ROWS = ("sensitivity", "specificity", "accuracy", "auroc")  # of a comparison
COSTS = {  # of a trial: column -> words
    "seconds_per_epoch": "seconds per epoch",
    "parameters": "trainable weights",
    "seconds": "seconds in all",
    "gpu_seconds": "GPU seconds",
}


def history(study: Study, *, trials: pl.DataFrame | None = None) -> Plot:
    """The value of every complete trial in order, and the highest value of the search so far.

    Raises:
        MMStudyError: no trial is complete.
    """
    return _of(study, search.history(_complete(study, trials)))


def learning_curves(
    study: Study,
    numbers: Sequence[int] | None = None,
    *,
    top: int = 5,
    trials: pl.DataFrame | None = None,
    means: pl.DataFrame | None = None,
) -> Plot:
    """Mean AUROC by epoch of some trials, over the middle 80 % of all trials.

    Args:
        study: whose trials these are.
        numbers: of the trials; without them the best `top`, running ones included.
        top: how many without `numbers`.
        trials: `study.trials()`, if it is at hand.
        means: `mean_curves(study.metrics())`, if it is at hand.
    """
    if numbers is None:
        table = study.trials() if trials is None else trials
        drawn = table.filter(pl.col("state").is_in(["complete", "running"]))
        numbers = drawn["number"].head(top).to_list()
    means = mean_curves(study.metrics()) if means is None else means
    return _of(study, search.learning_curves(means, band(means), numbers))


def timeline(study: Study, *, trials: pl.DataFrame | None = None) -> Plot:
    """When the latest 200 trials ran, by state; one that runs ends now.

    Raises:
        MMStudyError: no trial has begun.
    """
    table = study.trials() if trials is None else trials
    if table.is_empty():
        raise MMStudyError(f"No trial of {study.name} has begun; there is nothing to draw.")
    return _of(study, search.timeline(spans(table, datetime.now(UTC))))


def parallel(study: Study, *, trials: pl.DataFrame | None = None) -> Plot:
    """A line per complete trial over all searched settings, coloured by its value.

    Raises:
        MMStudyError: no trial is complete, or the study searches no setting.
    """
    done = _complete(study, trials)
    return _of(study, settings.parallel(done, [*_settings(study, done).values()]))


def setting(study: Study, path: str, *, trials: pl.DataFrame | None = None) -> Plot:
    """The value of every complete trial against one searched setting, such as "train.lr".

    Raises:
        MMStudyError: no trial is complete, or the study does not search this setting.
    """
    done = _complete(study, trials)
    of = _one(_settings(study, done), path, "searched setting")
    if of.numeric:
        return _of(study, search.slices(done, of.column, path, log=of.log))
    return _of(study, search.options(done, of.column, path, of.options))


def contour(study: Study, x: str, y: str, *, trials: pl.DataFrame | None = None) -> Plot:
    """Mean value of the complete trials by two different searched settings, as coloured cells.

    Raises:
        MMStudyError: no trial is complete, or the study does not search these settings.
    """
    done = _complete(study, trials)
    known = _settings(study, done)
    across, up = (_one(known, path, "searched setting") for path in (x, y))
    if x == y:
        raise MMStudyError(f"A contour needs two different settings, got {x!r} twice.")
    return _of(study, settings.contour(done, across, up))


def pareto(
    study: Study, cost: str = "seconds_per_epoch", *, trials: pl.DataFrame | None = None
) -> Plot:
    """Value against a cost (a key of `COSTS`), and the trials that no other beats in both.

    Raises:
        MMStudyError: no trial is complete, or none recorded this cost.
    """
    label = _one(COSTS, cost, "cost")
    done = _complete(study, trials)
    if done[cost].null_count() == done.height:
        raise MMStudyError(f"No complete trial of {study.name} recorded its {label}.")
    best = search.cheapest(done, cost)
    if cost in study.about.objectives:
        best = study.front().filter(pl.col("number").is_in(done["number"].implode()))
    return _of(study, search.front(done, best, cost, label))


def importance(study: Study, rows: Sequence[Mapping[str, Any]] | None = None) -> Plot:
    """How much of the variation in value each searched setting explains.

    Args:
        study: whose settings these are.
        rows: what `mmstudy.importance(study)` computes; without them, what the driver wrote.

    Raises:
        MMStudyError: the driver wrote none; says why, and how to get them.
    """
    said = {"rows": rows} if rows is not None else study.importances()
    if said is None:
        raise MMStudyError(
            f"The driver of {study.name} has written no importance yet. "
            "`mmstudy.importance(study)` computes it: give its rows."
        )
    if "fault" in said:
        raise MMStudyError(said["fault"])
    return _of(study, search.importances(said["rows"]))


def folds(study: Study, number: int | None = None, measure: str = "auroc") -> Plot:
    """A measure (a key of `MEASURES`) of one trial by epoch, one line per fold.

    Raises:
        MMStudyError: no epoch of such a trial has ended, or its record lacks this measure.
    """
    label = _one(MEASURES, measure, "measure of an epoch")
    number = _number(study, number)
    epochs = study.metrics(number)
    if epochs[measure].null_count() == epochs.height:
        raise MMStudyError(f"{study.name} has no epoch of a trial {number} with its {label}.")
    return _of(study, evidence.fold_curves(epochs, measure, label))


def roc(study: Study, number: int | None = None, *, found: Diagnosis | None = None) -> Plot:
    """The ROC curve of a complete trial with its pointwise 95 % band, out of fold.

    Raises:
        MMStudyError: the trial is not complete, or its cases are all of one class.
    """
    found = found or diagnosis(study, _number(study, number))
    if found.curve is None:
        raise MMStudyError("Without cases of both classes there is no ROC curve.")
    return _of(study, evidence.roc(found.curve, found.band, f"AUROC {found.row.auroc}"))


def calibration(study: Study, number: int | None = None, *, found: Diagnosis | None = None) -> Plot:
    """Predicted against observed share of squamous cases of a complete trial, out of fold.

    Probabilities are corrected to the share of squamous patients in training, where that is known;
    raw ones stand beside them.

    Raises:
        MMStudyError: the trial is not complete.
    """
    found = found or diagnosis(study, _number(study, number))
    raw = found.raw if found.world.changes else None
    return _of(study, evidence.reliability(found.calibration, raw))


def net_benefit(study: Study, number: int | None = None) -> Plot:
    """Net benefit by threshold of a complete trial, out of fold, beside treating all or nobody.

    Raises:
        MMStudyError: the trial is not complete.
    """
    number = _number(study, number)
    curve = benefit(study, number)
    if curve is None:
        raise MMStudyError(f"Trial {number} of {study.name} was validated on no case.")
    return _of(study, evidence.net_benefit(curve, study.out_of_fold(number)["case"].n_unique()))


def confirmed(study: Study, *, trials: pl.DataFrame | None = None) -> Plot:
    """Confirmed means with intervals, every fold's value, and what the search had said.

    Raises:
        MMStudyError: no confirming run has ended.
    """
    study = study.read()
    found = study.confirmed()
    if not found:
        raise MMStudyError(
            f"No confirming run of {study.name} has ended. `mmstudy confirm` makes some."
        )
    table = study.trials() if trials is None else trials
    values = dict(table.select("number", "value").iter_rows())
    shown = {number: one for number, one in found.items() if number in values}
    if not shown:
        raise MMStudyError(f"No confirmed trial of {study.name} is among the trials given.")
    return _of(study, evidence.confirmed(shown, values, study.confirmations()))


def forest(
    study: Study, measure: str = "auroc", *, rows: Sequence[MethodRow] | None = None
) -> Plot:
    """A measure of the best trial, the baselines and the published rows, with 95 % intervals.

    Args:
        study: with a complete trial.
        measure: one of `MEASURES_OF_ROWS`.
        rows: `mmstudy.compare(study).rows`, if they are at hand.

    Raises:
        MMStudyError: no trial is complete, or there is no such measure.
    """
    _one(dict.fromkeys(MEASURES_OF_ROWS, measure), measure, "measure of a comparison")
    found = compare(study, expected=False).rows if rows is None else rows
    return _of(study, evidence.forest(found, measure))


def attribute(
    study: Study, name: str, number: int | None = None, *, found: Explanations | None = None
) -> Plot:
    """The logit of squamous as one clinical attribute moves, one line per fold.

    Raises:
        MMStudyError: nothing was explained of the trial, or it has no such attribute.
    """
    curves = (found or _explained(study, _number(study, number))).curves
    _one({curve.attribute: curve for curve in curves}, name, "explained attribute")
    return _of(study, evidence.attribute_curves([c for c in curves if c.attribute == name]))


def shap(
    study: Study, case: str, number: int | None = None, *, found: Explanations | None = None
) -> Plot:
    """What each clinical value of one case adds to the logit of squamous.

    Raises:
        MMStudyError: the case was not explained, or the network reads no clinical values.
    """
    cases = (found or _explained(study, _number(study, number))).cases
    one: ExplainedCase = _one({of.case: of for of in cases}, case, "explained case")
    if one.shap is None:
        raise MMStudyError(f"Case {case} has no SHAP values: the network reads no clinical row.")
    return _of(study, evidence.shap_values(one.shap))


def _of(study: Study, plot: Plot) -> Plot:
    """The plot with its study's name, and whose data it is of."""
    return replace(plot, note=study.origin.named(study.name))


def _complete(study: Study, trials: pl.DataFrame | None) -> pl.DataFrame:
    table = study.trials() if trials is None else trials
    done = table.filter(pl.col("state") == "complete").drop_nulls("value")
    if done.is_empty():
        raise MMStudyError(f"No trial of {study.name} to draw is complete.")
    return done


def _settings(study: Study, trials: pl.DataFrame) -> dict[str, Setting]:
    found = {one.path: one for one in searched(study, trials)}
    if not found:
        raise MMStudyError(f"{study.name} searches no setting.")
    return found


def _number(study: Study, number: int | None) -> int:
    """The trial that is meant: the best one where none is named."""
    if number is not None:
        return number
    best = study.best_trial()
    if best is None:
        raise MMStudyError(f"No trial of {study.name} is complete; name one by its number.")
    return int(best["number"])


def _explained(study: Study, number: int) -> Explanations:
    found = load(study.folder, number)
    if found is None:
        raise MMStudyError(
            f"Nothing was explained of trial {number} of {study.name}. `mmstudy explain` does it."
        )
    return found


def _one(known: Mapping[str, Any], name: str, what: str) -> Any:
    """The value of `name`; a name that is not known is told with all that are."""
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise MMStudyError(f"No {what} {name!r}; there are: {', '.join(known) or 'none'}.{hint}")
