from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcaf.stats.areas import delong
from mmcaf.stats.estimates import Estimate
from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.stats.paired import mcnemar
from mmstudy.comparison.published import published
from mmstudy.comparison.row import MethodRow, row_of, row_of_counts
from mmstudy.comparison.verdict import against_published, against_same_cases
from mmstudy.storage.origin import Origin

COUNTS = st.builds(ConfusionMatrix, *[st.integers(0, 80)] * 4)


def frame(labels: np.ndarray, scores: np.ndarray) -> pl.DataFrame:
    cases = [f"c{i:03d}" for i in range(len(labels))]
    return pl.DataFrame({"case": cases, "label": labels, "probability": scores})


def of_counts(counts: ConfusionMatrix) -> MethodRow:
    """Cases with these counts, every called one above every other."""
    labels, calls = counts.expanded()
    return row_of(frame(labels, 0.2 + 0.6 * calls), origin=Origin(), method="ours", cases="test")


@given(COUNTS)
@settings(max_examples=25, deadline=None)
def test_no_sentence_says_outperforms_unless_a_test_says_so(counts: ConfusionMatrix) -> None:
    for verdict in against_published(of_counts(counts), published(), caution=None):
        clear = [test for test in verdict.tests if test.significant]
        said = "outperforms" in verdict.sentence
        assert said == (verdict.outcome in ("better", "worse"))
        if said:
            better = verdict.outcome == "better"
            assert clear
            assert all((t.difference or 0) * (1 if better else -1) >= 0 for t in verdict.tests)
            winner = "ours" if better else verdict.against
            assert verdict.sentence.startswith(f"{winner} outperforms")
        elif not clear:
            assert verdict.sentence.startswith("No difference can be shown")
        for name in ("sensitivity", "specificity", "accuracy"):
            a = counts.rates()[name]
            assert f"{a.hits}/{a.total} against" in verdict.sentence


@given(COUNTS)
@settings(max_examples=8, deadline=None)
def test_with_a_caution_nothing_is_tested(counts: ConfusionMatrix) -> None:
    for verdict in against_published(of_counts(counts), published(), caution="it was chosen"):
        assert verdict.outcome == "untested"
        assert not verdict.tests
        assert "outperforms" not in verdict.sentence
        assert "it was chosen" in verdict.sentence


def test_a_gap_below_six_cases_shows_nothing_whatever_the_p() -> None:
    """34/43 against 28/43: the paper's own best and worst rows."""
    rows = {row.method: row for row in published()}
    (verdict,) = against_published(rows["MMCAF-Net"], [rows["SAM+E3D-MSCA"]], caution=None)
    assert verdict.outcome == "none"
    assert "34/43 against 28/43" in verdict.sentence


def test_higher_in_one_and_lower_in_the_other_is_no_victory() -> None:
    ours = of_counts(ConfusionMatrix(tp=100, fn=0, fp=80, tn=20))
    (verdict,) = against_published(ours, [published()[0]], caution=None)
    assert verdict.outcome == "mixed"
    assert "not all in one direction" in verdict.sentence


def test_who_is_worse_is_said_to_be_outperformed() -> None:
    ours = of_counts(ConfusionMatrix(tp=20, fn=80, fp=80, tn=20))
    (verdict,) = against_published(ours, [published()[0]], caution=None)
    assert verdict.outcome == "worse"
    assert verdict.sentence.startswith("PECon outperforms ours in sensitivity and specificity")


def pair(seed: int, signal: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [60, 120])
    good = 1 / (1 + np.exp(-random.normal(signal * (labels - 0.5))))
    return labels, good, random.random(180)


def test_the_same_cases_are_tested_in_pairs() -> None:
    labels, good, poor = pair(0, 4.0)
    ours = row_of(frame(labels, good), origin=Origin(), method="ours", cases="validation")
    other = row_of(
        frame(labels, poor), origin=Origin(), method="coin", cases="validation", kind="baseline"
    )
    (verdict,) = against_same_cases(ours, [other])
    assert verdict.outcome == "better"
    assert verdict.sentence.startswith("ours outperforms coin in AUROC and accuracy.")
    area, calls = verdict.tests
    assert area.p == delong(labels, good, poor).p
    assert calls.p == mcnemar(labels, good >= 0.5, poor >= 0.5).p
    assert area.family == calls.family == 2


