"""A study that version 1 of the record wrote: read, compared, and gone on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.compaction import compact
from mmstudy.storage.parquet import read_tables
from mmstudy.storage.schema import METRICS, SCHEMA_VERSION, TRIALS, EpochRow
from mmstudy.study import Study, open_study
from mmstudy.trial.folds import split_cohort
from mmstudy.trial.task import TrialTask
from support.cheap_trial import run_cheap

OLD = Path(__file__).parents[1] / "fixtures" / "study_v1"
SINCE_2 = ("hardware", "host", "versions", "code_version", "cohort_digest", "gpu_seconds")


def three_epochs(task: TrialTask) -> Iterator[EpochRow]:
    params = json.loads(task.params) | {"train.epochs": 3, "seconds": 0}
    return run_cheap(replace(task, params=json.dumps(params)))


@pytest.fixture
def old(tmp_path: Path) -> Study:
    shutil.copytree(OLD, tmp_path / "study_v1")
    return open_study(tmp_path / "study_v1")


def test_the_fixture_is_of_version_1() -> None:
    columns = pl.read_parquet_schema(OLD / "trials" / "00000.parquet")
    assert json.loads((OLD / "study.json").read_text())["schema_version"] == 1
    assert not set(SINCE_2) & columns.keys()


def test_it_reads_as_it_was_and_what_it_did_not_know_is_null(old: Study) -> None:
    assert old.counts() == {"running": 0, "complete": 1, "pruned": 3, "fail": 0}
    best = old.best_trial()
    assert best is not None
    assert (best["number"], best["value"], best["best_epoch"]) == (0, 0.9375, 1)
    assert all(best[column] is None for column in SINCE_2)
    assert old.metrics(0).height == 6
    assert old.metrics(0)["accumulate"].null_count() == 6
    assert old.out_of_fold(0).height == 12
    assert old.front()["number"].to_list() == [0]
    assert old.hours()["pruned"] > 0


def test_compacted_it_has_the_columns_of_today(old: Study) -> None:
    before = old.trials()
    assert compact(old.folder) == 4
    assert old.trials().equals(before)
    segment = next(old.folder.segments.glob("trials-*"))
    assert pl.read_parquet_schema(segment).keys() == set(TRIALS.names)


def test_it_goes_on_under_its_own_spec_and_not_under_another(old: Study, cohort: Cohort) -> None:
    kept = json.loads(old.folder.study.read_text())
    spec = deepcopy(kept["spec"])
    split = split_cohort(parse_spec(spec).protocol, cohort).to_json()
    # The fixture's own cohort is long gone.
    about = kept | {"cohort_digest": cohort.digest, "split": split}
    old.folder.study.write_text(json.dumps(about))

    def run(**changes: Any) -> None:
        plan = plan_study(
            parse_spec(spec | changes),
            cohort=cohort.folder,
            root=old.folder.root.parent,
            name="study_v1",
        )
        run_study(
            plan,
            InlineRunner(),
            notify=lambda _: None,
            progress=lambda *_: None,
            objective=three_epochs,
        )

    with pytest.raises(UsageError, match=r"train\.lr was 0\.0001, is 0\.5"):
        run(train=spec["train"] | {"lr": 0.5})
    run(search=spec["search"] | {"trials": 5})
    again = open_study(old.folder.root)
    assert again.about.schema_version == SCHEMA_VERSION
    assert sum(again.counts().values()) >= 5
    fresh = again.trial(4)
    assert fresh["versions"]
    assert fresh["cohort_digest"] == cohort.digest
    assert again.metrics(0).equals(old.metrics(0))


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "2", None])
def test_a_version_nobody_knows_is_refused(old: Study, version: Any) -> None:
    old.folder.study.write_text(
        json.dumps(json.loads(old.folder.study.read_text()) | {"schema_version": version})
    )
    with pytest.raises(MMStudyError, match=f"has version {version}, this program reads 1 to"):
        open_study(old.folder.root)


def test_a_column_of_a_later_version_is_left_out(tmp_path: Path) -> None:
    rows = pl.read_parquet(OLD / "metrics" / "00000.parquet").with_columns(later=pl.lit(1))
    rows.write_parquet(tmp_path / "00000.parquet")
    assert (
        read_tables([tmp_path / "00000.parquet"], METRICS, limit=tmp_path).columns == METRICS.names
    )
