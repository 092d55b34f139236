"""What choosing the best of many trials is worth on cases the choice did not see."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmcaf.stats.areas import auroc
from mmstudy.analysis.optimism import (
    corrected_best,
    cross_fitted_choice,
    judged_on,
    outcomes_of,
)
from mmstudy.errors import MMStudyError
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import TRIALS, State, TrialRow
from mmstudy.study import Study, open_study
from support.cheap_study import study_of_scores
from support.made_study import made_study

CASES = 48
LABELS = np.arange(CASES) % 2
FOLDS = np.arange(CASES) // 2 % 3


def scores(trials: int, *, signal: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-(random.normal(size=(trials, CASES)) + signal * LABELS)))


def study(folder: Path, given: np.ndarray) -> Study:
    return study_of_scores(folder / "s", given, LABELS, FOLDS)


@pytest.fixture
def empty(tmp_path: Path) -> Study:
    return study(tmp_path, np.empty((0, CASES)))


def test_a_study_s_tables_become_scores_of_the_same_rows(tmp_path: Path) -> None:
    given = scores(3, signal=1)
    found = outcomes_of(study(tmp_path, given), [0, 2])
    order = np.lexsort((np.arange(CASES), FOLDS))  # by fold, then case
    assert np.array_equal(found.case, order)
    assert np.array_equal(found.fold, FOLDS[order])
    assert np.array_equal(found.label, LABELS[order])
    assert found.score == pytest.approx(given[[0, 2]][:, order])


def test_nothing_is_expected_of_a_study_without_trials(empty: Study) -> None:
    assert corrected_best(empty) is None
    assert cross_fitted_choice(empty) is None


def test_the_best_of_many_coins_is_expected_to_be_a_coin(tmp_path: Path) -> None:
    found = [
        corrected_best(study(tmp_path / str(seed), scores(30, signal=0, seed=seed)), resamples=100)
        for seed in range(3)
    ]
    assert np.mean([one.mean for one in found if one]) == pytest.approx(0.5, abs=0.06)


def test_a_study_copied_in_part_is_told(tmp_path: Path) -> None:
    of = study(tmp_path, scores(2, signal=1))
    path = of.folder.trial_predictions(1)
    pl.read_parquet(path).head(CASES - 1).write_parquet(path)
    with pytest.raises(MMStudyError, match="Trial 1 of s lacks predictions that other trials have"):
        outcomes_of(of, [0, 1])


class TestCrossFittedChoice:
    def test_each_fold_is_judged_by_what_was_best_on_the_others(self, tmp_path: Path) -> None:
        given = scores(5, signal=1, seed=3)
        found = cross_fitted_choice(study(tmp_path, given))
        assert found is not None
        rows = found.rows
        assert rows["case"].to_list() == [f"c{i:03d}" for i in range(CASES)]
        assert rows["label"].to_list() == LABELS.tolist()
        assert found.among == pytest.approx(given)
        parts = [np.flatnonzero(one == FOLDS) for one in range(3)]
        areas = np.array([[auroc(LABELS[part], one[part]) for part in parts] for one in given])
        for fold, part in enumerate(parts):
            best = np.delete(areas, fold, axis=1).mean(axis=1).argmax()
            assert rows["probability"].to_numpy()[part] == pytest.approx(given[best, part])

    def test_a_trial_that_knows_its_own_fold_alone_is_not_chosen_for_it(
        self, tmp_path: Path
    ) -> None:
        """Perfect in fold 0 and upside down elsewhere: its triumph there is luck of that fold."""
        lucky = np.where(FOLDS == 0, LABELS, 1 - LABELS).astype(float)
        steady = scores(1, signal=3, seed=1)[0]
        found = cross_fitted_choice(study(tmp_path, np.stack([lucky, steady])))
        assert found is not None
        in_fold = found.rows["probability"].to_numpy()[FOLDS == 0]
        assert in_fold == pytest.approx(steady[FOLDS == 0])

    def test_one_fold_leaves_nothing_to_choose_on(self, tmp_path: Path) -> None:
        of = study_of_scores(
            tmp_path / "s", scores(2, signal=1), LABELS, np.zeros(CASES, dtype=np.int64)
        )
        assert cross_fitted_choice(of) is None

    def test_with_one_trial_there_is_no_choice(self, tmp_path: Path) -> None:
        of = made_study(tmp_path, name="one")
        found = cross_fitted_choice(of)
        assert found is not None
        assert found.rows.select("case", "probability").equals(
            of.out_of_fold(0).select("case", "probability")
        )


def with_a_pruned_trial(of: Study) -> Study:
    row = TrialRow(
        number=99, state=State.PRUNED, params="{}", seed=0, attempts=1, started=datetime.now(UTC)
    )
    write_rows(of.folder.trial(99), TRIALS, [row.as_dict()])
    return open_study(of.folder.root)


class TestPruning:
    """The first fold decided which trials there are, so it says nothing of the best of them."""

    def test_the_first_fold_does_not_judge(self, tmp_path: Path) -> None:
        """A trial that is perfect there and a coin elsewhere is a coin."""
        coin = scores(1, signal=0)[0]
        of = study(tmp_path, np.where(FOLDS == 0, LABELS, coin)[None])
        whole, pruned = corrected_best(of), corrected_best(with_a_pruned_trial(of))
        assert whole is not None
        assert pruned is not None
        elsewhere = FOLDS != 0
        by_hand = auroc(LABELS[elsewhere], coin[elsewhere], FOLDS[elsewhere])
        assert pruned.mean == pytest.approx(by_hand, abs=0.02)
        assert pruned.mean < whole.mean - 0.1
        assert (whole.n, pruned.n) == (48, 32)

    def test_the_cross_fitted_choice_has_no_row_there(self, tmp_path: Path) -> None:
        of = study(tmp_path, scores(4, signal=1))
        whole = cross_fitted_choice(of)
        assert whole is not None
        pruned = cross_fitted_choice(with_a_pruned_trial(of))
        assert pruned is not None
        assert pruned.rows.equals(whole.rows.filter(pl.col("fold") != 0))
        assert (
            pruned.among.tolist() == whole.among[:, (whole.rows["fold"] != 0).to_numpy()].tolist()
        )

    def test_it_is_said(self, tmp_path: Path) -> None:
        of = study(tmp_path, scores(2, signal=1))
        assert judged_on(of) == ""
        said = judged_on(with_a_pruned_trial(of))
        assert said.startswith("The 16 cases of the first fold decided which trials were pruned")
        assert said.endswith("the other 32 do.")

    def test_one_fold_leaves_no_other_and_that_is_said(self, tmp_path: Path) -> None:
        alone = study_of_scores(
            tmp_path / "s", scores(2, signal=1), LABELS, np.zeros(CASES, dtype=np.int64)
        )
        of = with_a_pruned_trial(alone)
        found = corrected_best(of)
        assert found is not None
        assert found.n == 48
        assert "for want of others: optimistic" in judged_on(of)
