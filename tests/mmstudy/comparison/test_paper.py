"""What the comparison with the paper says, on studies whose predictions are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmcaf.stats.metrics import ConfusionMatrix, Proportion
from mmcaf.stats.thresholds import ensemble_threshold
from mmstudy.analysis.optimism import corrected_best
from mmstudy.comparison.comparison import compare
from mmstudy.comparison.published import published
from mmstudy.errors import MMStudyError
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, add_look, made_study

MANY = np.repeat([1, 0], 100)
NEARLY_PERFECT = np.concatenate([np.linspace(0.55, 0.95, 100), np.linspace(0.05, 0.56, 100)])


def test_counts_give_every_printed_figure_but_those_flagged() -> None:
    wrong = {
        (row.method, name)
        for row in published()
        for name, printed in row.printed.items()
        if name != "auroc"
        and abs((row.counts.f1 if name == "f1" else float(row.rates[name])) - printed) > 0.00051
    }
    assert wrong == {("PENet+E3D-MSCA+drop", "npv")}


def test_a_printed_area_is_a_number_of_pairs() -> None:
    """Of half pairs in the one row whose flag says so."""
    odd = set()
    for row in published():
        pairs = row.positives * (row.n - row.positives)
        if abs(round(row.printed["auroc"] * pairs) / pairs - row.printed["auroc"]) > 0.00051:
            odd.add(row.method)
    assert odd == {"PENet+E3D-MSCA"}


def test_flagged_rows_are_not_ranked_and_say_why() -> None:
    flagged = {row.method: row.n for row in published() if not row.ranked}
    assert flagged == {
        "DrFuse": 34,
        "DAFT": 48,
        "PENet+E3D-MSCA": 43,
        "PENet+E3D-MSCA+drop": 43,
    }
    assert {row.n for row in published() if row.ranked} == {43}


def test_all_tables_of_the_paper_and_the_readme_are_there(tmp_path: Path) -> None:
    found = compare(made_study(tmp_path))
    assert [(s.table, len(s.rows)) for s in found.sections] == [
        ("ours", 2),
        ("1", 7),
        ("2", 4),
        ("3", 4),
        ("readme", 2),
    ]


def test_a_study_with_mmcaf_nets_numbers_shows_no_difference(tmp_path: Path) -> None:
    found = compare(made_study(tmp_path, folds=1))
    ours = found.tested
    assert ours.counts == ConfusionMatrix(tp=10, fn=5, fp=4, tn=24)
    assert ours.auroc.value == pytest.approx(330 / 420)
    (verdict,) = (v for v in found.against_paper if v.against == "MMCAF-Net")
    assert verdict.outcome == "none"
    assert verdict.sentence.startswith(
        "No difference can be shown between made trial 0 and MMCAF-Net. "
        "Sensitivity 10/15 against 10/15, specificity 24/28 against 24/28, "
        "accuracy 34/43 against 34/43, AUROC 0.786 against 0.786. "
        "Sensitivity: +0.000 [-0.31, +0.31]; excludes that ours is worse by more than 0.309; "
        "corrected p 1.000; P(ours higher) 0.50; could show none in our favour. Specificity: "
    )
    assert verdict.sentence.endswith("Holm, 36 tests.")
    assert [test.p_holm for test in verdict.tests] == [1.0] * 3
    assert found.summary == (
        "No difference can be shown between made trial 0 and the 12 published rows tested."
    )


def test_a_row_printed_twice_counts_once(tmp_path: Path) -> None:
    """Every figure of MSCA_Fusion (Table 3) is that of MMCAF-Net (Table 1): one row."""
    figures: dict[tuple[object, ...], list[str]] = {}
    for row in published():
        figures.setdefault((row.counts, *row.printed.values()), []).append(row.method)
    assert [names for names in figures.values() if len(names) > 1] == [["MMCAF-Net", "MSCA_Fusion"]]
    assert {row.method: row.same_as for row in published() if row.same_as} == {
        "MSCA_Fusion": "MMCAF-Net"
    }
    found = compare(made_study(tmp_path)).against_paper
    first, second = (v for v in found if v.against in ("MMCAF-Net", "MSCA_Fusion"))
    assert first.tests == second.tests
    assert {test.family for v in found for test in v.tests} == {3 * 12}
    assert second.sentence.endswith("The same published row as MMCAF-Net, counted once.")


def test_flagged_rows_are_never_tested(tmp_path: Path) -> None:
    found = compare(made_study(tmp_path))
    untested = {v.against for v in found.against_paper if v.outcome == "untested"}
    assert untested == {row.method for row in published() if row.flag}
    assert all(not v.tests for v in found.against_paper if v.outcome == "untested")


def test_a_test_set_on_which_ours_is_clearly_better_lets_it_be_said(tmp_path: Path) -> None:
    study = made_study(tmp_path, scores=[MMCAF_SCORES, MMCAF_SCORES / 2])
    add_look(study, 0, MANY, NEARLY_PERFECT)
    found = compare(study)
    (verdict,) = (v for v in found.against_paper if v.against == "PENet")
    assert (verdict.outcome, verdict.areas, verdict.calls) == ("better", "better", "mixed")
    assert verdict.sentence.startswith("made trial 0 outperforms PENet in AUROC. At their thresh")
    (verdict,) = (v for v in found.against_paper if v.against == "MMTM")
    assert (verdict.outcome, verdict.areas, verdict.calls) == ("better", "none", "better")
    assert verdict.sentence.startswith("At its threshold made trial 0 is better than MMTM in sens")
    assert "outperforms SAM+E3D-MSCA (Table 2), PENet (Table 2) in AUROC" in found.summary
    assert "MMTM (Table 1)" in found.summary
    assert "MSCA_Fusion" not in found.summary
    assert found.tested.cases == "test, look 1"


def test_the_same_numbers_on_cases_it_was_chosen_on_say_nothing(tmp_path: Path) -> None:
    study = made_study(tmp_path, MANY, [NEARLY_PERFECT, NEARLY_PERFECT[::-1]])
    found = compare(study)
    assert found.selection.trials == 2
    assert {v.outcome for v in found.against_paper} == {"untested"}
    (verdict,) = (v for v in found.against_paper if v.against == "MMTM")
    assert "best of 2 trials and 1 epoch on these very patients" in verdict.sentence
    assert "mmstudy evaluate" in verdict.sentence


@pytest.mark.parametrize(
    ("kind", "reason"), [("synthetic", "SYNTHETIC patients"), ("oracle", "where the lesion is")]
)
def test_patients_that_are_none_and_lesions_that_were_told_say_nothing(
    tmp_path: Path, kind: str, reason: str
) -> None:
    study = made_study(tmp_path, MANY, [NEARLY_PERFECT], **{kind: True})  # type: ignore[arg-type]
    found = compare(study)
    assert {v.outcome for v in found.against_paper} == {"untested"}
    assert found.summary.startswith("No difference can be shown")
    assert reason in found.against_paper[0].sentence
    assert "Sensitivity 100/100 against 10/15" in found.against_paper[0].sentence


def test_a_test_set_seen_with_another_trial_is_a_validation_set(tmp_path: Path) -> None:
    study = made_study(tmp_path, scores=[MMCAF_SCORES, MMCAF_SCORES / 2])
    add_look(study, 0, MANY, NEARLY_PERFECT)
    add_look(study, 1, MANY, NEARLY_PERFECT)
    found = compare(study)
    assert found.selection.looks.count == 2
    assert {v.outcome for v in found.against_paper} == {"untested"}
    assert "looked at with 1 other trial, which" in found.against_paper[0].sentence
    assert any("has been looked at 2 times" in note for note in found.notes)


def test_thresholds_are_named_and_never_of_the_cases_themselves(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    add_look(study, 0, MANY, NEARLY_PERFECT)
    rows = compare(study).sections[0].rows
    assert [row.cases for row in rows] == ["test, look 1"] * 2 + ["validation, out of fold"] * 2
    folds = np.arange(len(MMCAF_LABELS)) % 2
    chosen = ensemble_threshold(MMCAF_LABELS, MMCAF_SCORES, folds)  # of validation, for the test
    assert chosen is not None
    assert [row.threshold for row in rows[:3]] == [
        "0.5",
        f"mean of 2 folds' Youden {chosen:.2f}",
        "0.5",
    ]
    assert rows[1].counts == ConfusionMatrix.from_scores(MANY, NEARLY_PERFECT, threshold=chosen)
    assert rows[3].threshold.startswith("Youden of the other folds")


def test_one_fold_has_no_other_to_choose_a_threshold_on(tmp_path: Path) -> None:
    rows = compare(made_study(tmp_path, folds=1)).sections[0].rows
    assert [row.threshold for row in rows] == ["0.5"]


def test_the_best_value_stands_beside_the_corrected_one(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    study = made_study(tmp_path, scores=[random.random(43) for _ in range(20)])
    found, corrected = compare(study), corrected_best(study)
    assert found.expected == corrected
    assert corrected is not None
    assert found.selection.value > corrected.mean + 0.05  # the best of 20 coins
    assert compare(study, expected=False).expected is None


def test_what_a_gap_must_be_is_written_there(tmp_path: Path) -> None:
    found = compare(made_study(tmp_path))
    assert found.gap == Proportion(6, 43)
    notes = " ".join(found.notes)
    assert "6/43 = 0.14" in notes
    assert "28/43 = 0.651" in notes


@pytest.mark.parametrize(
    ("protocol", "said"),
    [("kfold", "on different patients"), ("paper43", "on the paper's own test patients")],
)
def test_on_whose_patients_the_tests_are_is_said(tmp_path: Path, protocol: str, said: str) -> None:
    study = made_study(tmp_path, protocol=protocol)
    before = " ".join(compare(study).notes)
    add_look(study, 0, MMCAF_LABELS, MMCAF_SCORES)
    after = " ".join(compare(study).notes)
    assert "Tests against published rows are on different patients, from counts" in before
    assert f"Tests against published rows are {said}" in after


def test_it_is_plain_values_for_json(tmp_path: Path) -> None:
    found = json.loads(json.dumps(compare(made_study(tmp_path)).as_dict(), allow_nan=False))
    row = found["sections"][0]["rows"][0]
    assert row["sensitivity"] == {
        "value": pytest.approx(2 / 3),
        "low": pytest.approx(Proportion(10, 15).wilson()[0]),
        "high": pytest.approx(Proportion(10, 15).wilson()[1]),
        "hits": 10,
        "total": 15,
    }
    assert row["majority"]["hits"] == 28
    assert found["test_looks"] == 0


def test_one_class_alone_is_undefined_and_not_zero(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    add_look(study, 0, np.zeros(5, dtype=np.int64), np.linspace(0, 0.4, 5))
    found = compare(study)
    ours = found.tested
    assert (ours.auroc.value, ours.f1.value, ours.auprc.value) == (None, None, None)
    assert ours.as_dict()["sensitivity"]["value"] is None
    assert {v.outcome for v in found.against_paper if not v.reason} == {"none"}
    assert "Sensitivity: not testable." in found.against_paper[0].sentence


def test_no_complete_trial_is_said(tmp_path: Path) -> None:
    with pytest.raises(MMStudyError, match="no complete trial yet"):
        compare(made_study(tmp_path, scores=[]))
