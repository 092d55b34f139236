"""`study.json` as a value: defaults of earlier versions, and one sentence for each fault."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.splits import Fold, Split
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.about import About, cohort_place, read_about, write_about
from mmstudy.storage.folder import StudyFolder
from support.tiny_spec import TINY_SPEC

OLD = Path(__file__).parents[2] / "fixtures" / "study_v1"
SPLIT = Split(("t1",), (Fold(("a", "b"), ("c",)), Fold(("c", "a"), ("b",))))


def written(tmp_path: Path, **changes: Any) -> StudyFolder:
    """A study.json of as little as is needed."""
    raw = {"schema_version": 3, "synthetic": False, "question": "?", "spec": {}}
    raw |= {"split": SPLIT.to_json()} | changes
    folder = StudyFolder(tmp_path)
    folder.study.write_text(json.dumps({k: v for k, v in raw.items() if v is not None}))
    return folder


def test_what_is_written_is_read(tmp_path: Path, cohort: Cohort) -> None:
    folder = StudyFolder(tmp_path / "s")
    folder.root.mkdir()
    spec = parse_spec(TINY_SPEC)
    cases = tuple(cohort.patients["case"])
    split = Split((), (Fold(cases[:8], cases[8:]),))
    write_about(folder, spec, cohort, split)
    found = read_about(folder)
    assert (found.split, found.question) == (split, "Does it run?")
    assert found.spec.digest() == spec.digest()
    assert (found.cohort_digest, found.n_cases) == (cohort.digest, 12)
    assert (found.asked, found.network, found.epochs) == (2, "mmcaf_net", 2)
    assert set(found.space) == {"train.lr", "model.pyramid_scales"}
    assert cohort_place(found, folder) == cohort.folder.resolve()
    labels = dict(cohort.patients.select("case", "label").iter_rows())
    assert found.train_positive == (sum(labels[case] for case in cases[:8]),)


def test_an_earlier_version_did_not_count_who_trained(tmp_path: Path) -> None:
    assert read_about(written(tmp_path)).train_positive is None


@pytest.mark.parametrize(
    ("counts", "told"),
    [([1], "has 1 numbers, the split 2 folds"), ([1, 3], "has 3 of 2 training cases of fold 1")],
)
def test_counts_that_are_not_of_the_folds_are_damage(
    tmp_path: Path, counts: list[int], told: str
) -> None:
    with pytest.raises(MMStudyError, match=rf"is damaged: train_positive {told}"):
        read_about(written(tmp_path, train_positive=counts))


def test_a_second_run_keeps_when_the_study_was_begun(tmp_path: Path, cohort: Cohort) -> None:
    folder = StudyFolder(tmp_path)
    arguments = (parse_spec(TINY_SPEC), cohort, SPLIT)
    write_about(folder, *arguments)
    raw = json.loads(folder.study.read_text()) | {"created": "2020-01-01T00:00:00+00:00"}
    folder.study.write_text(json.dumps(raw))
    write_about(folder, *arguments)
    assert read_about(folder).created == "2020-01-01T00:00:00+00:00"


def test_what_an_earlier_version_did_not_say_has_its_default(tmp_path: Path) -> None:
    found = read_about(written(tmp_path))
    assert found.objectives == ("auroc",)
    assert found.protocol == "kfold"
    assert found.n_cases == 4  # three in folds, one set aside
    assert not found.oracle


def test_a_study_of_version_1_is_read_whole() -> None:
    found = read_about(StudyFolder(OLD))
    assert found.schema_version == 1
    assert found.spec.search.trials == found.asked
    assert len(found.split.folds) > 1


@pytest.mark.parametrize(
    "spec",
    [
        {"model": {"name": "lesion_box"}},
        {"data": {"location": "oracle"}},
        {"space": {"data.location": {"choice": ["tiling", "oracle"]}}},
    ],
)
def test_a_study_that_was_told_where_the_lesion_is_says_so(
    tmp_path: Path, spec: dict[str, Any]
) -> None:
    assert read_about(written(tmp_path, spec=spec)).oracle


@pytest.mark.parametrize("key", ["synthetic", "question", "spec", "split"])
def test_what_is_missing_is_named(tmp_path: Path, key: str) -> None:
    with pytest.raises(
        MMStudyError, match=f"study.json is damaged: .* missing required field `{key}`"
    ):
        read_about(written(tmp_path, **{key: None}))


def test_no_study_is_told_with_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(MMStudyError, match=f"No study in {tmp_path}: .*mmstudy ls"):
        read_about(StudyFolder(tmp_path))


def test_a_spec_nobody_can_read_is_told_only_when_it_is_asked_for(tmp_path: Path) -> None:
    found = read_about(written(tmp_path, spec={"question": "?", "model": {"name": "nobody"}}))
    assert found.network == "nobody"
    with pytest.raises(UsageError, match="nobody"):
        _ = found.spec


def test_another_cohort_is_refused_with_both_digests(tmp_path: Path, cohort: Cohort) -> None:
    found = read_about(written(tmp_path, cohort_digest="f" * 16))
    with pytest.raises(MMStudyError, match=f"cohort {'f' * 16}, .* is {cohort.digest}"):
        found.check_cohort(cohort)
    replace(found, cohort_digest=cohort.digest).check_cohort(cohort)


def test_a_study_that_does_not_know_its_cohort_asks_for_it(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(MMStudyError, match="give --cohort"):
        cohort_place(read_about(folder), folder)


def test_a_reader_of_tables_does_not_wait_for_pydantic() -> None:
    code = "import sys, mmstudy.study; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_about_is_a_value(tmp_path: Path) -> None:
    first, second = (read_about(written(tmp_path)) for _ in range(2))
    assert isinstance(first, About)
    assert first == second
