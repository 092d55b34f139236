"""What is left of the best trials over new splits and training seeds."""

from __future__ import annotations

import frame
import loading
import polars as pl
import streamlit as st

from mmcaf.stats.estimates import Estimate
from mmstudy import plots
from mmstudy.analysis.luck import luck_sentences
from mmstudy.study import Study

__all__ = ["show"]


@frame.page
def show(study: Study) -> None:
    """The page."""
    frame.follow(study, lambda: _body(study))


def _body(study: Study) -> None:
    study = study.read()
    runs, found = study.confirmations(), study.confirmed()
    if runs.is_empty():
        frame.tell("info", "Nothing was confirmed yet. This trains the best few again:")
        frame.command("confirm", str(study.folder.root), "--top", "3", "--seeds", "5")
        return
    if not found:
        frame.tell("info", "The first confirming run has not ended yet.")
        return
    trials = loading.trials(study)
    value = dict(trials.select("number", "value").iter_rows())
    seeds = dict(runs.group_by("number").agg(pl.col("run").n_unique()).iter_rows())
    frame.chart(plots.confirmed(study, trials=trials), study)
    _table(study, found, value, seeds)
    st.caption(
        "Each run deals new folds and uses a new training seed; the epoch is the trial's own, not "
        "chosen again. Intervals are 95 %, after Nadeau and Bengio, since folds share training "
        "patients. `values` counts folds of whole runs."
    )
    for sentence in luck_sentences(study):
        st.caption(sentence)
    _folds(study, runs)


def _table(
    study: Study, found: dict[int, Estimate], value: dict[int, float], seeds: dict[int, int]
) -> None:
    table = pl.DataFrame(
        [
            {
                "trial": number,
                "confirmed AUROC": one.mean,
                "low": one.low,
                "high": one.high,
                "in the search": value[number],
                "difference": one.mean - value[number],
                "seeds": seeds[number],
                "values": one.n,
            }
            for number, one in found.items()
        ]
    )
    number = st.column_config.NumberColumn
    columns = ("confirmed AUROC", "low", "high", "in the search", "difference")
    frame.table(
        table,
        study,
        column_config={name: number(format="%.3f") for name in columns},
        alt="Confirmed trials with intervals",
    )


def _folds(study: Study, runs: pl.DataFrame) -> None:
    with st.expander("Every fold of every run"):
        shown = runs.select(
            "number",
            (pl.col("run") + 1).alias("run"),
            (pl.col("fold") + 1).alias("fold"),
            "seed",
            "n_train",
            "n_val",
            "sensitivity",
            "specificity",
            "auroc",
        )
        frame.table(shown, study, alt="Every fold of every confirming run")
