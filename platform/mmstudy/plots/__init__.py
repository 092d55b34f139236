"""Pictures of a study's tables as values: drawn in a notebook, by the dashboard, and as files.

    from mmstudy import open_study, plots

    study = open_study("demo/studies/demo")
    plots.history(study)                      # the last line of a cell: the picture
    plots.roc(study, 3).save("roc.pdf")       # of trial 3; without a number, of the best
    plots.setting(study, "train.lr")          # value against one searched setting

Every chart of the dashboard has a function here. Pictures of patients, CT slices and Grad-CAM maps,
are no charts: `mmstudy explain` leaves them as PNG files.
"""

from mmstudy.plots.charts import (
    COSTS,
    MEASURES,
    MEASURES_OF_ROWS,
    attribute,
    calibration,
    confirmed,
    contour,
    folds,
    forest,
    history,
    importance,
    learning_curves,
    net_benefit,
    parallel,
    pareto,
    roc,
    setting,
    shap,
    timeline,
)
from mmstudy.plots.plot import Axis, Layer, Plot, Rule

__all__ = [
    "COSTS",
    "MEASURES",
    "MEASURES_OF_ROWS",
    "Axis",
    "Layer",
    "Plot",
    "Rule",
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
