"""Studies the pages are drawn from; the large one is written once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from streamlit import config
from streamlit.runtime.secrets import secrets_singleton
from streamlit.testing.v1 import AppTest

from mmstudy.serving import app_path
from mmstudy.storage.lock import driver_lock
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import METRICS, TRIALS, EpochRow, State, TrialRow
from support.dashboard_server import browser
from support.dashboard_studies import large_study, old_study, write_about
from support.identity_provider import PUBLIC, sign_in_file

sys.path.insert(0, str(app_path().parent))  # the dashboard's own modules


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Empty, running, twelve trials, ten thousand, an older schema; and two that are broken."""
    root = tmp_path_factory.mktemp("studies")
    write_about(root, "empty", trials=12, epochs=5)
    large_study(root, "twelve", trials=12, epochs=5, folds=2)
    large_study(root, "large", trials=10_000, epochs=50)
    old_study(root)
    (root / "half" / "trials").mkdir(parents=True)
    later = root / "later"
    later.mkdir()
    (later / "study.json").write_text('{"schema_version": 99}')
    running = large_study(root, "running", trials=3, epochs=5, folds=2)
    begun = datetime.now(UTC) - timedelta(minutes=2)
    row = TrialRow(
        number=3,
        state=State.RUNNING,
        params='{"train.lr": 0.001}',
        seed=0,
        attempts=1,
        started=begun,
    )
    write_rows(running.trial(3), TRIALS, [row.as_dict()])
    epochs = [
        EpochRow(
            number=3,
            fold=0,
            epoch=epoch,
            attempt=1,
            n_train=20,
            n_val=20,
            n_val_positive=7,
            train_loss=0.7,
            val_loss=0.6,
            rates={"auroc": 0.6 + epoch / 20},
            lr=0.1,
            seconds=20.0,
            written=begun,
        ).as_dict()
        for epoch in range(4)
    ]
    write_rows(running.trial_metrics(3), METRICS, epochs)
    with driver_lock(running):
        yield root


@pytest.fixture
def page(studies: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard of the five studies, not yet run."""
    monkeypatch.setattr(sys, "argv", ["app.py", str(studies)])
    return AppTest.from_file(str(app_path().resolve()), default_timeout=240)


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[Path]:
    """The sign-in file that Streamlit reads."""
    before = config.get_option("secrets.files")
    file = sign_in_file(tmp_path / "secrets.toml", address=PUBLIC)
    config.set_option("secrets.files", [str(file)])
    secrets_singleton._reset()
    yield file
    config.set_option("secrets.files", before)
    secrets_singleton._reset()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found
