"""Which world a probability is of: what training drew, who trained, and what cannot be told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmcaf.stats.priors import Share, World, corrected
from mmstudy.analysis.probabilities import out_of_fold
from mmstudy.errors import MMStudyError
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import PREDICTIONS
from mmstudy.study import Study, open_study
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, made_study

FOLD = np.arange(43) % 2


def of(tmp_path: Path, settings: dict[str, Any] | None = None, **given: Any) -> Study:
    return made_study(tmp_path, settings={} if settings is None else settings, **given)


def share_of_training(fold: int) -> float:
    return float(MMCAF_LABELS[fold != FOLD].mean())


def told(study: Study, **changes: Any) -> Study:
    raw = json.loads(study.folder.study.read_text()) | changes
    study.folder.study.write_text(json.dumps(raw))
    return open_study(study.folder.root)


def test_oversampled_networks_learnt_evenly_for_the_share_of_their_own_fold(
    tmp_path: Path,
) -> None:
    study = of(tmp_path)
    assert study.world(0).shares == tuple(Share(0.5, share_of_training(f)) for f in (0, 1))
    rows, _ = out_of_fold(study, 0)
    plain = study.out_of_fold(0)
    assert rows.drop("corrected").equals(plain)
    for fold in (0, 1):
        part = rows.filter(fold=fold)
        expected = corrected(part["probability"].to_numpy(), Share(0.5, share_of_training(fold)))
        assert part["corrected"].to_numpy() == pytest.approx(expected)


def test_predictions_of_a_fold_that_is_none_are_refused(tmp_path: Path) -> None:
    study = of(tmp_path)
    file = study.folder.trial_predictions(0)
    found = pl.read_parquet(file)
    for fold in (2, -1):
        odd = found.with_columns(fold=pl.lit(fold, dtype=pl.Int32)).to_dicts()[:1]
        write_rows(file, PREDICTIONS, [*odd, *found.to_dicts()[1:]])
        with pytest.raises(MMStudyError, match="its folds are 0 to 1"):
            out_of_fold(study, 0)


def test_what_study_json_says_of_who_trained_is_taken(tmp_path: Path) -> None:
    study = told(of(tmp_path), train_positive=[3, 4])
    assert [share.own for share in study.world(0).shares] == [3 / 21, 4 / 22]


@pytest.mark.parametrize(
    "settings",
    [{"train": {"oversample": False}}, {"model": {"name": "logistic"}, "train": {"epochs": 1}}],
)
def test_each_patient_counted_once_needs_no_correction(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    study = of(tmp_path, settings)
    world, (rows, _) = study.world(0), out_of_fold(study, 0)
    assert (world.known, world.changes) == (True, False)
    assert rows["corrected"].to_numpy() == pytest.approx(rows["probability"].to_numpy())
    assert "need no correction" in world.sentence


def test_a_searched_setting_decides_for_its_trial(tmp_path: Path) -> None:
    study = of(tmp_path, {"space": {"train.oversample": {"choice": [True, False]}}})
    file = study.folder.trial(0)
    import polars as pl

    from mmstudy.storage.parquet import write_rows
    from mmstudy.storage.schema import TRIALS

    (row,) = pl.read_parquet(file).to_dicts()
    write_rows(file, TRIALS, [row | {"params": '{"train.oversample": false}'}])
    assert not study.world(0).changes


def test_an_average_of_two_worlds_is_left_raw(tmp_path: Path) -> None:
    trunk = {"part": "trunk", "epochs": 1, "lr": 1e-3}
    train = {"epochs": 1, "stages": [trunk, {"part": "fusion"}]}
    study = of(tmp_path, {"model": {"name": "pefusion"}, "train": train})
    world, (rows, _) = study.world(0), out_of_fold(study, 0)
    assert not world.known
    assert "averages models that learnt at different shares" in world.sentence
    assert rows["corrected"].null_count() == rows.height


def test_settings_that_cannot_be_read_leave_probabilities_raw(tmp_path: Path) -> None:
    world = made_study(tmp_path).world(0)
    assert world == World((), "this version cannot read the settings they were trained with")
    assert world.sentence.startswith("Probabilities are raw, as the networks gave them: this")


def test_who_trained_is_not_guessed(tmp_path: Path) -> None:
    study = of(tmp_path)
    split = json.loads(study.folder.study.read_text())["split"]
    split["folds"][0]["train"].append("x999")  # whom no fold of the trial validated
    assert "does not say who trained" in told(study, split=split).world(0).sentence


def test_training_on_one_class_has_no_world(tmp_path: Path) -> None:
    study = of(tmp_path, labels=np.zeros(43, dtype=np.int64), scores=[MMCAF_SCORES])
    assert "patients of one class alone" in study.world(0).sentence


def test_the_sentence_says_what_a_call_at_a_half_is(tmp_path: Path) -> None:
    world = of(tmp_path).world(0)
    assert world.ensemble is not None
    assert world.of_call(0.5) == pytest.approx(world.ensemble.own)
    assert f"raw 0.50 is corrected {world.ensemble.own:.2f}" in world.sentence
