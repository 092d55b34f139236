"""What trials say of patients -> plots: curves, intervals, and explanations. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from math import ceil

import polars as pl

from mmcaf.stats.calibration import Calibration
from mmcaf.stats.estimates import Estimate
from mmcaf.stats.roc import DecisionCurve, RocBand, RocCurve
from mmstudy.comparison.row import MethodRow
from mmstudy.plots.plot import BLUE, CATEGORICAL, GREY, ORANGE, UNIT, VERMILION, Layer, Plot, Rule
from mmstudy.storage.explanations import Curve, Shap

__all__ = [
    "attribute_curves",
    "confirmed",
    "fold_curves",
    "forest",
    "kind_of",
    "net_benefit",
    "reliability",
    "roc",
    "shap_values",
]


def fold_curves(epochs: pl.DataFrame, column: str, label: str) -> Plot:
    """One trial: a line per fold."""
    layers = []
    for fold, colour in zip(sorted(epochs["fold"].unique()), cycle(CATEGORICAL), strict=False):
        of = epochs.filter(pl.col("fold") == fold).drop_nulls(column).sort("epoch")
        x, y = (of["epoch"] + 1).to_list(), of[column].to_list()
        layers.append(Layer(kind="line", name=f"fold {fold + 1}", x=x, y=y, colour=colour))
    return Plot(
        name=f"folds-{column.replace('_', '-')}",
        x="epoch",
        y=label,
        layers=tuple(layers),
        alt=f"{label} by epoch, one line per fold.",
        height=280,
    )


def net_benefit(curve: DecisionCurve, n: int) -> Plot:
    """Net benefit by threshold of the model, of treating everybody and of treating nobody.

    Treating everybody falls without end; the picture ends a little below treating nobody.
    """
    x = curve.threshold.tolist()
    layers = []
    if curve.low is not None and curve.high is not None:
        low, high = curve.low.tolist(), curve.high.tolist()
        layers.append(Layer(kind="band", name="95 %, pointwise", x=x, y=low, high=high))
    lines = {"treat as this trial says": (curve.model.tolist(), BLUE)}
    lines |= {"treat everybody as squamous": (curve.treat_all.tolist(), ORANGE)}
    lines |= {"treat nobody so": ([0.0] * len(x), GREY)}
    layers += [
        Layer(kind="line", name=name, x=x, y=y, colour=colour)
        for name, (y, colour) in lines.items()
    ]
    top = max(*curve.model.tolist(), *curve.treat_all.tolist(), 0.1)
    return Plot(
        name="net-benefit",
        x="threshold: probability of squamous from which on to act",
        y="net benefit per patient",
        x_range=UNIT,
        y_range=(-ceil(5 * top) / 20, ceil(23 * top) / 20),  # ends are labels: of two decimals
        layers=tuple(layers),
        alt=f"Net benefit by threshold, of {n} cases, beside treating everybody and nobody.",
    )


def roc(curve: RocCurve, band: RocBand | None, label: str) -> Plot:
    """The ROC curve with its pointwise 95 % band."""
    layers = []
    if band is not None:
        x, low, high = (
            list(map(float, v)) for v in (band.false_positive_rate, band.low, band.high)
        )
        layers.append(Layer(kind="band", name="95 %, pointwise", x=x, y=low, high=high))
    layers.append(Layer(kind="line", name="chance", x=UNIT, y=UNIT, colour=GREY, dashed=True))
    x, y = (list(map(float, v)) for v in (curve.false_positive_rate, curve.sensitivity))
    layers.append(Layer(kind="line", name=label, x=x, y=y))
    return Plot(
        name="roc",
        x="1 − specificity",
        y="sensitivity",
        x_range=UNIT,
        y_range=UNIT,
        layers=tuple(layers),
        alt=f"ROC curve, {label}.",
        square=True,
        height=380,
    )


def reliability(found: Calibration, raw: Calibration | None = None) -> Plot:
    """Predicted against observed share of squamous cases; vertical bars are drawn as two lines.

    With `raw`, `found` is of corrected probabilities, and the groups of raw ones stand beside them.
    """
    bins = found.bins
    x = [one.predicted for one in bins]
    low, high = ([one.interval[end] for one in bins] for end in (0, 1))
    before = [] if raw is None else [_groups(raw, "raw", GREY)]
    return Plot(
        name="calibration",
        x=f"{'predicted' if raw is None else 'corrected'} probability of squamous",
        y="observed share of squamous",
        x_range=UNIT,
        y_range=UNIT,
        layers=(
            Layer(kind="band", name="95 % Wilson", x=x, y=low, high=high),
            Layer(kind="line", name="ideal", x=UNIT, y=UNIT, colour=GREY, dashed=True),
            *before,
            _groups(found, "groups" if raw is None else "corrected", BLUE),
            Layer(
                kind="dots",
                name="groups",
                x=x,
                y=[float(one.observed) for one in bins],
                size=5,
                shown=False,
            ),
        ),
        alt=f"Calibration of {found.n} cases in {len(bins)} groups.",
        square=True,
        height=380,
    )


def _groups(of: Calibration, name: str, colour: str) -> Layer:
    x, y = [one.predicted for one in of.bins], [float(one.observed) for one in of.bins]
    return Layer(kind="line", name=name, x=x, y=y, colour=colour)


_KINDS = {
    "this study": VERMILION,
    "baseline, same folds": ORANGE,
    "published": BLUE,
    "marked: not ranked": GREY,
}


def kind_of(row: MethodRow) -> str:
    """Whose row it is, in words."""
    if row.flag:
        return "marked: not ranked"
    return {"ours": "this study", "baseline": "baseline, same folds"}.get(row.kind, "published")


def forest(rows: Sequence[MethodRow], measure: str) -> Plot:
    """One measure of every row with its 95 % interval; n in the label, colour says whose it is."""
    layers = []
    for kind, colour in _KINDS.items():
        found = [(i, *_figure(row, measure)) for i, row in enumerate(rows) if kind_of(row) == kind]
        known = [(i, v, low, high) for i, v, low, high in found if v is not None]
        if not known:
            continue
        place, value, low, high = (list(column) for column in zip(*known, strict=True))
        layers += [
            Layer(kind="spans", name=kind, x=low, high=high, y=place, colour=colour, shown=False),
            Layer(kind="dots", name=kind, x=value, y=place, colour=colour, size=5),
        ]
    rules = (Rule("x", 28 / 43, "always adenocarcinoma"),) if measure == "accuracy" else ()
    if measure == "auroc":
        rules = (Rule("x", 0.5, "chance"),)
    label = "AUROC" if measure == "auroc" else measure
    return Plot(
        name=f"forest-{measure}",
        x=f"{label}, 95 % interval",
        y="",
        rows=tuple(_label(row) for row in rows),
        x_range=UNIT,
        layers=tuple(layers),
        rules=rules,
        alt=f"{label[0].upper()}{label[1:]} of {len(rows)} rows with 95 % intervals.",
        height=80 + 28 * len(rows),
    )


def _label(row: MethodRow) -> str:
    """Method and n; rows of one method differ by their cases and threshold."""
    marks = [row.cases.split(",")[0]] if row.kind == "ours" else []
    marks += ["Youden"] if "Youden" in row.threshold else []
    return f"{row.method} ({', '.join([*marks, f'n={row.n}'])})"


def _figure(row: MethodRow, measure: str) -> tuple[float | None, float, float]:
    if measure == "auroc":
        of = row.auroc
        value = of.value
        return (value, of.low or 0.0, 1.0 if of.high is None else of.high)
    rate = row.rates[measure]
    return (float(rate) if rate.total else None, *rate.wilson())


def confirmed(found: dict[int, Estimate], searched: dict[int, float], runs: pl.DataFrame) -> Plot:
    """Confirmed means with intervals, every fold's value, and what the search had said."""
    numbers = list(found)
    places = list(range(len(numbers)))
    spans = [found[number] for number in numbers]
    folds = [
        (place, value)
        for place, number in enumerate(numbers)
        for value in runs.filter(pl.col("number") == number)["auroc"].drop_nulls()
    ]
    return Plot(
        name="confirmed",
        x="AUROC",
        y="",
        rows=tuple(f"trial {number}  ({found[number].n} folds)" for number in numbers),
        layers=(
            Layer(
                kind="dots",
                name="one fold of one run",
                x=[value for _, value in folds],
                y=[place for place, _ in folds],
                colour=GREY,
                size=2.5,
            ),
            Layer(
                kind="spans",
                name="95 % interval",
                x=[one.low for one in spans],
                high=[one.high for one in spans],
                y=places,
                shown=False,
                size=3,
            ),
            Layer(kind="dots", name="confirmed mean", x=[s.mean for s in spans], y=places, size=6),
            Layer(
                kind="dots",
                name="value in the search",
                x=[searched[number] for number in numbers],
                y=places,
                colour=VERMILION,
                size=5,
            ),
        ),
        alt=f"Confirmed AUROC of {len(numbers)} trials with intervals, beside the search's own.",
        height=110 + 46 * len(numbers),
    )


