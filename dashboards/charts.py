"""Tables -> charts. Pure functions, no Streamlit; colours after Okabe and Ito."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

AnyChart = alt.LayerChart | alt.Chart | alt.FacetChart

__all__ = ["forest", "history", "learning_curves"]

STATE_COLOURS = {
    "complete": "#0072B2",
    "pruned": "#E69F00",
    "fail": "#D55E00",
    "running": "#999999",
}
_AUROC = alt.Scale(domain=[0, 1])


def history(trials: pl.DataFrame) -> AnyChart:
    """The objective of every complete trial in order, and the best so far."""
    done = trials.filter(pl.col("value").is_not_null()).sort("number")
    frame = done.select("number", "value", "state").with_columns(best=pl.col("value").cum_max())
    base = alt.Chart(frame).encode(x=alt.X("number:Q", title="trial", axis=alt.Axis(tickMinStep=1)))
    points = base.mark_circle(size=70, color=STATE_COLOURS["complete"]).encode(
        y=alt.Y("value:Q", title="validation AUROC", scale=alt.Scale(zero=False)),
        tooltip=["number", alt.Tooltip("value:Q", format=".3f")],
    )
    steps = base.mark_line(interpolate="step-after", color="#009E73").encode(y="best:Q")
    return alt.layer(steps, points).properties(height=260)


def learning_curves(trials: pl.DataFrame, epochs: pl.DataFrame, top: int = 5) -> AnyChart:
    """Mean validation AUROC over the folds: the `top` best trials, and those pruned dashed."""
    chosen = trials.filter(pl.col("state").is_in(["complete", "running"])).head(top)
    cut = trials.filter(pl.col("state") == "pruned").head(top)
    kept = pl.concat([chosen, cut]).select("number", "state")
    frame = (
        epochs.join(kept, on="number")
        .group_by("number", "state", "epoch")
        .agg(pl.mean("auroc"), pl.len().alias("folds"))
        .sort("number", "epoch")
        .with_columns(epoch=pl.col("epoch") + 1)
    )
    dash = alt.Scale(domain=["complete", "running", "pruned"], range=[[1, 0], [2, 2], [6, 4]])
    chart: AnyChart = (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("auroc:Q", title="mean validation AUROC", scale=alt.Scale(zero=False)),
            color=alt.Color("number:N", title="trial"),
            strokeDash=alt.StrokeDash("state:N", scale=dash),
            tooltip=["number", "state", "epoch", alt.Tooltip("auroc:Q", format=".3f"), "folds"],
        )
        .properties(height=260)
    )
    return chart


def _kind(row: dict[str, Any]) -> str:
    if row["flag"]:
        return "flagged"
    own = {"ours": "this study", "baseline": "baseline, same folds"}
    return own.get(row["table"], "published")


def forest(rows: tuple[dict[str, Any], ...]) -> AnyChart:
    """Accuracy of every row with its 95 % interval, n in the label; colour says whose row it is."""
    frame = pl.DataFrame(
        {
            "method": [f"{row['method']}  (n={row['n']})" for row in rows],
            "accuracy": [row["accuracy"]["value"] for row in rows],
            "low": [row["accuracy"]["low"] for row in rows],
            "high": [row["accuracy"]["high"] for row in rows],
            "kind": [_kind(row) for row in rows],
        }
    )
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(
            domain=["this study", "baseline, same folds", "published", "flagged"],
            range=["#D55E00", "#E69F00", "#0072B2", "#999999"],
        ),
    )
    names = alt.Y("method:N", sort=None, title=None, axis=alt.Axis(labelLimit=320))
    base = alt.Chart(frame).encode(y=names, color=colour)
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", scale=_AUROC, title="accuracy, 95 % Wilson interval"), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=80).encode(
        x="accuracy:Q", tooltip=["method", alt.Tooltip("accuracy:Q", format=".3f")]
    )
    majority = (
        alt.Chart(pl.DataFrame({"x": [28 / 43]}))
        .mark_rule(strokeDash=[4, 4], color="#888888")
        .encode(x="x:Q")
    )
    return alt.layer(majority, bars, points).properties(height=26 * len(rows))
