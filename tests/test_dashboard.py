from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from mmcaf.files import write_json
from mmstudy.dashboard import app_path, command
from mmstudy.paths import StudyPaths
from mmstudy.records import METRICS, PREDICTIONS, TRIALS, EpochRow, State, TrialRow
from mmstudy.store import write_rows

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def write_study(root: Path, *, trials: int = 3, synthetic: bool = True) -> StudyPaths:
    paths = StudyPaths(root / "made")
    about = {
        "schema_version": 1,
        "synthetic": synthetic,
        "question": "<b>Does</b> it *show*?",
        "spec": {"search": {"trials": trials}},
        "split": {"test": [], "folds": [{"train": [], "val": []}]},
        "n_cases": 4,
    }
    write_json(paths.study, about)
    for number in range(trials):
        pruned = number == 1
        row = TrialRow(
            number=number,
            state=State.PRUNED if pruned else State.COMPLETE,
            params='{"train.lr": 0.001, "model.heads": [4, 2, 2]}',
            seed=0,
            attempts=1,
            started=NOW,
            value=None if pruned else 0.6 + number / 10,
            best_epoch=None if pruned else 0,
            seconds=1.0,
        )
        write_rows(paths.trial(number), TRIALS, [row.as_dict()])
        epoch = EpochRow(
            number=number,
            fold=0,
            epoch=0,
            attempt=1,
            n_train=8,
            n_val=4,
            n_val_positive=2,
            train_loss=0.7,
            val_loss=0.6,
            rates={"auroc": 0.6 + number / 10},
            lr=0.1,
            seconds=1.0,
            written=NOW,
        )
        write_rows(paths.trial_metrics(number), METRICS, [epoch.as_dict()])
        cases = [
            {
                "number": number,
                "fold": 0,
                "epoch": 0,
                "case": f"c{i}",
                "label": i % 2,
                "probability": [0.2, 0.7, 0.6, 0.9][i],
            }
            for i in range(4)
        ]
        write_rows(paths.trial_predictions(number), PREDICTIONS, cases)
    return paths


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    return AppTest.from_file(str(app_path()), default_timeout=30)


def test_a_study_shows_its_best_trial_and_that_it_is_synthetic(
    page: AppTest, tmp_path: Path
) -> None:
    write_study(tmp_path)
    page.run()
    assert not page.exception
    assert "SYNTHETIC" in page.warning[0].value
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Best AUROC (n=4)"] == "0.800"
    assert (shown["Complete"], shown["Pruned"]) == ("2", "1")
    assert page.dataframe[0].value["number"].to_list() == [2, 0, 1]
    assert "MMCAF-Net" in page.dataframe[1].value["method"].to_list()


def test_a_question_is_plain_text(page: AppTest, tmp_path: Path) -> None:
    write_study(tmp_path)
    page.run()
    assert page.text[0].value == "<b>Does</b> it *show*?"


def test_no_study_and_no_trial_get_a_helpful_page(page: AppTest, tmp_path: Path) -> None:
    page.run()
    assert "mmstudy run" in page.info[0].value
    write_study(tmp_path, trials=0)
    page.run()
    assert not page.exception
    assert "No trial has begun" in page.info[0].value


def test_the_server_listens_on_this_machine_only(tmp_path: Path) -> None:
    found = command(tmp_path, 8600)
    assert found[found.index("--server.address") + 1] == "127.0.0.1"


def test_a_baseline_is_not_shown_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(app_path().parent))
    from charts import forest

    share = {"value": 0.75, "low": 0.3, "high": 0.95}
    tables = {"ours": None, "baseline": None, "1": None, "2": "impossible"}
    rows = tuple(
        {"table": table, "method": table, "n": 4, "accuracy": share, "flag": flag}
        for table, flag in tables.items()
    )
    shown = {
        (point["method"].split()[0], point["kind"])
        for data in forest(rows).to_dict()["datasets"].values()
        for point in data
        if "kind" in point
    }
    assert shown == {
        ("ours", "this study"),
        ("baseline", "baseline, same folds"),
        ("1", "published"),
        ("2", "flagged"),
    }
