"""What no study writes is found in a table, and told with the column; all else passes."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmstudy.errors import MMStudyError
from mmstudy.storage.schema import (
    CONFIRMATIONS,
    EVALUATIONS,
    METRICS,
    PREDICTIONS,
    TRIALS,
    State,
    TrialRow,
)
from mmstudy.storage.validity import fault_of
from mmstudy.study import Study, open_study
from support.epoch_row import epoch_row
from support.made_study import made_study

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS: dict[str, tuple[pa.Schema, dict[str, Any]]] = {
    "trials": (
        TRIALS,
        TrialRow(
            number=3, state=State.COMPLETE, params="{}", seed=1, attempts=1, started=NOW,
            value=0.5, best_epoch=0,
        ).as_dict(),
    ),
    "metrics": (METRICS, epoch_row(number=3, epoch=0).as_dict()),
    "predictions": (
        PREDICTIONS,
        {"number": 3, "fold": 0, "epoch": 0, "case": "a", "label": 1, "probability": 0.5},
    ),
    "confirmations": (
        CONFIRMATIONS,
        {"number": 3, "run": 0, "fold": 0, "epoch": 0, "seed": 1, "n_train": 2, "n_val": 2}
        | {"seconds": 1.0, "written": NOW},
    ),
    "evaluations": (
        EVALUATIONS,
        {"look": 1, "number": 3, "n": 4, "n_positive": 2, "written": NOW},
    ),
}  # fmt: skip


def told(table: str, *changes: dict[str, Any]) -> str | None:
    schema, row = ROWS[table]
    columns = [field.with_nullable(True) for field in schema]
    rows = pa.Table.from_pylist([row | one for one in changes], schema=pa.schema(columns))
    return fault_of(pl.DataFrame(rows), schema)


@pytest.mark.parametrize("table", ROWS)
def test_what_a_study_writes_has_no_fault(table: str) -> None:
    assert told(table, {}) is None
    assert told(table) is None


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("trials", {"state": "zombie"}),
        ("trials", {"state": None}),
        ("trials", {"number": -1}),
        ("trials", {"number": 2**31 - 1}),
        ("trials", {"number": None}),
        ("trials", {"best_epoch": -5}),
        ("trials", {"best_epoch": 2**31 - 1}),
        ("trials", {"value": nan}),
        ("trials", {"value": inf}),
        ("trials", {"value": None}),
        ("trials", {"best_epoch": None}),
        ("trials", {"seconds": nan}),
        ("trials", {"seconds": -1e300}),
        ("trials", {"reason": "x" * 5_000_000}),
        ("trials", {"reason": "a\0b"}),
        ("trials", {"params": "x" * 5_000_000}),
        ("trials", {"started": datetime(1, 1, 1, tzinfo=UTC)}),
        ("trials", {"ended": datetime(9999, 1, 1, tzinfo=UTC)}),
        ("metrics", {"auroc": 1.5}),
        ("metrics", {"auroc": nan}),
        ("metrics", {"train_loss": inf}),
        ("metrics", {"fold": -2}),
        ("metrics", {"epoch": -1}),
        ("metrics", {"n_val": -1}),
        ("predictions", {"label": 7}),
        ("predictions", {"label": -1}),
        ("predictions", {"label": None}),
        ("predictions", {"probability": nan}),
        ("predictions", {"probability": 5.0}),
        ("predictions", {"probability": None}),
        ("predictions", {"case": ""}),
        ("predictions", {"case": "x" * 201}),
        ("confirmations", {"auroc": -0.1}),
        ("confirmations", {"run": -1}),
        ("evaluations", {"look": 0}),
        ("evaluations", {"auroc_low": nan}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_no_study_writes_is_told_with_its_column(table: str, changes: dict[str, Any]) -> None:
    (column,) = changes
    said = told(table, {}, changes)
    assert said is not None
    assert said.startswith(f"column {column} ")
    assert "allowed is" in said
    assert len(said) < 300


def test_a_trial_that_is_not_complete_needs_no_value() -> None:
    for state in (State.RUNNING, State.PRUNED, State.FAIL):
        assert told("trials", {"state": state, "value": None, "best_epoch": None}) is None


@pytest.mark.parametrize("table", ["trials", "metrics", "predictions", "evaluations"])
def test_a_row_that_is_there_twice_is_told(table: str) -> None:
    assert str(told(table, {}, {"number": 3})).endswith("is there twice")


def test_a_confirming_run_may_be_there_twice() -> None:
    assert told("confirmations", {}, {}) is None


def test_one_case_in_two_epochs_is_no_double() -> None:
    assert told("predictions", {}, {"epoch": 1}, {"fold": 1}, {"case": "b"}) is None


class TestFiles:
    @pytest.fixture
    def study(self, tmp_path: Path) -> Study:
        made = made_study(tmp_path)
        return made_study(tmp_path, scores=[made.predictions()["probability"].to_numpy()] * 3)

    def rewrite(self, path: Path, schema: pa.Schema, **changes: Any) -> None:
        rows = [row | changes for row in pq.read_table(path).to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)

    def test_the_file_is_named_among_the_others(self, study: Study) -> None:
        self.rewrite(study.folder.trial(1), TRIALS, state="zombie")
        with pytest.raises(MMStudyError, match=r"00001\.parquet is damaged: column state holds"):
            study.trials()

    def test_a_trial_under_another_number_is_told_by_its_file(self, study: Study) -> None:
        self.rewrite(study.folder.trial(0), TRIALS, number=2)
        with pytest.raises(MMStudyError, match=r"00000\.parquet .* holds rows of trial 2"):
            study.trials()

    def test_rows_of_another_trial_are_told_by_their_file(self, study: Study) -> None:
        self.rewrite(study.folder.trial_metrics(1), METRICS, number=0)
        with pytest.raises(MMStudyError, match=r"00001\.parquet .* holds rows of trial 0"):
            study.metrics()
        with pytest.raises(MMStudyError, match=r"00001\.parquet .* holds rows of trial 0"):
            open_study(study.folder.root).metrics(1)

    def test_probabilities_are_looked_at_before_anything_is_computed(self, study: Study) -> None:
        self.rewrite(study.folder.trial_predictions(1), PREDICTIONS, probability=nan)
        with pytest.raises(MMStudyError, match=r"00001\.val\.parquet .*column probability"):
            study.out_of_fold(1)
