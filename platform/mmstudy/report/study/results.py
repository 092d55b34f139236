"""Sections on what came out: the best trial's figures, curves, calibration, and the parts of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmcaf.stats.estimates import Estimate
from mmstudy import plots
from mmstudy.analysis.subgroups import LEAST, Subgroup, subgroups
from mmstudy.comparison.benefit import net_benefit
from mmstudy.comparison.diagnosis import Diagnosis
from mmstudy.comparison.row import RATE_NAMES
from mmstudy.errors import MMStudyError
from mmstudy.plots import Plot
from mmstudy.report.cells import Measure
from mmstudy.report.comparison import comparison_table, measure
from mmstudy.report.study.blocks import Block, Figure, Section, Words
from mmstudy.report.study.evidence import NO_COHORT, NO_TRIAL, Evidence
from mmstudy.report.table import Block as Rows
from mmstudy.report.table import Column, Table

__all__ = ["against", "calibration", "parts", "results"]

_HEADS = {"ppv": "PPV", "npv": "NPV"}
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)  # at which net benefit is told as numbers


def results(evidence: Evidence) -> Section:
    """The figures of the best trial, each with n and interval, and how the search went."""
    blocks: list[Block] = []
    found, best = evidence.found, evidence.best
    if best is None or found is None:
        blocks.append(Words(f"There is no best trial: {NO_TRIAL}.", "warning"))
        absent = NO_TRIAL
    else:
        absent = ""
        blocks.append(_values(evidence, best))
        blocks.append(_rates(found))
        blocks.append(
            Words(
                f"Trial {best['number']} at epoch {int(best['best_epoch'] or 0) + 1} (from 1). The "
                "epoch and the trial were chosen on these same patients; the expected "
                "value corrects for that choice, the confirmed one was measured anew."
            )
        )
        if found.about_shift:
            blocks.append(Words(found.about_shift, "remark"))
    blocks += _objectives(evidence)
    blocks += _pictures(evidence)
    return Section(name="results", title="Results", blocks=tuple(blocks), absent=absent)


def _values(evidence: Evidence, best: Mapping[str, Any]) -> Table:
    """The three values of the best trial, each with what it is."""
    found = evidence.found
    confirmed = evidence.study.confirmed().get(int(best["number"]))
    n = f"{found.row.n} patients" if found else "-"
    low, high = (found.row.auroc.low, found.row.auroc.high) if found else (None, None)
    rows = [
        {
            "what": "of the search, which maximised it: optimistic",
            "auroc": Measure(best["value"], low, high),
            "n": n,
        },
        _estimated(
            "expected, of what such a search picks, on other patients (BBC-CV)",
            evidence.compared.expected if evidence.compared else None,
            "judging patients",
        ),
        _estimated("confirmed, over new splits and seeds", confirmed, "folds"),
    ]
    return Table(
        columns=(Column("what", "Value"), Column("auroc", "AUROC [95 %]"), Column("n", "of")),
        blocks=(Rows("", tuple(rows)),),
        caption=f"AUROC of trial {best['number']}, the mean over folds; validation patients.",
    )


def _estimated(what: str, found: Estimate | None, counted: str) -> dict[str, Any]:
    if found is None or found.mean != found.mean:
        return {"what": what, "auroc": Measure(), "n": "not made"}
    known = found.low == found.low
    cell = Measure(found.mean, found.low if known else None, found.high if known else None)
    return {"what": what, "auroc": cell, "n": f"{found.n} {counted}"}


def _rates(found: Diagnosis) -> Table:
    row = found.row
    cells = {name: measure(row.rates[name]) for name in RATE_NAMES}
    cells |= {"F1": measure(row.f1), "AUPRC": measure(row.auprc), "Brier": measure(row.brier)}
    return Table(
        columns=tuple(Column(name, _HEADS.get(name, name)) for name in cells),
        blocks=(Rows("", (cells,)),),
        caption=f"Out of fold at {row.threshold}: {row.n} patients, {row.positives} squamous. "
        "PPV, NPV and accuracy hold for this share of squamous patients.",
    )


def _objectives(evidence: Evidence) -> list[Block]:
    names = evidence.study.about.objectives
    if len(names) < 2:
        return []
    columns = ["number", *("value" if name == "auroc" else name for name in names)]
    rows = evidence.study.front().select(columns).to_dicts()
    return [
        Table(
            columns=tuple(map(Column, columns)),
            blocks=(Rows("", tuple(rows)),),
            caption="Several objectives: the trials that no other beats in all of them.",
        )
    ]


def _pictures(evidence: Evidence) -> list[Block]:
    study, n = evidence.study, evidence.study.about.n_cases
    counts = study.counts()
    return [
        *_drawn(
            "Value by trial",
            lambda: plots.history(study, trials=evidence.trials),
            f"{counts['complete']} complete trials in the order they began, each value the mean "
            f"validation AUROC over {study.folds} folds; of {n} patients in all.",
        ),
        *_drawn(
            "Learning curves",
            lambda: plots.learning_curves(study, trials=evidence.trials),
            "Mean validation AUROC over folds by epoch, of the best trials by number, over the "
            f"middle 80 % of all {evidence.trials.height}.",
        ),
        *_drawn(
            "Importance of settings",
            lambda: plots.importance(study),
            "Share of the variation in value that each searched setting explains, by two measures; "
            "n are the complete trials that have the setting.",
        ),
        *_drawn(
            "Confirmation",
            lambda: plots.confirmed(study, trials=evidence.trials),
            "Confirmed means over new splits and seeds with 95 % intervals, every fold's value, "
            "and the search's own.",
        ),
    ]


def _drawn(title: str, draw: Callable[[], Plot], text: str) -> list[Block]:
    """The figure, or why there is none."""
    try:
        picture = draw()
    except MMStudyError as error:
        return [Words(f"{title}: not shown. {error}", "remark")]
    if not any(len(layer.x) for layer in picture.layers):
        return [Words(f"{title}: not shown, there is nothing to draw.", "remark")]
    return [Figure(title, text, picture)]


def calibration(evidence: Evidence) -> Section:
    """ROC curve, calibration and net benefit of the best trial."""
    name, title = "performance", "Discrimination, calibration, net benefit"
    found, study = evidence.found, evidence.study
    if found is None or evidence.best is None:
        told = Words(f"Not shown: {NO_TRIAL}.", "warning")
        return Section(name=name, title=title, blocks=(told,), absent=NO_TRIAL)
    number = int(evidence.best["number"])
    row = found.row
    of = f"{row.n} validation patients, {row.positives} squamous, out of fold"
    rates = ", ".join(f"{name} {measure(row.rates[name])}" for name in RATE_NAMES[:2])
    blocks: list[Block] = [
        *_drawn(
            "ROC curve",
            lambda: plots.roc(study, number, found=found),
            f"AUROC {row.auroc} of {of}, the mean of the folds' curves. At {row.threshold}: "
            f"{rates}.",
        ),
        *_drawn(
            "Calibration",
            lambda: plots.calibration(study, number, found=found),
            "Predicted against observed share of squamous patients in "
            f"{len(found.calibration.bins)} groups, {of}. {found.about_calibration}",
        ),
        Words(found.world.sentence, "remark"),
        _groups(found),
        *_drawn(
            "Net benefit",
            lambda: plots.net_benefit(study, number),
            f"By threshold, beside treating everybody and nobody; of {of}. Acting means treating "
            "as squamous; the threshold is the exchange rate between a missed squamous patient and "
            "one treated in vain (Vickers and Elkin 2006).",
        ),
        *_benefit(evidence, number),
    ]
    return Section(name=name, title=title, blocks=tuple(blocks))


def _groups(found: Diagnosis) -> Table:
    rows = [
        {"predicted": f"{one.predicted:.3f}", "observed": measure(one.observed)}
        for one in found.calibration.bins
    ]
    return Table(
        columns=(
            Column("predicted", "Mean predicted probability"),
            Column("observed", "Observed share of squamous [95 %]"),
        ),
        blocks=(Rows("", tuple(rows)),),
        caption="The groups of the calibration figure.",
    )


def _benefit(evidence: Evidence, number: int) -> list[Block]:
    curve = net_benefit(evidence.study, number, _THRESHOLDS)
    if curve is None:
        return []
    rows = []
    for i, threshold in enumerate(curve.threshold):
        band = (
            (None, None)
            if curve.low is None or curve.high is None
            else (
                float(curve.low[i]),
                float(curve.high[i]),
            )
        )
        rows.append(
            {
                "threshold": f"{threshold:.1f}",
                "model": Measure(float(curve.model[i]), *band),
                "all": f"{curve.treat_all[i]:.3f}",
                "none": "0",
            }
        )
    return [
        Table(
            columns=(
                Column("threshold", "Threshold"),
                Column("model", "This trial [95 %]"),
                Column("all", "Everybody"),
                Column("none", "Nobody"),
            ),
            blocks=(Rows("", tuple(rows)),),
            caption="Net benefit per patient at some thresholds.",
        )
    ]


def against(evidence: Evidence) -> Section:
    """The best trial beside baselines and published rows, with what may be said."""
    name, title = "comparison", "Comparison"
    compared = evidence.compared
    if compared is None:
        told = Words(f"Not shown: {NO_TRIAL}.", "warning")
        return Section(name=name, title=title, blocks=(told,), absent=NO_TRIAL)
    blocks: list[Block] = [
        comparison_table(compared),
        *_drawn(
            "AUROC of all rows",
            lambda: plots.forest(evidence.study, rows=compared.rows),
            f"{len(compared.rows)} rows with their n and 95 % intervals; the table above has the "
            "numbers.",
        ),
    ]
    return Section(name=name, title=title, blocks=tuple(blocks), wide=True)


def parts(evidence: Evidence) -> Section:
    """Parts of the validation patients, each with its n; no test."""
    name, title = "subgroups", "Subgroups"
    found, patients = evidence.found, evidence.patients
    absent = NO_TRIAL if found is None else NO_COHORT if patients is None else ""
    if found is None or patients is None or found.row.predictions is None:
        told = Words(f"Not shown: {absent}.", "warning")
        return Section(name=name, title=title, blocks=(told,), absent=absent)
    listed = subgroups(found.row.predictions, patients)
    blocks = [
        Rows(factor, tuple(_part(one) for one in listed if one.factor == factor))
        for factor in dict.fromkeys(one.factor for one in listed)
    ]
    table = Table(
        columns=(
            Column("level", "Part"),
            Column("n", "n"),
            Column("squamous", "Squamous"),
            Column("adenocarcinoma", "Adenocarcinoma"),
            Column("auroc", "AUROC within folds [95 %]"),
        ),
        blocks=tuple(blocks),
        caption="Out-of-fold predictions of the best trial by part.",
    )
    remark = Words(
        "Exploratory: nothing is tested, and no part is compared with another. Of a part "
        f"of fewer than {LEAST} patients, or of one class, only n is told. The trial was chosen on "
        "these patients, so that every figure is optimistic.",
        "remark",
    )
    return Section(name=name, title=title, blocks=(table, remark))


def _part(one: Subgroup) -> dict[str, Any]:
    known = one.auroc is not None
    interval = one.interval or (None, None)
    return {
        "level": one.level,
        "n": one.n,
        "squamous": one.positives if known else None,
        "adenocarcinoma": one.n - one.positives if known else None,
        "auroc": Measure(one.auroc, *interval) if known else f"- ({one.reason})",
    }
