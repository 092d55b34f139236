"""Calibration and predictive values in words."""

from __future__ import annotations

import pytest

from mmcaf.stats.calibration import calibration
from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.stats.predictive import predictive
from mmcaf.stats.priors import Share, World
from mmstudy.comparison.calibrated import calibration_sentence, predictive_sentence

LABELS = [0, 0, 1, 0, 1, 1, 0, 0]
RAW = calibration(LABELS, [0.2, 0.6, 0.7, 0.5, 0.8, 0.4, 0.3, 0.6])
OWN = calibration(LABELS, [0.1, 0.4, 0.5, 0.3, 0.6, 0.2, 0.15, 0.4])


def test_corrected_calibration_has_the_raw_intercept_beside_it() -> None:
    said = calibration_sentence(OWN, RAW, World((Share(0.5, 0.3),)))
    assert OWN.intercept is not None
    assert RAW.intercept is not None
    assert f"of corrected probabilities of 8 patients: intercept {OWN.intercept.value:.2f}" in said
    assert f"raw ones: intercept {RAW.intercept.value:.2f}" in said
    assert "With 3 squamous patients this is illustrative only." in said


@pytest.mark.parametrize("world", [World((), "nobody knows"), World((Share(0.3, 0.3),))])
def test_raw_calibration_is_called_raw(world: World) -> None:
    said = calibration_sentence(RAW, RAW, world)
    assert "of raw probabilities" in said
    assert "raw ones" not in said


def test_what_is_not_defined_is_told() -> None:
    one_class = calibration([0, 0], [0.2, 0.4])
    assert "intercept not defined, slope not defined" in calibration_sentence(
        one_class, one_class, World(())
    )
    silent = predictive_sentence(predictive(ConfusionMatrix(0, 0, 5, 5), 0.2))
    assert "20.0% are squamous: PPV not defined [0.00, 1.00], NPV 0.800" in silent
