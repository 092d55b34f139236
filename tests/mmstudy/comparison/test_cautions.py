"""Why a test of ours would not be valid: one reason, the gravest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from mmstudy.analysis.selection import selection_of
from mmstudy.comparison.cautions import GAP, caution_of, cross_fitted_because, notes
from mmstudy.comparison.row import row_of
from mmstudy.study import Study
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, add_look, made_study


def caution(study: Study, *, tested: bool) -> str | None:
    return caution_of(study, selection_of(study), tested)


def look(study: Study, *numbers: int) -> Study:
    for number in numbers:
        add_look(study, number, np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.3, 0.1]))
    return study


@pytest.mark.parametrize("tested", [True, False])
@pytest.mark.parametrize(
    ("given", "said"), [({"synthetic": True}, "SYNTHETIC"), ({"oracle": True}, "ORACLE")]
)
def test_what_is_no_patient_or_was_told_the_place_is_never_tested(
    tmp_path: Path, tested: bool, given: dict[str, Any], said: str
) -> None:
    assert said in str(caution(made_study(tmp_path, **given), tested=tested))


def test_synthetic_outweighs_oracle(tmp_path: Path) -> None:
    found = caution(made_study(tmp_path, synthetic=True, oracle=True), tested=True)
    assert found == "ours is of SYNTHETIC patients"


def test_validation_cases_that_chose_are_told_with_the_remedy(tmp_path: Path) -> None:
    said = str(caution(made_study(tmp_path / "a", scores=[MMCAF_SCORES] * 3), tested=False))
    assert "the best of 3 trials and 1 epoch on these very patients" in said
    assert said.endswith("; `mmstudy evaluate` scores it on others")
    assert caution(made_study(tmp_path / "b"), tested=False) is None  # one trial of one epoch


def test_a_test_set_seen_with_this_trial_alone_is_one(tmp_path: Path) -> None:
    assert caution(look(made_study(tmp_path), 0, 0), tested=True) is None


@pytest.mark.parametrize(
    ("looks", "said"), [((0, 1), "1 other trial,"), ((0, 1, 1, 2), "2 other trials,")]
)
def test_a_test_set_seen_with_others_is_one_of_validation(
    tmp_path: Path, looks: tuple[int, ...], said: str
) -> None:
    study = look(made_study(tmp_path, scores=[MMCAF_SCORES] * 3), *looks)
    assert f"looked at with {said} which makes it a validation set" in str(
        caution(study, tested=True)
    )


def test_what_pruned_does_not_judge(tmp_path: Path) -> None:
    study = made_study(tmp_path, scores=[MMCAF_SCORES] * 2)
    assert cross_fitted_because(study).endswith("since ours was chosen here.")
    trial = study.folder.trial(1)
    row = pl.read_parquet(trial).with_columns(state=pl.lit("pruned"))
    row.write_parquet(trial)
    assert "of the first fold decided which trials were pruned" in cross_fitted_because(study)


def smallest_gap() -> int:
    """By trying: of 43 pairs the fewest discordant, all one way, with p below 0.05."""
    return next(n for n in range(1, 43) if binomtest(n, n, 0.5).pvalue < 0.05)


def test_the_gap_below_which_nothing_can_be_shown_is_scipy_s() -> None:
    assert (GAP.hits, GAP.total) == (smallest_gap(), 43)


class TestNotes:
    def of(self, study: Study, *, tested: bool = False) -> str:
        found = study.out_of_fold(0)
        ours = row_of(found, method="ours", cases="validation", origin=study.origin)
        return "\n".join(notes(study, ours, selection_of(study), tested=tested))

    def test_the_frequent_class_is_counted_on_both_sets(self, tmp_path: Path) -> None:
        text = self.of(made_study(tmp_path))
        assert text.count("28/43 = 0.651") == 2  # ours has the paper's counts here

    def test_looks_at_the_test_set_are_counted(self, tmp_path: Path) -> None:
        study = made_study(tmp_path)
        assert "has been looked at 0 times" in self.of(study)
        assert "has been looked at 1 time." in self.of(look(study, 0))
        assert "has been looked at 3 times" in self.of(look(study, 0, 0))

    def test_trials_are_counted(self, tmp_path: Path) -> None:
        assert "chosen among 1 trial." in self.of(made_study(tmp_path / "a"))
        study = made_study(tmp_path / "b", scores=[MMCAF_SCORES] * 4)
        assert "chosen among 4 trials" in self.of(study)

    def test_only_the_paper_s_own_protocol_is_on_its_patients(self, tmp_path: Path) -> None:
        own, other = made_study(tmp_path / "a", protocol="paper43"), made_study(tmp_path / "b")
        same = "on the paper's own test patients"
        assert same in self.of(own, tested=True)
        assert same not in self.of(own, tested=False)
        assert same not in self.of(other, tested=True)

    def test_whose_patients_these_are_is_said(self, tmp_path: Path) -> None:
        study = made_study(tmp_path, labels=MMCAF_LABELS)
        assert "Ours: test patients" in self.of(study, tested=True)
        assert "Ours: validation patients of every fold" in self.of(study)
