"""One trial: its settings, curves, what it says of the patients, and how to train it again."""

from __future__ import annotations

from typing import Any

import frame
import loading
import polars as pl
import streamlit as st

from mmcaf.stats.metrics import ConfusionMatrix, Proportion
from mmstudy import plots
from mmstudy.analysis.cases import CLASSES
from mmstudy.analysis.filters import as_text
from mmstudy.comparison.diagnosis import Diagnosis
from mmstudy.comparison.row import Figure
from mmstudy.report.comparison import measure
from mmstudy.study import Study
from views import explanations

__all__ = ["confusion", "show"]

_FACTS = ("hardware", "device", "threads", "host", "code_version", "cohort_digest", "seed")


@frame.page
def show(study: Study) -> None:
    """The page."""
    trials = loading.trials(study)
    if trials.is_empty():
        frame.tell("info", "No trial has begun yet.")
        return
    numbers = sorted(trials["number"].to_list())
    chosen = study.best_trial()
    best = int(chosen["number"] if chosen else trials["number"][0])
    asked = st.query_params.get("trial")
    if asked is not None and asked not in map(str, numbers):
        frame.tell("warning", f"There is no trial {asked!r} here; this is another.")
    if st.session_state.get("trial") not in (None, *numbers):
        st.session_state["trial"] = best  # of another study
    number = st.number_input(
        "Trial",
        min_value=numbers[0],
        max_value=numbers[-1],
        value=best,
        step=1,
        key="trial",
        bind="query-params",
    )
    frame.follow(study, lambda: _body(study, int(number)))


def _body(study: Study, number: int) -> None:
    found = loading.trials(study).filter(pl.col("number") == number).to_dicts()
    if not found:
        frame.tell("info", f"There is no trial {number} any more.")
        return
    row = found[0]
    _strip(row)
    left, right = st.columns([2, 3])
    with left:
        st.subheader("Settings")
        frame.table(_settings(row), study, alt="Settings of the trial")
        st.subheader("Again")
        frame.command("rerun", str(study.folder.root), str(number), "--check")
    with right:
        st.subheader("Every fold")
        _curves(study, number)
    if row["state"] != "complete":
        frame.tell("info", "What it says of each patient is shown once the trial is complete.")
        return
    _diagnosis(study, number)


def _strip(row: dict[str, Any]) -> None:
    value, epoch = row["value"], row["best_epoch"]
    frame.facts(
        ("State", str(row["state"])),
        ("Validation AUROC", "–" if value is None else f"{value:.3f}"),
        ("Best epoch", "–" if epoch is None else str(epoch + 1)),
        ("Computing", frame.shown_duration(row["seconds"])),
        ("Attempts", str(row["attempts"])),
        *_throughput(row),
    )
    if row["reason"]:
        frame.tell("info" if row["state"] == "pruned" else "warning", str(row["reason"]))


