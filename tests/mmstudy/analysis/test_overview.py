"""How a study stands and which trials are wanted, from small tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.splits import Fold, Split
from mmstudy.analysis.filters import Filter, differing, matching, settings
from mmstudy.analysis.overview import band, mean_curves, overview, running, timeline
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.about import About
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.schema import SCHEMA_VERSION, EpochRow
from mmstudy.study import Study, found_studies, open_study
from mmstudy.trial.task import TrialTask
from support.cheap_trial import run_cheap
from support.tiny_spec import TINY_SPEC

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    space = {
        "train.lr": {"float": [1e-5, 1e-1], "log": True},
        "model.heads": {"choice": [[1, 1, 1], [2, 2, 2]]},
        "train.batch_size": {"int": [2, 8]},
    }
    spec = {"search": {"trials": 10}, "train": {"epochs": 4}, "space": space}
    about = About(
        name="s",
        schema_version=SCHEMA_VERSION,
        synthetic=True,
        question="?",
        created="",
        split=Split((), (Fold((), ()), Fold((), ()))),
        cohort=None,
        cohort_digest=None,
        n_cases=0,
        shared=None,
        written=spec,
    )
    return Study(StudyFolder(tmp_path / "s"), about)


def trials(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {
        "state": "complete",
        "value": None,
        "seconds": 60.0,
        "gpu_seconds": None,
        "reason": None,
        "host": None,
        "started": NOW,
        "ended": NOW + timedelta(minutes=2),
        "param:train.lr": 0.01,
        "param:model.heads": "[1, 1, 1]",
    }
    kinds = {"gpu_seconds": pl.Float64, "reason": pl.String, "host": pl.String, "value": pl.Float64}
    return pl.DataFrame([{**usual, **row} for row in rows], schema_overrides=kinds)


def test_counts_best_and_hours(study: Study) -> None:
    found = overview(
        study,
        trials(
            {"number": 0, "value": 0.7},
            {"number": 1, "value": 0.7},
            {"number": 2, "state": "pruned", "gpu_seconds": 1800.0},
            {"number": 3, "state": "fail", "reason": "infeasible: too large", "seconds": 0.0},
            {"number": 4, "state": "fail", "reason": "oom"},
        ),
    )
    assert found.counts == {"running": 0, "complete": 2, "pruned": 1, "fail": 1}
    assert (found.infeasible, found.best, found.best_value) == (1, 0, 0.7)
    assert found.hours == pytest.approx(4 / 60)
    assert found.wasted_hours == pytest.approx(2 / 60)
    assert found.gpu_hours == 0.5


def test_time_left_is_the_pace_of_those_that_ended_times_those_due(study: Study) -> None:
    rows = [
        {"number": i, "value": 0.5, "started": NOW, "ended": NOW + timedelta(minutes=i + 1)}
        for i in range(4)
    ]
    assert overview(study, trials(*rows)).seconds_left == 60 * 6  # four in four minutes, six due
    assert overview(study, trials({"number": 0, "state": "running"})).seconds_left is None


def test_a_running_trial_has_its_share_and_its_own_pace(study: Study) -> None:
    alive = trials({"number": 5, "state": "running", "ended": None}, {"number": 0, "value": 0.6})
    epochs = pl.DataFrame(
        {"number": 5, "fold": [0, 0], "epoch": [0, 1], "seconds": [8.0, 12.0], "auroc": [0.5, 0.6]}
    )
    row = running(study, alive, epochs).row(0, named=True)
    assert (row["number"], row["share"], row["seconds_left"]) == (5, 0.25, 60.0)
    assert (row["epoch"], row["auroc"]) == (2, 0.6)


def test_a_trial_before_its_first_epoch_has_no_time_left(study: Study) -> None:
    epochs = pl.DataFrame(
        schema={"number": pl.Int64, "fold": pl.Int32, "epoch": pl.Int32, "seconds": pl.Float64}
        | {"auroc": pl.Float64}
    )
    row = running(study, trials({"number": 5, "state": "running"}), epochs).row(0, named=True)
    assert (row["share"], row["seconds_left"]) == (0.0, None)


def test_curves_are_means_over_folds_and_the_band_over_trials() -> None:
    epochs = pl.DataFrame(
        {
            "number": [0, 0, 1, 1],
            "fold": [0, 1, 0, 1],
            "epoch": [0, 0, 0, 0],
            "auroc": [0.4, 0.6, 0.8, 1.0],
        }
    )
    means = mean_curves(epochs)
    assert means["auroc"].to_list() == pytest.approx([0.5, 0.9])
    row = band(means, 0.25, 0.75).row(0, named=True)
    assert row == pytest.approx({"epoch": 1, "low": 0.6, "median": 0.7, "high": 0.8, "n": 2})


def test_the_timeline_is_in_hours_and_a_running_trial_ends_now() -> None:
    rows = trials({"number": 0}, {"number": 1, "started": NOW + timedelta(hours=1), "ended": None})
    found = timeline(rows, NOW + timedelta(hours=3))
    assert found["begin"].to_list() == pytest.approx([0.0, 1.0])
    assert found["end"].to_list() == pytest.approx([2 / 60, 3.0])


def test_filters_ask_for_all_they_name(study: Study) -> None:
    table = trials(
        {"number": 0, "value": 0.7, "param:train.lr": 0.1},
        {"number": 1, "value": 0.6, "param:model.heads": "[2, 2, 2]"},
        {"number": 2, "state": "fail", "reason": "OOM on (gpu)"},
    )

    def kept(wanted: Filter) -> list[int]:
        return matching(table, wanted)["number"].to_list()

    assert kept(Filter()) == [0, 1, 2]
    assert kept(Filter(states=("fail",))) == [2]
    assert kept(Filter(least=0.65)) == [0]
    assert kept(Filter(text="(gpu)")) == [2]
    assert kept(Filter(text="[2, 2")) == [1]
    assert kept(Filter(ranges={"train.lr": (0.05, 0.1)})) == [0]
    assert kept(Filter(options={"model.heads": ("[2, 2, 2]",)})) == [1]


def test_settings_are_those_of_the_spec_that_trials_have(study: Study) -> None:
    lr, heads = settings(study, trials({"number": 0}))
    assert (lr.path, lr.log, lr.low, lr.high, lr.whole) == ("train.lr", True, 1e-5, 0.1, False)
    assert heads.options == ("[1, 1, 1]", "[2, 2, 2]")


def test_what_differs_comes_first() -> None:
    rows = trials({"number": 3}, {"number": 1, "param:model.heads": "[2, 2, 2]"}).to_dicts()
    table = differing(rows)
    assert table["setting"].to_list() == ["model.heads", "train.lr"]
    assert table.row(0) == ("model.heads", True, "[1, 1, 1]", "[2, 2, 2]")


def test_broken_folders_are_found_with_their_fault(tmp_path: Path) -> None:
    (tmp_path / "half" / "trials").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (found,) = found_studies(tmp_path)
    assert found.study is None
    assert "no study.json" in (found.fault or "")


def two_epochs(task: TrialTask) -> Iterator[EpochRow]:
    params = json.loads(task.params) | {"train.epochs": 2, "seconds": 0}
    return run_cheap(replace(task, params=json.dumps(params)))


def test_the_driver_leaves_the_importance_when_it_ends(tmp_path: Path, cohort: Cohort) -> None:
    spec = parse_spec(TINY_SPEC | {"search": {"trials": 5, "startup_trials": 5}})
    plan = plan_study(spec, cohort=cohort.folder, root=tmp_path, name="s")
    run_study(
        plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None, objective=two_epochs
    )
    said = open_study(tmp_path / "s").importances()
    assert said is not None
    assert said["complete"] == open_study(tmp_path / "s").counts()["complete"]
    assert said["fault"].startswith(f"{said['complete']} complete trials: too few to say")