def attribute_curves(curves: Sequence[Curve]) -> Plot:
    """The logit as one clinical attribute moves, one line per fold."""
    layers = [
        Layer(
            kind="line",
            name=f"fold {one.fold + 1}",
            x=list(one.x),
            y=list(one.logit),
            colour=colour,
        )
        for one, colour in zip(curves, cycle(CATEGORICAL), strict=False)
    ]
    first = curves[0]
    return Plot(
        name=f"attribute-{first.attribute}".lower().replace(" ", "-"),
        x=f"{first.attribute} ({first.unit})" if first.unit else first.attribute,
        y="logit of squamous",
        layers=tuple(layers),
        alt=f"Logit of squamous against {first.attribute}, mean of {first.n_cases} cases per fold.",
        height=280,
    )


def shap_values(found: Shap) -> Plot:
    """What each clinical value adds to the logit of squamous."""
    of = sorted(found.attributes, key=lambda one: -abs(one.shap))
    places = list(range(len(of)))
    values = [one.shap for one in of]
    zero = [0.0 for _ in of]
    return Plot(
        name="shap",
        x="added to the logit of squamous",
        y="",
        rows=tuple(f"{one.name}: {one.value}" for one in of),
        layers=(
            Layer(kind="spans", name="SHAP", x=zero, high=values, y=places, shown=False, size=5),
            Layer(kind="dots", name="SHAP value", x=values, y=places, size=5),
        ),
        rules=(Rule("x", 0.0, ""),),
        alt=f"SHAP values of {len(of)} clinical attributes.",
        height=80 + 30 * len(of),
    )
