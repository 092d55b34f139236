"""What calibration and predictive values say, in words: the same for a page and for a command."""

from __future__ import annotations

from mmcaf.stats.calibration import Calibration, Coefficient
from mmcaf.stats.predictive import Predictive, PredictiveValue
from mmcaf.stats.priors import World

__all__ = ["calibration_sentence", "predictive_sentence"]


def calibration_sentence(found: Calibration, raw: Calibration, world: World) -> str:
    """Intercept and slope of the probabilities that are shown, and the raw intercept beside it."""
    which = "corrected" if world.changes else "raw"
    before = f"; raw ones: intercept {_coefficient(raw.intercept)}" if world.changes else ""
    return (
        f"Calibration of {which} probabilities of {found.n} patients: intercept "
        f"{_coefficient(found.intercept)}, slope {_coefficient(found.slope)} (ideal 0 and 1)"
        f"{before}. With {found.positives} squamous patients this is illustrative only."
    )


def predictive_sentence(found: Predictive) -> str:
    """PPV and NPV at a prevalence, and what they rest on."""
    return (
        f"Among patients of whom {found.prevalence:.1%} are squamous: PPV {_value(found.ppv)}, NPV "
        f"{_value(found.npv)}, from sensitivity and specificity; the share itself is taken as "
        "known."
    )


def _coefficient(one: Coefficient | None) -> str:
    return "not defined" if one is None else f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def _value(one: PredictiveValue) -> str:
    shown = "not defined" if one.value is None else f"{one.value:.3f}"
    return f"{shown} [{one.low:.2f}, {one.high:.2f}]"
