"""Every sentence about a choice is made of one value: what counted, and what came before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmstudy.analysis.selection import Selection, selection_of
from mmstudy.comparison.comparison import compare
from mmstudy.errors import MMStudyError
from mmstudy.report.comparison import comparison_table
from mmstudy.report.table import render
from mmstudy.storage.schema import INFEASIBLE, Source, State
from mmstudy.study import Study, open_study
from support.made_study import (
    MMCAF_LABELS,
    MMCAF_SCORES,
    add_confirmation,
    add_look,
    add_trial,
    made_study,
)
from support.opened_files import opened

WORSE = np.where(MMCAF_LABELS == 1, 0.4, MMCAF_SCORES)
CASES = tuple(f"c{i:03d}" for i in range(len(MMCAF_LABELS)))


def source(**changes: Any) -> Source:
    usual = {"study": "other", "way": "warm_start", "begun": "2026", "trials": 20, "taken": 4}
    return Source(**{**usual, "searched": CASES, **changes})


def of(root: Path, *, trials: int = 1, **given: Any) -> Selection:
    return selection_of(made_study(root, scores=[MMCAF_SCORES] + [WORSE] * (trials - 1), **given))


def verdicts(study: Study) -> set[str]:
    return {verdict.outcome for verdict in compare(study).against_paper}


def test_the_only_trial_and_the_best_of_several(tmp_path: Path) -> None:
    assert of(tmp_path / "a").sentence.endswith("in the search, the only trial.")
    several = of(tmp_path / "b", trials=3)
    assert several.sentence.endswith("in the search, the best of 3 trials and so optimistic.")
    assert (several.trial, several.place, several.folds, several.epochs) == (0, 1, 2, 1)


def test_only_trials_that_had_a_value_count(tmp_path: Path) -> None:
    study = made_study(tmp_path, scores=[MMCAF_SCORES, WORSE])
    for number in range(2, 23):
        add_trial(study, number, State.FAIL, f"{INFEASIBLE}: too large")
    add_trial(study, 23, State.FAIL, "out of memory")
    add_trial(study, 24, State.RUNNING)
    for number in (25, 26):
        add_trial(study, number, State.PRUNED)
    found = selection_of(study)
    assert (found.trials, found.complete) == (4, 2)
    assert "the best of 4 trials" in found.sentence
    assert "the best of 4 trials and 1 epoch on these very patients" in str(found.choice)
    text = render(comparison_table(compare(study)), "table")
    assert "the best of 4 trials" in text
    assert "chosen among 4 trials" in text


def test_a_confirmed_trial_that_was_the_worst_is_not_called_the_best_of_its_search(
    tmp_path: Path,
) -> None:
    study = made_study(tmp_path, scores=[WORSE, MMCAF_SCORES, MMCAF_SCORES])
    for number, value in enumerate((0.8, 0.6, 0.7)):
        add_confirmation(study, number, value)
    found = selection_of(study)
    assert (found.trial, found.place) == (0, 3)
    assert "in the search, number 3 of 3 complete trials." in found.sentence
    assert "it has 0.800 [0.78, 0.82] (4 folds), the best of 3 so confirmed." in found.sentence
    assert "chosen among 3 trials" in str(found.choice)
    text = render(comparison_table(compare(study)), "table")
    assert "the best of 3 trials" not in text
    assert "so optimistic" not in text


def test_where_metrics_are_lost_an_epoch_may_have_been_chosen(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    assert verdicts(study) != {"untested"}
    shutil.rmtree(study.folder.metrics)
    assert "1 trial and an unknown number of epochs" in str(selection_of(study).choice)
    assert verdicts(study) == {"untested"}


def test_no_trial_no_selection(tmp_path: Path) -> None:
    with pytest.raises(MMStudyError, match="no complete trial yet"):
        selection_of(made_study(tmp_path, scores=[]))


class TestSources:
    def test_a_trial_begun_from_twenty_is_not_the_only_one(self, tmp_path: Path) -> None:
        study = made_study(tmp_path, sources=[source()])
        found = selection_of(study)
        assert "the only trial here, begun from 20 trials of other and so" in found.sentence
        assert "after 20 trials of other, so that a test would flatter it" in str(found.choice)
        assert any("The search knew 4 trials of other: 20 trials on 43" in n for n in found.notes)
        assert verdicts(study) == {"untested"}
        assert verdicts(made_study(tmp_path / "alone")) != {"untested"}

    def test_a_choice_on_others_does_not_flatter_on_these(self, tmp_path: Path) -> None:
        study = made_study(tmp_path, sources=[source(searched=("x1", "x2"))])
        found = selection_of(study)
        assert found.choice is None
        assert "20 trials of other" in found.sentence
        assert verdicts(study) != {"untested"}

    def test_another_cohort_names_its_patients_by_a_key_of_its_own(self, tmp_path: Path) -> None:
        other = source(searched=("x1", "x2"), cohort_digest="0123456789abcdef")
        assert any(
            "The search of other was on another cohort" in note and "cannot be told" in note
            for note in of(tmp_path / "a", sources=[other]).notes
        )
        known = source(cohort_digest="0123456789abcdef")  # its cases are known here
        assert of(tmp_path / "b", sources=[known]).foreign == ()

    def test_a_test_set_that_served_there_loses_its_verdicts(self, tmp_path: Path) -> None:
        given = source(way="enqueue", searched=(*CASES, "t1", "t2"))
        study = made_study(tmp_path, test=("t1", "t2", "t3"), sources=[given])
        add_look(study, 0, np.array([1, 0]), np.array([0.8, 0.2]))
        shown = compare(study)
        assert {verdict.outcome for verdict in shown.against_paper} == {"untested"}
        said = "2 of the 3 test patients served in a search that this one began from (other)"
        assert all(said in verdict.sentence for verdict in shown.against_paper)

    def test_a_test_set_that_was_looked_at_there_loses_them_too(self, tmp_path: Path) -> None:
        study = made_study(tmp_path, test=("t1", "t2"), sources=[source(looked=("t2", "t9"))])
        add_look(study, 0, np.array([1, 0]), np.array([0.8, 0.2]))
        assert "1 of the 2 test patients were looked at" in str(selection_of(study).untested(0))
        assert verdicts(study) == {"untested"}

    def test_a_source_of_a_source_is_told_with_its_way(self, tmp_path: Path) -> None:
        far = source(study="far", trials=7, searched=("t1",), through="other", taken=0)
        found = of(tmp_path, test=("t1",), sources=[source(searched=()), far])
        assert "begun from 20 trials of other and 7 trials of far" in found.sentence
        assert any("began, through other, from far: 7 trials" in note for note in found.notes)
        assert "1 of the 1 test patients served" in str(found.served)
        assert "(far)" in str(found.served)

    def test_one_that_is_reached_by_two_ways_counts_once(self, tmp_path: Path) -> None:
        found = of(tmp_path, sources=[source(), source(way="enqueue")])
        assert found.before == "20 trials of other"

    def test_a_warm_start_of_an_earlier_version_left_no_record(self, tmp_path: Path) -> None:
        study = made_study(tmp_path, search={"warm_start": "studies/other"})
        found = selection_of(study)
        assert "trials of another study, unrecorded" in found.sentence
        assert found.choice is not None
        assert verdicts(study) == {"untested"}

    def test_points_of_the_spec_itself_have_no_known_source(self, tmp_path: Path) -> None:
        found = of(tmp_path, search={"enqueue": [{"train.lr": 0.1}, {"train.lr": 0.2}]})
        assert any("gave 2 points to be tried first" in note for note in found.notes)
        assert of(tmp_path / "b").notes == (
            "Looks of studies elsewhere may be missing. made does not say where its cohort is; "
            "give --cohort.",
        )


def test_a_received_record_leads_nowhere(tmp_path: Path) -> None:
    """What is recorded of a source is data, and so is the spec: no folder named there is opened."""
    bait = made_study(tmp_path / "bait", name="other")
    way = str(bait.folder.root)
    search = {"warm_start": way, "enqueue": {"from": way, "top": 3}}
    study = made_study(tmp_path / "s", sources=[source(study=way)], search=search)
    with opened() as files:
        compare(open_study(study.folder.root))
    assert any("study.json" in file for file in files)
    assert not [file for file in files if "bait" in file]
