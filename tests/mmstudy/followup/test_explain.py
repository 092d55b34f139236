"""Explanations of a trial, from the command to what the dashboard reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.errors import CohortError
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.followup import explain as explain_module
from mmstudy.followup import explain_fold as explaining
from mmstudy.followup.explain import choose, explain
from mmstudy.followup.explain_fold import FoldExplainer
from mmstudy.followup.rerun import task_of
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.explanations import Explanations, load
from mmstudy.storage.folder import StudyFolder
from mmstudy.study import Study, open_study
from mmstudy.trial.compute import load_plan
from support.damaged_cohort import damaged_copy
from support.tiny_spec import TINY_SPEC

Command = Callable[..., tuple[int, str, str]]
SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "protocol": {"kind": "kfold", "folds": 2, "test": {"fraction": 0.2, "seed": 1}},
    "data": {"window": [8, 32, 32], "tile_stride": 4},
    "model": {"width": 0.0625, "token_grid": [1, 1, 2], "pyramid_scales": [2, 3]},
    "space": {"train.lr": {"float": [1e-3, 1e-2], "log": True}},
    "search": {"trials": 1, "startup_trials": 1},
}


@pytest.fixture(scope="module")
def study(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("root")
    plan = plan_study(parse_spec(SPEC), cohort=cohort.folder, root=root, name="s")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    return open_study(root / "s")


def explained(study: Study, cohort: Cohort, **options: Any) -> Explanations:
    return explain(study, 0, cohort.folder, progress=lambda *_: None, **options)


@pytest.fixture(scope="module")
def found(study: Study, cohort: Cohort) -> Explanations:
    return explained(study, cohort, per_class=1)


def test_the_command_explains_prints_and_leaves_what_the_reader_reads(
    study: Study, found: Explanations, command: Command
) -> None:
    folder = str(study.folder.root)
    code, out, err = command("explain", folder, "best", "--per-class", "1", "-f", "json")
    assert code == 0
    rows = json.loads(out)
    assert [row["case"] for row in rows] == [case.case for case in found.cases]
    assert len(rows) == 4
    assert "SYNTHETIC" in err
    assert "median rank correlation" in err
    assert load(study.folder, 0) == found
    assert load(study.folder, 1) is None


def test_a_case_is_explained_by_the_network_that_never_trained_on_it(
    study: Study, cohort: Cohort, found: Explanations
) -> None:
    folds = load_plan(task_of(study, 0, cohort)).split.folds
    for case in found.cases:
        assert case.case in folds[case.fold].val
        assert case.case not in folds[case.fold].train
        # Only that fold's network says what the trial had stored of its validation case.
        assert case.probability == pytest.approx(case.stored_probability, abs=1e-6)
    explainer = fold_explainer(study, cohort, fold=1)
    other = next(case for case in found.cases if case.fold == 0)
    stored = {"label": 1, "probability": other.stored_probability, "chosen": "asked for"}
    with pytest.raises(MMStudyError, match="does not validate"):
        explainer.explained({"case": other.case} | stored)


def fold_explainer(study: Study, cohort: Cohort, fold: int) -> FoldExplainer:
    task = task_of(study, 0, cohort)
    path = study.folder.trial_artifacts(0) / f"fold-{fold}.safetensors"
    return FoldExplainer(study, task, load_plan(task).config, cohort, fold, path)


def test_every_case_has_map_picture_values_and_check(study: Study, found: Explanations) -> None:
    for case in found.cases:
        assert case.cam is not None
        whole = found.map(study.folder, case.case)
        assert whole is not None
        assert whole.shape == (12, 32, 32)
        assert whole.max() == (255 if case.cam.scale else 0)  # nothing may speak for the class
        np.testing.assert_allclose(
            whole.mean((1, 2)) * case.cam.scale, case.cam.profile, atol=case.cam.scale
        )
        assert case.cam.n_windows == 2
        picture = found.picture(study.folder, case.case)
        assert picture is not None
        assert cv2.imread(str(picture))[:22].max() > 200  # SYNTHETIC is written there
        assert case.shap is not None
        total = sum(one.shap for one in case.shap.attributes)
        assert case.shap.base + total == pytest.approx(case.shap.logit, abs=1e-4)
        parts = [step.part for step in case.sanity]
        assert parts == ["head", "msca", "tabular", "project", "fusions", "pyramid", "trunk"]
    assert [step.part for step in found.sanity] == parts
    assert found.sanity[-1].n_shap == 4


def test_there_is_a_curve_of_every_attribute_in_every_fold_explained(found: Explanations) -> None:
    folds = {case.fold for case in found.cases}
    assert len(found.curves) == 7 * len(folds)
    for curve in found.curves:
        cases = [case for case in found.cases if case.fold == curve.fold]
        assert curve.n_cases == len(cases)
        of_cases = [
            one.curve
            for case in cases
            if case.shap is not None
            for one in case.shap.attributes
            if one.name == curve.attribute
        ]
        np.testing.assert_allclose(curve.logit, np.mean(of_cases, axis=0))
        outputs = np.array(curve.outputs)
        assert outputs.shape == (24, 33)
        assert len(curve.size) == len(curve.x) == len(curve.logit) == 33
        if curve.x[0] < curve.x[-1]:  # the training rows differ in it
            assert np.ptp(outputs, axis=1).min() > 0
            assert max(curve.size) > 0


def test_nothing_tells_who_a_patient_is_or_when_or_where(
    study: Study, cohort: Cohort, found: Explanations
) -> None:
    folder = study.folder.explanations(0)
    text = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    names = ("patient_id", "study_uid", "series_uid")
    for column in names:
        assert not [one for one in cohort.patients[column] if str(one).encode() in text]
    assert str(cohort.folder).encode() not in text
    ages = {f'"{age}"' for age in cohort.patients["age_years"].drop_nulls()}
    assert not [age for age in ages if age.encode() in text]


def test_a_second_run_goes_on_with_what_is_missing_and_finds_the_same(
    study: Study, cohort: Cohort, found: Explanations, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    def counted(*given: Any, **options: Any) -> Any:
        computed.append(1)
        return real(*given, **options)

    real = explaining.explain_case
    monkeypatch.setattr(explaining, "explain_case", counted)
    folder = study.folder.explanations(0)
    before = (folder / "index.json").read_bytes()
    (folder / "index.json").unlink()  # as when it was stopped
    lost, damaged = found.cases[1].case, found.cases[2].case
    (folder / f"{lost}.json").unlink()
    (folder / f"{damaged}.json").write_text("{", encoding="utf-8")
    assert explained(study, cohort, per_class=1) == found
    assert len(computed) == 2
    assert (folder / "index.json").read_bytes() == before


def test_other_weights_are_explained_anew(
    study: Study, cohort: Cohort, found: Explanations, tmp_path: Path
) -> None:
    shutil.copytree(study.folder.root, tmp_path / "s")
    copied = open_study(tmp_path / "s")
    artifacts = copied.folder.trial_artifacts(0)
    first, second = (artifacts / f"fold-{fold}.safetensors" for fold in range(2))
    shutil.copy(second, first)  # as if fold 0 had learnt otherwise
    heard: list[str] = []
    again = explained(copied, cohort, per_class=1, say=heard.append)
    for old, new in zip(found.cases, again.cases, strict=True):
        assert (old == new) is (old.fold == 1)
    assert any("other probabilities" in line for line in heard)


def test_without_kept_networks_it_says_how_long_training_takes(
    study: Study, cohort: Cohort, found: Explanations, tmp_path: Path
) -> None:
    shutil.copytree(study.folder.root, tmp_path / "s")
    copied = open_study(tmp_path / "s")
    for path in copied.folder.trial_artifacts(0).glob("fold-*"):
        path.unlink()
    heard: list[str] = []
    assert explained(copied, cohort, per_class=1, say=heard.append) == found
    assert "All 2 folds are trained again" in heard[0]


def test_the_most_wrong_and_the_most_sure_of_either_class_are_chosen(study: Study) -> None:
    rows = study.predictions(0).filter(epoch=study.trial(0)["best_epoch"])
    truth = pl.when(pl.col("label") == 1).then("probability").otherwise(1 - pl.col("probability"))
    rows = rows.with_columns(truth=truth)
    chosen = choose(study, 0, per_class=1)
    for label in (0, 1):
        ranked = rows.filter(label=label).sort("truth")
        ours = chosen.filter(label=label)
        assert ours["case"].to_list() == [ranked["case"][0], ranked["case"][-1]]
        ends = [ranked["truth"][0] < 0.5, ranked["truth"][-1] < 0.5]
        words = [("least sure", "most wrong"), ("most sure", "least wrong")]
        assert ours["chosen"].to_list() == [
            pair[wrong] for pair, wrong in zip(words, ends, strict=True)
        ]
    everyone = choose(study, 0, per_class=99)
    assert sorted(everyone["case"]) == sorted(rows["case"])


def test_cases_can_be_named_but_no_test_patient(study: Study, command: Command) -> None:
    test = study.about.split.test[0]
    with pytest.raises(UsageError, match="set aside for testing"):
        choose(study, 0, [test])
    asked = study.about.split.folds[0].val[:1]
    assert choose(study, 0, asked)["chosen"].to_list() == ["asked for"]
    code, out, err = command("explain", str(study.folder.root), "0", "--case", "../x")
    assert (code, out) == (2, "")
    assert "no case '../x' that validates" in err


def test_missing_packages_are_named_in_one_sentence(
    study: Study, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(name: str) -> object:
        return None if name in ("captum", "shap") else find_spec(name)

    monkeypatch.setattr(explain_module, "find_spec", without)
    code, out, err = command("explain", str(study.folder.root), "0")
    assert (code, out) == (2, "")
    assert err.strip() == (
        "Explanations need captum and shap, not installed here: "
        "pip install -c constraints.txt -e '.[explain]'."
    )


def test_a_network_of_the_table_needs_no_volumes(cohort: Cohort, tmp_path: Path) -> None:
    """Its spec's window may be larger than what was ingested: nothing is cut from it."""
    spec = {"question": "?", "protocol": {"folds": 2}, "search": {"trials": 1}}
    spec |= {"model": {"name": "mlp"}, "train": {"epochs": 1}}
    plan = plan_study(parse_spec(spec), cohort=cohort.folder, root=tmp_path, name="s")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    found = explained(open_study(tmp_path / "s"), cohort, per_class=1)
    assert all(case.cam is None and case.shap is not None for case in found.cases)


