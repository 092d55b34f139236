"""How busy a GPU is; without one, nothing."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from mmstudy.search.scoring import time_spent
from mmstudy.trial import gpu_meter as meter
from mmstudy.trial.gpu_meter import GpuMeter
from support.epoch_row import epoch_row


def test_a_reading_is_the_mean_since_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "_EVERY_SECONDS", 0.001)
    looks = iter([20, 60])
    found = GpuMeter("cuda:0", lambda: next(looks))  # the third look fails, as NVML may
    time.sleep(0.2)
    assert found.reading() == pytest.approx(0.4)
    assert found.reading() is None


def test_a_processor_is_not_looked_at() -> None:
    found = GpuMeter("cpu", lambda: 1 // 0)
    assert found.reading() is None


def test_a_trial_says_what_its_seconds_went_into() -> None:
    first = epoch_row(seconds=2.0, prepare_seconds=5.0, data_seconds=1.0, gpu_utilisation=0.9)
    second = replace(first, epoch=1, seconds=6.0, prepare_seconds=0.5, gpu_utilisation=0.5)
    found = time_spent([first, second])
    assert found.seconds == 13.5
    assert found.prepare_seconds == 5.5
    assert found.data_wait_share == pytest.approx(2 / 8)
    assert found.gpu_utilisation == pytest.approx((0.9 * 2 + 0.5 * 6) / 8)


def test_what_an_earlier_version_did_not_measure_stays_unknown() -> None:
    found = time_spent([epoch_row(seconds=2.0)])
    assert found.seconds == 2.0
    assert found.prepare_seconds is found.data_wait_share is found.gpu_utilisation is None
