"""A driver hears signals, and requests left in its study's folder."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.stop import ask_to_stop, stoppable


def test_a_request_in_the_folder_interrupts_once_and_is_taken_away(tmp_path: Path) -> None:
    paths, asked = StudyFolder(tmp_path), threading.Event()
    ask_to_stop(paths)  # meant for a driver that has ended since
    with stoppable(paths, asked.set, asked.is_set):
        assert not paths.stop.exists()
        ask_to_stop(paths)
        assert asked.wait(10)
    assert not paths.stop.exists()


def test_without_a_request_nothing_happens(tmp_path: Path) -> None:
    asked = threading.Event()
    with stoppable(StudyFolder(tmp_path), asked.set, asked.is_set):
        assert not asked.wait(1.5)


def test_the_first_signal_interrupts_and_the_second_stops(tmp_path: Path) -> None:
    asked, before = threading.Event(), signal.getsignal(signal.SIGTERM)
    with stoppable(StudyFolder(tmp_path), asked.set, asked.is_set):
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(5)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