def test_another_cohort_is_refused(study: Study, tmp_path: Path, cohort: Cohort) -> None:
    shutil.copytree(study.folder.root, tmp_path / "s")
    about = json.loads((tmp_path / "s" / "study.json").read_text())
    (tmp_path / "s" / "study.json").write_text(json.dumps(about | {"cohort_digest": "other"}))
    with pytest.raises(MMStudyError, match="begun on cohort other"):
        explained(open_study(tmp_path / "s"), cohort)


def edited(value: Any, path: str, new: Any) -> Any:
    """`value` with the place at the dotted `path` replaced."""
    key, _, rest = path.partition(".")
    copy = deepcopy(value)
    place = int(key) if isinstance(copy, list) else key
    copy[place] = edited(copy[place], rest, new) if rest else new
    return copy


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("schema_version", 2),
        ("number", -1),
        ("number", 1),
        ("cases.0.case", "../../../etc/passwd"),
        ("cases.0.case", ".hidden"),
        ("cases.0.probability", 1.5),
        ("cases.0.cam.scale", "inf"),
        ("cases.0.sanity.0.cam", 2),
        ("cases.0.says", "<b>squamous</b>"),
        ("cases.0.shap.attributes.0.name", "x" * 81),
        ("curves", None),
    ],
)
def test_what_is_read_back_is_checked(
    study: Study, found: Explanations, tmp_path: Path, path: str, new: Any
) -> None:
    paths = StudyFolder(tmp_path)
    value = json.loads((study.folder.explanations(0) / "index.json").read_text())
    file = paths.explanations(0) / "index.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(edited(value, path, new)), encoding="utf-8")
    with pytest.raises(MMStudyError, match="explanations of trial 0 cannot be read"):
        load(paths, 0)


