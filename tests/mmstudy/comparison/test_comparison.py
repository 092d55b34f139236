"""The comparison table: the study, its baselines, the published rows; repeats; oracle."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.stats.areas import auroc, delong
from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.training.baselines import BASELINES, out_of_fold_baselines
from mmstudy.comparison.comparison import compare
from mmstudy.comparison.published import published
from mmstudy.driver.conductor import Standing
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.report.comparison import comparison_table
from mmstudy.report.table import render
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.folder import StudyFolder
from mmstudy.study import Study, open_study, per_case
from support.tiny_spec import TINY_SPEC


def ignore(_: Standing) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def study(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("compare")
    changes: dict[str, Any] = {
        "protocol": {"kind": "kfold", "folds": 2, "repeats": 2},
        "data": {**TINY_SPEC["data"], "location": "oracle"},
        "train": {"epochs": 1, "optimizer": "adamw"},
        "search": {"trials": 1, "startup_trials": 1},
    }
    plan = plan_study(
        parse_spec({**TINY_SPEC, **changes}), cohort=cohort.folder, root=root, name="s"
    )
    run_study(plan, InlineRunner(), notify=ignore, progress=lambda *_: None)
    return open_study(root / "s")


def test_repeated_folds_have_a_score_of_every_case_each(study: Study, cohort: Cohort) -> None:
    assert len(study.about.split.folds) == 4
    found, own = study.out_of_fold(0), compare(study).tested
    assert sorted(found["case"].unique()) == sorted(cohort.patients["case"])
    assert found.height == 2 * own.n
    once = per_case(found)
    case = once["case"][0]
    each = study.predictions(0)
    each = each.filter(each["case"] == case)
    assert each.height == 2
    assert once["probability"][0] == pytest.approx(each["probability"].mean())
    assert own.per_case.select(once.columns).equals(once)
    assert own.counts == ConfusionMatrix.from_scores(
        once["label"], once["probability"], threshold=0.5
    )


def test_the_auroc_is_the_one_searched(study: Study) -> None:
    assert compare(study).tested.auroc.value == pytest.approx(study.trial(0)["value"], abs=1e-12)


def test_baselines_stand_between_ours_and_the_published_rows(study: Study, cohort: Cohort) -> None:
    found = compare(study)
    assert [section.table for section in found.sections[:3]] == ["ours", "baseline", "1"]
    split = study.about.split
    expected = out_of_fold_baselines(cohort.patients, split)
    for row in found.sections[1].rows:
        scored = expected[row.method]
        assert row.auroc.value == auroc(scored["label"], scored["probability"], scored["fold"])
        assert row.n == cohort.patients.height
    marks = {row.method: row.origin.mark for row in found.sections[1].rows}
    assert list(marks.values()) == ["SYNTHETIC", "SYNTHETIC ORACLE"]  # a radiologist drew the box
    fixed = [row.method for row in found.sections[1].rows if row.threshold == "0.5"]
    assert fixed == list(BASELINES)


def test_baselines_are_tested_on_the_same_cases(study: Study, cohort: Cohort) -> None:
    verdicts = compare(study).against_baselines
    split = study.about.split
    ours = study.out_of_fold(0)
    for verdict, scored in zip(
        verdicts, out_of_fold_baselines(cohort.patients, split).values(), strict=True
    ):
        found = delong(
            ours["label"],
            ours["probability"],
            scored["probability"],
            folds=ours["fold"],
            cases=ours["case"],
        )
        assert verdict.tests[0].p == found.p
        assert {test.family for test in verdict.tests} == {4}
        assert verdict.outcome == "none"  # one trial of one epoch: nothing was chosen, 12 cases


def test_what_another_search_chose_on_these_cases_cannot_be_resampled(
    study: Study, tmp_path: Path
) -> None:
    begun = StudyFolder(shutil.copytree(study.folder.root, tmp_path / "s"))
    cases = [*study.out_of_fold(0)["case"].unique()]
    source = {"study": "other", "way": "warm_start", "trials": 20, "searched": cases}
    told = json.loads(begun.study.read_text()) | {"sources": [source]}
    begun.study.write_text(json.dumps(told))
    verdicts = compare(open_study(begun.root)).against_baselines
    assert {verdict.outcome for verdict in verdicts} == {"untested"}
    assert all("after 20 trials of other" in str(verdict.reason) for verdict in verdicts)


def test_where_the_windows_lay_is_written_on_the_result(study: Study) -> None:
    assert study.oracle
    found = compare(study)
    assert found.tested.origin.mark == "SYNTHETIC ORACLE"
    assert "s trial 0 (SYNTHETIC ORACLE)" in render(comparison_table(found), "markdown")


def test_a_study_that_lost_its_cohort_is_compared_without_baselines(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = shutil.copytree(study.folder.root, tmp_path / "elsewhere" / "s")
    assert compare(open_study(alone)).against_baselines  # the user named the cohort here
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "of another machine"))
    found = compare(open_study(alone))
    assert len(found.rows) == len(found.sections[0].rows) + len(published())
    assert found.against_baselines == ()


def test_another_cohort_is_refused(study: Study, cohort: Cohort, tmp_path: Path) -> None:
    other = shutil.copytree(cohort.folder, tmp_path / "other")
    text = (other / "cohort.json").read_text()
    (other / "cohort.json").write_text(text.replace(cohort.digest, "0" * 16))
    with pytest.raises(MMStudyError, match="Give the original one with --cohort"):
        compare(study, other)


def test_the_papers_split_needs_the_papers_patients(cohort: Cohort, tmp_path: Path) -> None:
    spec = parse_spec({**TINY_SPEC, "protocol": {"kind": "paper43"}})
    with pytest.raises(UsageError, match="got 0 of the 43"):
        plan_study(spec, cohort=cohort.folder, root=tmp_path, name="s")


def everything_written(folder: Path) -> str:
    """All files of a study as text, tables unpacked."""
    parts = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        parts.append(path.name)
        if path.suffix == ".parquet":
            parts.append(pl.read_parquet(path).write_csv())
        else:
            parts.append(path.read_bytes().decode("latin-1"))
    return "\n".join(parts)


def test_a_study_holds_no_patient_uid_date_or_path(
    study: Study, cohort: Cohort, dicom_folder: Path
) -> None:
    written = everything_written(study.folder.root)
    assert cohort.patients["case"][0] in written  # the hashes are there: it was really read
    rows = cohort.patients
    named = [*rows["patient_id"], *rows["series_uid"], *rows["study_uid"]]
    assert not [name for name in named if name in written]
    assert not re.search(r"Lung_Dx|\d(\.\d+){8,}|19000101", written)
    assert str(dicom_folder) not in written
    assert str(cohort.folder) not in written


def test_the_reports_hold_no_uid_date_or_path(cohort: Cohort, dicom_folder: Path) -> None:
    for name in ("ingest_report.json", "ingest_report.html"):
        text = (cohort.folder / name).read_text()
        assert not re.search(r"\d(\.\d+){8,}|19000101", text)
        assert str(dicom_folder) not in text


def test_the_html_report_asks_nothing_of_anybody(cohort: Cohort) -> None:
    text = (cohort.folder / "ingest_report.html").read_text()
    assert "default-src 'none'" in text
    assert "SYNTHETIC DATA" in text
    assert not re.search(r"https?://|<script|src=\"(?!data:)", text)
    assert text.count("data:image/jpeg;base64,") == 2 * cohort.patients.height