def _throughput(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Where the seconds went, as far as the record of this version says."""
    gpu, wait, busy = (
        row.get(name) for name in ("gpu_seconds", "data_wait_share", "gpu_utilisation")
    )
    shown = []
    if gpu:
        shown.append(("GPU time", frame.shown_duration(gpu)))
    if wait is not None:
        shown.append(("Waiting for data", f"{wait:.0%}"))
    if busy is not None:
        shown.append(("GPU busy", f"{busy:.0%}"))
    return shown


def _settings(row: dict[str, Any]) -> pl.DataFrame:
    shown = [(key.removeprefix("param:"), v) for key, v in row.items() if key.startswith("param:")]
    known = [(name.replace("_", " "), row[name]) for name in _FACTS if row.get(name) is not None]
    pairs = [*shown, *known]
    return pl.DataFrame(
        {"setting": [name for name, _ in pairs], "value": [as_text(value) for _, value in pairs]}
    )


def _curves(study: Study, number: int) -> None:
    study = study.read()
    epochs = study.metrics(number)
    known = [name for name in plots.MEASURES if epochs[name].null_count() < epochs.height]
    if not known:
        frame.tell("info", "No epoch has ended yet.")
        return
    measure = st.selectbox(
        "Measure",
        known,
        format_func=lambda one: plots.MEASURES[one],
        key="measure",
        bind="query-params",
    )
    frame.chart(plots.folds(study, number, measure), study)


def _diagnosis(study: Study, number: int) -> None:
    found = loading.diagnosis(study, number)
    st.subheader("Patients, each once, out of fold")
    st.caption(
        f"{found.row.positives} squamous and {found.row.n - found.row.positives} adenocarcinoma "
        "validation patients; called squamous from a raw probability of 0.5 on. The epoch, and "
        "the best trial, were chosen on these same patients."
    )
    st.caption(found.world.sentence)
    left, right = st.columns(2)
    with left:
        frame.table(_rates(found), study, alt="Rates with intervals and counts")
    with right:
        frame.table(confusion(found.row.counts), study, alt="Confusion matrix")
        _predictive(found)
        st.caption(found.about_calibration)
        if found.about_shift:
            st.caption(found.about_shift)
    left, right = st.columns(2)
    with left:
        if found.curve is None:
            frame.tell("info", "Without cases of both classes there is no ROC curve.")
        else:
            frame.chart(plots.roc(study, number, found=found), study)
    with right:
        frame.chart(plots.calibration(study, number, found=found), study)
    _benefit(study, number)
    _cases(study, number, found)
    explanations.of_trial(study, number)


def _benefit(study: Study, number: int) -> None:
    frame.chart(plots.net_benefit(study, number), study)
    st.caption(
        "Net benefit: true positives less false ones, a false one weighing as much as the "
        "threshold says, per patient. Where its curve is below another line, it helps nobody."
    )


def _rates(found: Diagnosis) -> pl.DataFrame:
    figures: dict[str, Figure | Proportion] = {
        **found.row.rates,
        "AUROC": found.row.auroc,
        "F1": found.row.f1,
    }
    figures |= {"AUPRC": found.row.auprc, "Brier score": found.row.brier}
    names = {"ppv": "PPV", "npv": "NPV"}
    return pl.DataFrame(
        {
            "measure": [names.get(name, name) for name in figures],
            "value [95 % interval] counts": [str(measure(figure)) for figure in figures.values()],
        }
    )


def confusion(counts: ConfusionMatrix) -> pl.DataFrame:
    """Truth down, call across."""
    return pl.DataFrame(
        {
            "truth": [CLASSES[1], CLASSES[0]],
            "called squamous": [counts.tp, counts.fp],
            "called adenocarcinoma": [counts.fn, counts.tn],
        }
    )


def _predictive(found: Diagnosis) -> None:
    """PPV and NPV where another share of the patients is squamous."""
    if not found.row.n:
        return
    own = round(100 * found.row.positives / found.row.n)
    percent = st.slider(
        "Share of squamous patients (%)",
        min_value=1,
        max_value=99,
        value=min(max(own, 1), 99),
        key="prevalence",
    )
    st.caption(found.about_predictive(percent / 100))


def _cases(study: Study, number: int, found: Diagnosis) -> None:
    st.subheader("Cases")
    known = found.row.predictions
    if known is None:
        return
    truth = pl.col("label").replace_strict(CLASSES, return_dtype=pl.String)
    called = pl.col("call").cast(pl.Int8).replace_strict(CLASSES, return_dtype=pl.String)
    once = known.unique("case", keep="first", maintain_order=True)
    kept = once.select("case", "label", "call")
    each = kept.join(found.row.per_case.drop("label"), on="case")
    scores = [name for name in ("corrected", "probability") if name in each.columns]
    table = each.select("case", *scores, truth=truth, called=called)
    table = table.select("case", "truth", "called", *scores).sort(
        pl.col("truth") == pl.col("called"), "probability"
    )
    st.session_state["_cases"] = table["case"].to_list()
    frame.table(
        table,
        study,
        key="cases-of-trial",
        on_select=_open_case,
        selection_mode="single-row",
        column_config={
            name: st.column_config.ProgressColumn(
                f"{of} probability of squamous", format="%.3f", min_value=0, max_value=1
            )
            for name, of in (("corrected", "corrected"), ("probability", "raw"))
        },
        alt="Validation cases, the misjudged first",
    )
    st.caption("The misjudged first. Select a case to see its CT.")


def _open_case() -> None:
    chosen = st.session_state["cases-of-trial"]["selection"]["rows"]
    if chosen:
        frame.go("cases", case=st.session_state["_cases"][chosen[0]])
