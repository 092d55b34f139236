"""The runner without Ray: one trial after the other in this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mmstudy.driver.contract import TIME_STEPS, Conductor, Runner, overdue
from mmstudy.errors import StudyHalted, TrialFailed
from mmstudy.spec.study_spec import ResourceSpec
from mmstudy.trial.task import Objective, TrialTask

__all__ = ["InlineRunner"]


class InlineRunner(Runner):
    """One trial after the other in this process: the debug twin of the Ray runner.

    In a thread other than the main one it cannot interrupt a trial that hangs.
    """

    def gpus(self) -> float:
        """Number of GPUs of this machine."""
        import torch  # heavy, and a conductor or a test of one needs none

        return float(torch.cuda.device_count())

    def run(self, conductor: Conductor, objective: Objective, resources: ResourceSpec) -> None:
        """Run one trial after the other; return when the conductor has no more."""
        while (task := conductor.next_task()) is not None:
            try:
                self._trial(task, conductor, objective)
            except TrialFailed as error:
                conductor.on_end(task.number, str(error))
            except StudyHalted as error:
                conductor.on_halt(task.number, str(error))
            else:
                conductor.on_end(task.number, None)

    def _trial(self, task: TrialTask, conductor: Conductor, objective: Objective) -> None:
        epochs = objective(task)
        while True:
            try:
                with _time_limit(task.epoch_seconds):
                    row = next(epochs)
            except StopIteration:
                return
            if row is not None and not conductor.on_epoch(row):
                return


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TrialFailed in the main thread when `seconds` are over.

    They are counted in steps, of which a process that is stopped (Ctrl-Z) makes none. Nothing is
    raised inside an import: what is imported by half breaks whatever needs it later.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    steps = 0

    def step(_: int, frame: FrameType | None) -> None:
        nonlocal steps
        steps += 1
        # One more, for the one that a stop made too short.
        if steps > TIME_STEPS and not _imports(frame):
            raise TrialFailed(overdue(seconds))

    before = signal.signal(signal.SIGALRM, step)
    signal.setitimer(signal.ITIMER_REAL, seconds / TIME_STEPS, seconds / TIME_STEPS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _imports(frame: FrameType | None) -> bool:
    """Whether the trial is importing a module there."""
    while frame is not None and frame.f_code is not InlineRunner._trial.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
