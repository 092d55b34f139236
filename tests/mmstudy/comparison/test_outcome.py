"""What tests decide: AUROC for itself, the calls jointly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmstudy.comparison.outcome import Test as Measured
from mmstudy.comparison.outcome import outcome_of
from mmstudy.comparison.sentences import statement

SIGNS = {
    "+": (0.2, 0.01),
    "-": (-0.2, 0.01),
    "up": (0.1, 0.4),
    "down": (-0.1, 0.4),
    "0": (0.0, 1.0),
}


def of(measure: str, sign: str) -> Measured:
    gap, p = SIGNS[sign]
    return Measured(
        measure=measure,
        ours="",
        theirs="",
        difference=gap,
        low=gap - 0.1,
        high=gap + 0.1,
        p=p,
        p_holm=p,
        how="",
    )


@pytest.mark.parametrize(
    ("area", "sensitivity", "specificity", "expected"),
    [
        ("up", "up", "down", ("none", "none", "none")),
        ("+", "up", "down", ("better", "better", "none")),
        ("-", "up", "up", ("worse", "worse", "none")),
        ("down", "+", "up", ("better", "none", "better")),
        ("up", "-", "0", ("worse", "none", "worse")),
        ("up", "+", "down", ("mixed", "none", "mixed")),
        ("+", "+", "-", ("better", "better", "mixed")),
        ("+", "-", "-", ("mixed", "better", "worse")),
        ("+", "+", "+", ("better", "better", "better")),
    ],
)
def test_both_parts_and_both_together(
    area: str, sensitivity: str, specificity: str, expected: tuple[str, str, str]
) -> None:
    tests = [of("sensitivity", sensitivity), of("specificity", specificity), of("AUROC", area)]
    assert outcome_of(tests) == expected


def test_one_class_alone_may_be_another_threshold() -> None:
    lost = replace(of("sensitivity", "0"), difference=None, low=None, high=None, p=None)
    lost = replace(lost, p_holm=None)
    tests = [lost, of("specificity", "+")]
    assert outcome_of(tests) == ("mixed", "none", "mixed")
    assert outcome_of([lost, of("specificity", "up")]) == ("none", "none", "none")
    assert statement("a", "b", tests) == (
        "Mixed: At their thresholds a and b differ in specificity; sensitivity is not known, so "
        "that another threshold alone could do that."
    )


def test_without_a_test_nothing_is_decided() -> None:
    assert outcome_of([]) == ("none", "none", "none")


def test_the_bound_is_the_lower_end_of_the_interval_turned_round() -> None:
    assert of("AUROC", "down").worse_by == pytest.approx(0.2)
    assert of("AUROC", "+").worse_by == 0
    assert of("AUROC", "down").as_dict()["worse_by"] == pytest.approx(0.2)
