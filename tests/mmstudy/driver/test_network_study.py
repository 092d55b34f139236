"""A study of a comparator is a study: again, confirmed, on the test set, on other patients."""

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
from mmstudy.followup.confirm import confirm
from mmstudy.followup.evaluate import evaluate
from mmstudy.followup.predict import predict
from mmstudy.followup.rerun import rerun
from mmstudy.spec.study_spec import parse_spec
from mmstudy.study import Study, open_study
from support.keyed import keyed
from support.tiny_spec import TINY_SPEC

TRUNK = {"part": "trunk", "epochs": 1, "lr": 1e-3, "batch_size": 4}
ON_TRUNK = {"stages": [TRUNK, {"part": "fusion"}], "epochs": 2, "optimizer": "adamw"}
NETWORKS: dict[str, dict[str, Any]] = {
    "pecon": {
        "train": ON_TRUNK | {"frozen_draws": 2, "step_epochs": 2},
        "space": {"train.step_lr": {"choice": [0.01, 0.1]}},
    },
    "pefusion": {
        "model": {"strength": 1.0, "class_weight": "none"},
        "train": ON_TRUNK | {"epochs": 1},
        "space": {"model.l1_ratio": {"choice": [0.1, 0.5]}},
    },
    "penet": {
        "train": ON_TRUNK | {"stages": [TRUNK, {"part": "end_to_end"}]},
        "space": {"train.lr": {"choice": [1e-3, 1e-2]}},
    },
    "kan": {
        "train": {"epochs": 2, "optimizer": "adamw"},
        "space": {"train.lr": {"choice": [1e-3, 1e-2]}},
    },
    "lesion_box": {"train": {"epochs": 1}, "space": {}},
}


@pytest.fixture(scope="module", params=NETWORKS)
def study(
    request: pytest.FixtureRequest, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    given = deepcopy(NETWORKS[request.param])
    spec = deepcopy(TINY_SPEC) | given
    spec["model"] = {"name": request.param, "width": 0.0625} | given.get("model", {})
    spec["protocol"] = {"kind": "kfold", "folds": 2, "test": {"fraction": 0.3}}
    spec["search"] = {"sampler": "random", "trials": 2}
    root = tmp_path_factory.mktemp(request.param)
    plan = plan_study(parse_spec(spec), cohort=cohort.folder, root=root, name="s")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    return open_study(root / "s")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("other")
    write(folder / "dicom", SyntheticSpec(patients=4, size=48, slices=12, seed=9))
    return ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=48)


def test_it_gives_the_same_numbers_again(study: Study, cohort: Cohort) -> None:
    assert study.counts()["complete"] == 2
    rows = list(rerun(study, 1, cohort.folder))
    assert rows
    assert all(row["same"] for row in rows)


def test_its_parameters_and_learning_rate_are_recorded_where_there_are_any(study: Study) -> None:
    rows = study.metrics(0)
    network = study.about.network
    assert rows["parameters"].to_list() == [rows["parameters"][0]] * rows.height
    assert rows["parameters"][0] > 0
    solved = network in ("pefusion", "lesion_box")
    assert rows["lr"].null_count() == (rows.height if solved else 0)


def test_it_is_confirmed_evaluated_and_predicts(
    study: Study, cohort: Cohort, other: Cohort, tmp_path: Path
) -> None:
    (row,) = confirm(
        study, InlineRunner(), cohort=cohort.folder, top=1, seeds=1, progress=lambda *_: None
    )
    assert row["runs"] == 1
    number = int(row["number"])
    looked = evaluate(study, number, cohort.folder, lambda *_: None)
    assert (looked["look"], looked["n"]) == (1, len(study.about.split.test))
    found = predict(study, number, other.folder, cohort=cohort.folder)
    assert found["probability"].is_between(0, 1).all()
    assert found["probability"].n_unique() > 1
    # What is kept of its networks says the same without training again.
    kept = predict(study, number, other.folder, cohort=cohort.folder)
    assert kept.equals(found)


def test_a_study_of_the_table_builds_no_volume(tmp_path: Path) -> None:
    write(tmp_path / "dicom", SyntheticSpec(patients=8, size=48, slices=12, seed=3))
    bare = ingest([tmp_path / "dicom"], keyed(tmp_path / "cohort"), in_plane_px=48)
    before = sorted((bare.folder / "volumes").rglob("*"))
    spec = deepcopy(TINY_SPEC) | {"model": {"name": "mlp"}, "train": {"epochs": 1}, "space": {}}
    spec["data"] = {"window": [8, 160, 160], "tile_stride": 8}  # wider than any slice there is
    spec["search"] = {"sampler": "random", "trials": 1}
    plan = plan_study(parse_spec(spec), cohort=bare.folder, root=tmp_path, name="s")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    assert open_study(tmp_path / "s").counts()["complete"] == 1
    assert sorted((bare.folder / "volumes").rglob("*")) == before
