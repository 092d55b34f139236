"""The record's rows: there and back through every form they travel in, and never another schema."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmstudy.storage.parquet import read_rows, write_rows
from mmstudy.storage.schema import (
    CONFIRMATIONS,
    EVALUATIONS,
    METRICS,
    PREDICTIONS,
    RATES,
    TRIALS,
    EpochRow,
    State,
    TrialRow,
)
from support.epoch_row import epoch_row

TRIAL = TrialRow(
    number=3,
    state=State.PRUNED,
    params='{"train.lr": 0.1}',
    seed=2**62,
    attempts=2,
    started=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    reason="no chance",
)


@pytest.mark.parametrize(("schema", "row"), [(TRIALS, TRIAL), (METRICS, epoch_row(0.7))])
def test_a_row_has_the_columns_of_its_table(schema: pa.Schema, row: TrialRow | EpochRow) -> None:
    assert sorted(row.as_dict()) == sorted(schema.names)


def test_a_trial_goes_through_parquet_unchanged(tmp_path) -> None:  # type: ignore[no-untyped-def]
    write_rows(tmp_path / "t.parquet", TRIALS, [TRIAL.as_dict()])
    (row,) = read_rows(tmp_path / "t.parquet", TRIALS, limit=tmp_path)
    assert TrialRow.from_dict(row) == TRIAL


def test_an_epoch_goes_through_parquet_unchanged(tmp_path) -> None:  # type: ignore[no-untyped-def]
    given_row = replace(epoch_row(1 / 3), gpu_seconds=0.1, accumulate=2, data_seconds=None)
    write_rows(tmp_path / "t.parquet", METRICS, [given_row.as_dict()])
    (row,) = read_rows(tmp_path / "t.parquet", METRICS, limit=tmp_path)
    assert EpochRow.from_dict(row) == given_row


@given(
    auroc=st.floats(0, 1) | st.none(),
    seconds=st.floats(0, 1e6),
    hours=st.integers(-12, 12),
)
def test_an_epoch_goes_through_a_runner_s_channel_unchanged(
    auroc: float | None, seconds: float, hours: int
) -> None:
    written = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=hours)))
    row = replace(
        epoch_row(), seconds=seconds, written=written, rates=dict.fromkeys(RATES) | {"auroc": auroc}
    )
    assert EpochRow.from_json(row.to_json()) == row


def test_a_rate_that_was_not_computed_is_null() -> None:
    row = replace(epoch_row(), rates={"auroc": 0.5}).as_dict()
    assert {rate: row[rate] for rate in RATES} == dict.fromkeys(RATES) | {"auroc": 0.5}


def test_what_an_older_version_did_not_write_is_nullable() -> None:
    """Files of versions 1 and 2 lack these columns, and are read as they are."""
    later = {"hardware", "gpu_seconds", "prepare_seconds", "data_wait_share", "gpu_utilisation"}
    for schema in (TRIALS, METRICS):
        for name in later & set(schema.names):
            assert schema.field(name).nullable
    optional = {field.name for field in fields(TrialRow) if field.default is None}
    assert all(TRIALS.field(name).nullable for name in optional)


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        (TRIALS, "number state params value best_epoch seed attempts started ended seconds"),
        (METRICS, "number fold epoch attempt n_train n_val n_val_positive train_loss val_loss"),
        (PREDICTIONS, "number fold epoch case label probability"),
        (CONFIRMATIONS, "number run fold epoch seed n_train n_val"),
        (EVALUATIONS, "look number n n_positive"),
    ],
)
def test_columns_of_the_first_version_stay_where_they_are(schema: pa.Schema, names: str) -> None:
    assert schema.names[: len(names.split())] == names.split()
    assert not schema.field("number").nullable