def test_a_caution_keeps_the_p_values_and_decides_nothing() -> None:
    labels, good, poor = pair(0, 4.0)
    ours = row_of(frame(labels, good), origin=Origin(), method="ours", cases="validation")
    other = row_of(frame(labels, poor), origin=Origin(), method="coin", cases="validation")
    (verdict,) = against_same_cases(ours, [other], caution="chosen here")
    assert verdict.outcome == "untested"
    assert "outperforms" not in verdict.sentence
    assert len(verdict.tests) == 2


@pytest.mark.parametrize(
    ("low", "high", "outcome", "start"),
    [
        (0.02, 0.3, "better", "What the search picks outperforms coin"),
        (-0.3, -0.02, "worse", "coin outperforms what the search picks"),
        (-0.02, 0.3, "none", "No difference can be shown between what the search picks and coin"),
        (np.nan, np.nan, "none", "No difference can be shown"),
    ],
)
def test_what_was_chosen_is_judged_on_cases_left_out_of_the_choice(
    low: float, high: float, outcome: str, start: str
) -> None:
    labels, good, poor = pair(0, 4.0)
    ours = row_of(frame(labels, good), origin=Origin(), method="ours", cases="validation")
    other = row_of(frame(labels, poor), origin=Origin(), method="coin", cases="validation")
    ahead = Estimate((low + high) / 2, low, high, 180)
    (verdict,) = against_same_cases(ours, [other], caution="chosen here", ahead=[ahead])
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(start)
    assert "p values of ours itself do not count, since chosen here" in verdict.sentence


def test_rows_of_other_cases_cannot_be_paired() -> None:
    labels, good, poor = pair(0, 1.0)
    ours = row_of(frame(labels, good), origin=Origin(), method="ours", cases="validation")
    shorter = row_of(
        frame(labels, poor).head(100), origin=Origin(), method="coin", cases="validation"
    )
    with pytest.raises(ValueError, match="not scored on the same cases"):
        against_same_cases(ours, [shorter])
    with pytest.raises(ValueError, match="PECon is known by its counts alone"):
        against_same_cases(ours, [published()[0]])


def test_rows_are_paired_by_case_whatever_their_order() -> None:
    labels, good, poor = pair(1, 1.0)
    ours = row_of(frame(labels, good), origin=Origin(), method="ours", cases="validation")
    mixed = row_of(
        frame(labels, poor).sample(fraction=1, shuffle=True, seed=1),
        origin=Origin(),
        method="c",
        cases="v",
    )
    (verdict,) = against_same_cases(ours, [mixed])
    assert verdict.tests[0].p == pytest.approx(delong(labels, good, poor).p)


def test_a_case_twice_is_refused() -> None:
    labels, good, _ = pair(1, 1.0)
    twice = pl.concat([frame(labels, good)] * 2)
    with pytest.raises(ValueError, match="Need each case once"):
        row_of(twice, origin=Origin(), method="ours", cases="validation")


def test_calls_follow_their_cases() -> None:
    labels, good, _ = pair(1, 1.0)
    mixed = frame(labels, good).sample(fraction=1, shuffle=True, seed=1)
    row = row_of(mixed, origin=Origin(), method="ours", cases="v")
    found = row.called(labels == 1, threshold="told")  # by case, as the frame was made
    assert (found.counts.fp, found.counts.fn, found.threshold) == (0, 0, "told")
    assert found.auroc == row.auroc
    with pytest.raises(ValueError, match="known by its counts alone"):
        published()[0].called([], threshold="told")


def test_a_published_area_keeps_the_figure_printed() -> None:
    counts = ConfusionMatrix(tp=10, fn=5, fp=4, tn=24)
    row = row_of_counts(counts, auroc=0.786, method="x", cases="y", table="1")
    assert row.auroc.value == 0.786
    assert (row.auroc.low, row.auroc.high) == pytest.approx((0.60, 0.90), abs=0.005)
    assert row.brier.value is None
