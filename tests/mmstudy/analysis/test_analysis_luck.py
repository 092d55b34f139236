"""What the stored runs of a confirmation say of luck, in figures and in words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mmcaf.stats.luck import luck
from mmstudy.analysis.luck import luck_sentences
from mmstudy.storage.schema import CONFIRMATIONS, PREDICTIONS
from mmstudy.study import Study
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, made_study

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def confirmed(study: Study, run: int, *, number: int = 0, cases: bool = True) -> np.ndarray:
    """A confirming run of a trial is written; the scores of its cases."""
    random = np.random.default_rng(run)
    scores = np.clip(MMCAF_LABELS * 0.3 + random.uniform(0.1, 0.6, 43), 0, 1)
    of = {"number": number, "epoch": 0}
    rows = [
        {**of, "run": run, "fold": f, "seed": run, "n_train": 21, "n_val": 22, "auroc": 0.7}
        | {"seconds": 1.0, "written": NOW}
        for f in (0, 1)
    ]
    study.folder.add_rows(study.folder.confirmation(number, run), CONFIRMATIONS, rows)
    found = [
        {**of, "fold": i % 2, "case": f"c{i:03d}", "label": int(label), "probability": score}
        for i, (label, score) in enumerate(zip(MMCAF_LABELS, scores.tolist(), strict=True))
    ]
    if cases:
        study.folder.put_rows(study.folder.confirmation_cases(number, run), PREDICTIONS, found)
    return scores


def test_it_is_made_of_the_stored_cases_of_whole_runs(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    scores = np.concatenate([confirmed(study, run) for run in range(3)])
    fold = np.tile(np.arange(43) % 2, 3)
    runs, cases = np.repeat(np.arange(3), 43), np.tile(np.arange(43), 3)
    found = study.luck(0)
    assert found is not None
    assert found == luck(np.tile(MMCAF_LABELS, 3), scores, runs=runs, folds=fold, cases=cases)
    said = luck_sentences(study)[1]
    assert f"{found.patients:.3f} from which 43 patients there are" in said
    assert f"{found.training:.3f} from training and folds (over 3 runs" in said


def test_it_says_that_luck_of_patients_stays(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    confirmed(study, 0)
    said = luck_sentences(study)
    assert "does not take out luck of patients" in said[0]
    assert "needs two whole runs" in said[1]


def test_it_is_told_of_the_best_trial_where_two_have_one_confirmed_value(tmp_path: Path) -> None:
    study = made_study(tmp_path, scores=[1 - MMCAF_SCORES, MMCAF_SCORES])
    assert luck_sentences(study) == ()  # none was confirmed
    for run in range(2):
        for number in (0, 1):
            confirmed(study, run, number=number)
    assert study.best()["number"].to_list() == [1]  # higher in the search
    assert luck_sentences(study)[1].startswith("Trial 1: ")


def test_runs_of_an_earlier_version_tell_nothing(tmp_path: Path) -> None:
    study = made_study(tmp_path)
    for run in range(3):
        confirmed(study, run, cases=False)
    assert study.confirmed_cases(0).is_empty()
    assert study.luck(0) is None