def test_files_that_are_not_what_the_index_says_are_not_shown(
    study: Study, found: Explanations, tmp_path: Path
) -> None:
    paths, case = StudyFolder(tmp_path), found.cases[0].case
    folder = paths.explanations(0)
    folder.mkdir(parents=True)
    assert found.picture(paths, case) is None
    (folder / f"{case}.png").write_bytes(b"<svg/>")
    assert found.picture(paths, case) is None
    (folder / f"{case}.png").unlink()
    (folder / f"{case}.png").symlink_to(study.folder.explanations(0) / f"{case}.png")
    assert found.picture(paths, case) is None
    with pytest.raises(MMStudyError, match="cannot be read"):
        found.map(paths, case)
    np.save(folder / f"{case}.map.npy", np.zeros((1, 2, 3), np.uint8))
    with pytest.raises(MMStudyError, match=r"uint8 \[1, 2, 3\]"):
        found.map(paths, case)
    np.save(folder / f"{case}.map.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(MMStudyError, match="cannot be read"):
        found.map(paths, case)
    with pytest.raises(MMStudyError, match="no explanation of case"):
        found.picture(paths, "../../x")


def test_a_volume_that_changed_is_not_explained(
    study: Study, cohort: Cohort, tmp_path: Path
) -> None:
    changed, told = damaged_copy(cohort, tmp_path / "c")
    with pytest.raises(CohortError, match=told):
        explained(study, changed)
