"""A study of the fusion alone: one image side per fold, whatever the number of trials."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.followup.predict import predict
from mmstudy.followup.rerun import rerun
from mmstudy.spec.study_spec import parse_spec
from mmstudy.study import Study, open_study
from support.keyed import keyed
from support.tiny_spec import TINY_SPEC

STAGES = [
    {"part": "trunk", "epochs": 1, "lr": 1e-3},
    {"part": "image", "epochs": 1, "lr": 1e-3},
    {"part": "fusion"},
]
FUSION: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "train": {"stages": STAGES, "epochs": 3, "optimizer": "adamw", "frozen_draws": 2},
    "space": {
        "train.lr": {"float": [1e-4, 1e-2], "log": True},
        "model.heads": {"choice": [[1, 1, 1], [4, 2, 2]]},
    },
    "search": {"trials": 3, "startup_trials": 3},
}


@pytest.fixture(scope="module")
def study(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("staged")
    plan = plan_study(parse_spec(FUSION), cohort=cohort.folder, root=root, name="s")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    return open_study(root / "s")


def test_trials_share_image_sides_and_features(study: Study) -> None:
    assert study.counts()["complete"] == 3
    shared = study.folder.shared
    for part in ("trunk", "image"):
        assert len(list(shared.glob(f"{part}-*.safetensors"))) == study.folds
    assert len(list(shared.glob("*-draw-*.npy"))) == study.folds * 2
    assert len(list(shared.glob("*-val.npy"))) == study.folds
    places = study.metrics(0).select("fold", "epoch").rows()
    assert places == [(fold, epoch) for fold in range(2) for epoch in range(3)]  # the last stage's


def test_a_rerun_gives_the_same_numbers_with_and_without_what_was_kept(
    study: Study, cohort: Cohort
) -> None:
    assert all(row["same"] for row in rerun(study, 1, cohort.folder))
    for path in study.folder.shared.iterdir():
        path.unlink()
    assert all(row["same"] for row in rerun(study, 1, cohort.folder))


def test_its_networks_predict_other_patients(study: Study, cohort: Cohort, tmp_path: Path) -> None:
    write(tmp_path / "other", SyntheticSpec(patients=4, size=48, slices=12, seed=9))
    other = ingest([tmp_path / "other"], keyed(tmp_path / "cohort"), in_plane_px=48)
    found = predict(study, 0, other.folder, cohort=cohort.folder)
    assert found["probability"].is_between(0, 1).all()
    assert found["probability"].n_unique() == 4


def test_the_time_limit_is_of_an_epoch_not_of_all_stages(cohort: Cohort, tmp_path: Path) -> None:
    changes = deepcopy(FUSION)
    changes["train"]["stages"][0]["epochs"] = changes["train"]["stages"][1]["epochs"] = 12
    changes["search"] = {"trials": 1}

    def run(name: str) -> Study:
        plan = plan_study(parse_spec(changes), cohort=cohort.folder, root=tmp_path, name=name)
        run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
        return open_study(tmp_path / name)

    before_a_fold = run("unlimited").trial(0)["prepare_seconds"] / 2  # 24 epochs, however slow
    changes["limits"] = {"epoch_minutes": before_a_fold / 2 / 60, "failed_trials": 0}
    study = run("s")
    assert study.counts()["complete"] == 1
    assert not list(study.folder.shared.glob("*-last*"))
