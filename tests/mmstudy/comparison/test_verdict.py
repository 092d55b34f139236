from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcaf.stats.areas import delong
from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.stats.paired import mcnemar
from mmcaf.stats.power import detectable_area, detectable_calls, detectable_gap, detectable_rate
from mmcaf.stats.unpaired import hanley_mcneil
from mmstudy.comparison.published import published
from mmstudy.comparison.row import MethodRow, row_of, row_of_counts
from mmstudy.comparison.verdict import against_published, against_same_cases, summary_of
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
    verdicts = against_published(of_counts(counts), published(), caution=None)
    for verdict in verdicts:
        area = [test for test in verdict.tests if test.measure == "AUROC" and test.significant]
        said = "outperforms" in verdict.sentence
        assert said == (verdict.areas in ("better", "worse")) == bool(area)
        if said:
            winner = "ours" if (area[0].difference or 0) > 0 else verdict.against
            assert f"{winner} outperforms" in verdict.sentence
        denied = verdict.sentence.startswith("No difference can be shown")
        assert denied == (not any(test.significant for test in verdict.tests))
        for name in ("sensitivity", "specificity", "accuracy"):
            a = counts.rates()[name]
            assert f"{a.hits}/{a.total} against" in verdict.sentence
    summary = summary_of("ours", verdicts, "published row")
    shown = [v for v in verdicts if any(t.significant for t in v.tests) and not v.same_as]
    assert ("No difference" in summary) == (not shown)
    assert all(v.against in summary for v in shown)


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
    assert (verdict.outcome, verdict.areas, verdict.calls) == ("mixed", "none", "mixed")
    assert summary_of("ours", [verdict], "published row") == (
        "ours is mixed against PECon (Table 1). 1 published row tested."
    )
    assert "not all in one direction" in verdict.sentence


def test_who_is_worse_is_said_to_be_outperformed() -> None:
    ours = of_counts(ConfusionMatrix(tp=20, fn=80, fp=80, tn=20))
    (verdict,) = against_published(ours, [published()[0]], caution=None)
    assert verdict.outcome == "worse"
    assert verdict.sentence.startswith(
        "PECon outperforms ours in AUROC. "
        "At its threshold PECon is better than ours in sensitivity and specificity."
    )


def test_an_area_is_not_vetoed_by_the_sign_of_a_rate() -> None:
    """AUROC 0.95 against PENet's 0.560; its specificity of 27/28 is a little higher than ours."""
    random = np.random.default_rng(0)
    labels = np.repeat([1, 0], [46, 223])
    scores = 1 / (1 + np.exp(-(random.normal(size=269) + 2.33 * labels - 1.2)))
    ours = row_of(frame(labels, scores), origin=Origin(), method="ours", cases="test")
    (verdict,) = against_published(
        ours, [row for row in published() if row.method == "PENet"], caution=None
    )
    sensitivity, specificity, area = verdict.tests
    assert (specificity.difference or 0) < 0
    assert not specificity.significant
    assert sensitivity.significant
    assert area.p_holm is not None
    assert area.p_holm < 0.001
    assert verdict.outcome == verdict.areas == "better"
    assert verdict.sentence.startswith("ours outperforms PENet in AUROC.")


def test_a_row_that_repeats_an_absent_one_is_tested_by_itself() -> None:
    ours = of_counts(ConfusionMatrix(tp=20, fn=80, fp=80, tn=20))
    (twice,) = (row for row in published() if row.same_as)
    (verdict,) = against_published(ours, [twice], caution=None)
    assert {test.family for test in verdict.tests} == {3}


def test_each_test_says_what_it_excludes_who_is_higher_and_what_it_could_show() -> None:
    ours = of_counts(ConfusionMatrix(tp=40, fn=60, fp=10, tn=90))
    (verdict,) = against_published(ours, [published()[0]], caution=None)
    for test in verdict.tests:
        assert test.low is not None
        assert test.worse_by == max(0, -test.low)
        assert test.higher is not None
        assert (test.higher > 0.5) == ((test.difference or 0) > 0)
    sensitivity, specificity, area = verdict.tests
    theirs = published()[0]
    assert specificity.detectable == detectable_rate(100, theirs.rates["specificity"], 0.05 / 3)
    assert sensitivity.detectable == detectable_rate(100, theirs.rates["sensitivity"], 0.05 / 3)
    assert area.detectable == detectable_area(
        0.786, hanley_mcneil(0.786, 15, 28), positives=100, negatives=100, alpha=0.05 / 3
    )


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
    assert verdict.sentence.startswith(
        "ours outperforms coin in AUROC. At its threshold ours is better than coin in accuracy."
    )
    area, calls = verdict.tests
    assert area.p == delong(labels, good, poor).p
    assert calls.p == mcnemar(labels, good >= 0.5, poor >= 0.5).p
    assert area.family == calls.family == 2
    found = mcnemar(labels, good >= 0.5, poor >= 0.5)
    assert (calls.low, calls.high, calls.higher) == (*(found.interval() or ()), found.higher)
    assert area.detectable == detectable_gap(delong(labels, good, poor), 0.025)
    accuracy = float(np.mean((poor >= 0.5) == labels))
    assert calls.detectable == detectable_calls(found, accuracy, 0.025)


def test_a_caution_keeps_the_p_values_and_decides_nothing() -> None:
    labels, good, poor = pair(0, 4.0)
    ours = row_of(frame(labels, good), origin=Origin(), method="ours", cases="validation")
    other = row_of(frame(labels, poor), origin=Origin(), method="coin", cases="validation")
    (verdict,) = against_same_cases(ours, [other], caution="chosen here")
    assert verdict.outcome == "untested"
    assert "outperforms" not in verdict.sentence
    assert len(verdict.tests) == 2


def test_what_was_chosen_is_judged_with_its_choice_and_says_why() -> None:
    labels, good, poor = pair(0, 4.0)
    folds = np.arange(180) % 3
    told = frame(labels, good).with_columns(fold=pl.Series(folds))
    ours = row_of(told, origin=Origin(), method="what is picked", cases="validation")
    rows = np.lexsort((folds, np.arange(180)))  # by case
    among = np.stack([good, poor])[:, rows]
    coin = frame(labels, poor).with_columns(fold=pl.Series(folds))
    other = row_of(coin, origin=Origin(), method="coin", cases="validation")
    chosen = replace(ours, among=among)
    (verdict,) = against_same_cases(chosen, [other], remark="Chosen here.")
    (plain,) = against_same_cases(ours, [other])
    assert verdict.outcome == "better"
    assert verdict.sentence.startswith("What is picked outperforms coin in AUROC.")
    assert verdict.sentence.endswith("Holm, 2 tests. Chosen here.")
    assert verdict.tests[0].how.startswith("choice made anew")
    assert plain.tests[0].how.startswith("DeLong")
    assert verdict.tests[0].p != plain.tests[0].p
    assert verdict.tests[1] == plain.tests[1]


def test_the_summary_names_what_differs_and_counts_the_rest() -> None:
    better = of_counts(ConfusionMatrix(tp=100, fn=0, fp=0, tn=100))
    verdicts = against_published(better, published(), caution=None)
    same = against_published(published()[6], published(), caution=None)
    assert summary_of("x", same, "published row") == (
        "No difference can be shown between x and the 12 published rows tested."
    )
    untested = against_published(better, published(), caution="it was chosen")
    assert summary_of("x", untested, "published row") == (
        "No difference can be shown between x and any published row; none is tested: it was chosen."
    )
    assert summary_of("x", [*same[:5], verdicts[7]], "published row").endswith(
        "5 published rows tested; 4 of them left undecided."
    )


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
