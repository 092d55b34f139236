"""What acting on a trial's probabilities would bring, out of fold: net benefit by threshold."""

from __future__ import annotations

from numpy.typing import ArrayLike

from mmcaf.stats.roc import DecisionCurve, decision_curve
from mmstudy.analysis.probabilities import out_of_fold
from mmstudy.study import Study, per_case

__all__ = ["net_benefit"]


def net_benefit(
    study: Study, number: int, thresholds: ArrayLike | None = None
) -> DecisionCurve | None:
    """Of a complete trial, on its validation cases, each once (Vickers and Elkin 2006).

    None without cases.

    Args:
        study: with the trial.
        number: of the trial.
        thresholds: (thresholds,) between 0 and 1; 0.01 to 0.99 unless given.

    Raises:
        MMStudyError: there is no such trial, or it is not complete.
    """
    found, world = out_of_fold(study, number)
    cases = per_case(found)
    own = cases["corrected" if world.known else "probability"].to_numpy()
    return decision_curve(cases["label"].to_numpy(), own, thresholds=thresholds)
