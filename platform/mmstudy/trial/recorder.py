"""The record of one trial while it computes: claim, predictions, metrics, checkpoint, report.

Whatever computes the epochs, this decides what is kept of them and what happens when something
goes wrong. A trial killed anywhere goes on from its checkpoint and computes the same numbers again.
An attempt that finds a newer claim than its own stops: workers outlive a killed driver by seconds.
A step that does not fit into memory is made of twice as many micro-batches, while that is possible.
"""

from __future__ import annotations

import gc
import os
import socket
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from mmcaf.errors import CohortError, DataError
from mmcaf.files import checkpoint
from mmcaf.files.atomic import StorageError
from mmcaf.files.checkpoint import Checkpoint
from mmstudy.errors import CannotSplit, MMStudyError, StudyHalted, TrialFailed
from mmstudy.provenance import code_version, cpu_name, versions
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.schema import Claim, EpochRow
from mmstudy.trial.gpu_meter import GpuMeter
from mmstudy.trial.state import trial_state
from mmstudy.trial.task import Compute, FoldEpoch, Reached, TrialTask

__all__ = ["record"]

_IDLE_ATTEMPTS = 3  # deaths at one place, after the first, that are put down to bad luck


def record(task: TrialTask, compute: Compute) -> Iterator[EpochRow | None]:
    """Compute and record one trial, from its own checkpoint if it has one.

    Yields only the epochs computed by this call; earlier ones are in the trial's metrics file. None
    says that the trial is alive, at work on what comes before its first epoch.

    Raises:
        TrialFailed: anything that would happen again on a second try.
        StudyHalted: nothing can be written any more, or the cohort is not what it was.
    """
    try:
        yield from _recorded(task, compute)
    except (GeneratorExit, TrialFailed):
        raise
    except _Superseded:
        return  # a later attempt owns the files now
    except StorageError as error:
        raise StudyHalted(error.strerror) from error
    except CohortError as error:  # no fault of this trial, and no other could be trusted either
        raise StudyHalted(str(error)) from error
    except Exception as error:
        folder = StudyFolder.at(task.study, "trial")
        log = folder.trial_artifacts(task.number) / "error.txt"
        folder.put_text(log, traceback.format_exc())
        raise TrialFailed(_reason(error)) from error


class _Superseded(Exception):
    pass


def _recorded(task: TrialTask, compute: Compute) -> Iterator[EpochRow | None]:
    record = _Record(task)
    try:
        yield from _split_until_it_fits(task, compute, record)
    finally:
        record.end()


def _split_until_it_fits(
    task: TrialTask, compute: Compute, record: _Record
) -> Iterator[EpochRow | None]:
    split, trouble = record.split(), ""
    while True:
        resume, begun = record.resume(), False
        try:
            for epoch in compute(task, resume, split):
                if epoch is None:
                    record.alive()
                    yield None
                else:
                    yield record.keep(epoch, split)
                    begun = True
            return
        except CannotSplit as error:
            raise TrialFailed(f"oom: {trouble or error}; {error}") from error
        except (OSError, DataError, MMStudyError, StudyHalted, TrialFailed, _Superseded):
            raise
        except Exception as error:
            if _out_of_memory(error):
                trouble, split = str(error) or type(error).__name__, split * 2
            elif resume is None or begun:
                raise
            else:  # the checkpoint may be at fault; from the beginning the same numbers come out
                record.begin_anew(f"nothing could go on from it: {_reason(error)}")
                split = 1
        # Outside the handler, whose traceback would keep the tensors alive, as the epoch would.
        epoch = resume = None
        gc.collect()
        torch.cuda.empty_cache()


def _out_of_memory(error: Exception) -> bool:
    # What torch raises on a CPU is a plain RuntimeError.
    no_memory = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, no_memory) or "can't allocate memory" in str(error)


class _Record:
    """The trial's own files, owned by this attempt."""

    def __init__(self, task: TrialTask) -> None:
        self._folder = folder = StudyFolder.at(task.study, "trial")
        self._number = task.number
        self._ledger = FolderLedger(folder)
        self._checkpoint = folder.checkpoint(task.number)
        state = trial_state(folder, task.number)
        for damage in state.damages:
            folder.put_aside(damage.file, damage.reason)
        # Rows after the checkpoint are computed again.
        self._epochs, self._predictions = state.epochs, state.predictions
        self._claimed = state.claim
        self._attempt = self._claim(task)
        self._meter = GpuMeter(task.device)
        self._last = time.perf_counter()  # when the row before, or this attempt, was begun

    def begin_anew(self, reason: str) -> None:
        """Put the checkpoint aside and forget every epoch."""
        self._folder.put_aside(self._checkpoint, reason)
        self._epochs, self._predictions = [], []

    def resume(self) -> Checkpoint | None:
        """What to go on from."""
        if not self._checkpoint.exists():
            self._folder.fetch(self._checkpoint)
        if not self._checkpoint.exists() and not self._checkpoint.is_symlink():
            return None
        return checkpoint.load(self._checkpoint, self._folder.root)

    def split(self) -> int:
        """Into how many parts steps were split when the checkpoint was written."""
        start = self.resume()
        return start.told(Reached).split if start else 1

    def alive(self) -> None:
        """What comes before the first epoch has got on: earlier deaths were not at this place."""
        claim = self._ledger.claim(self._number)
        if claim is not None and claim.idle and claim.attempt == self._attempt:
            self._ledger.put_claim(self._number, replace(claim, idle=0))

    def keep(self, epoch: FoldEpoch, split: int) -> EpochRow:
        """Write predictions, metrics, then the checkpoint; the row to report."""
        claim = self._ledger.claim(self._number)
        if claim is None or claim.attempt != self._attempt:
            raise _Superseded
        row = self._row(epoch)
        self._epochs.append(row)
        self._predictions += _prediction_rows(self._number, epoch)
        self._ledger.put_predictions(self._number, self._predictions)
        self._ledger.put_epochs(self._number, self._epochs)
        snapshot = epoch.report.snapshot()
        meta = {**snapshot.meta, "fold": epoch.fold, "split": split}
        kept = Checkpoint(tensors=snapshot.tensors, meta=meta)
        self._folder.hand_over(self._checkpoint, lambda path: checkpoint.save(path, kept))
        if epoch.report.epoch == 0:  # what came before it is complete
            self._folder.store_stages()
        return row

    def _claim(self, task: TrialTask) -> int:
        """Make this attempt the owner of the trial's files."""
        last = max((row.attempt for row in self._epochs), default=0)
        known = self._claimed or Claim(attempt=last, epochs=-1)
        stuck = known.launch == task.launch and known.epochs == len(self._epochs)
        idle = known.idle + 1 if stuck else 0
        if idle > _IDLE_ATTEMPTS:
            raise TrialFailed(
                f"its process died {idle} times before epoch {len(self._epochs) + 1} was done"
            )
        self._gpu = task.gpu if task.device.startswith("cuda") else 0.0
        on_gpu = task.device.startswith("cuda")
        claim = Claim(
            attempt=known.attempt + 1,
            idle=idle,
            epochs=len(self._epochs),
            launch=task.launch,
            pid=os.getpid(),
            host=socket.gethostname(),
            device=task.device,
            hardware=torch.cuda.get_device_name() if on_gpu else cpu_name(),
            versions=versions(),
            code_version=code_version(),
        )
        self._ledger.put_claim(task.number, claim)
        return claim.attempt

    def end(self) -> None:
        """Measure no more."""
        self._meter.end()

    def _row(self, epoch: FoldEpoch) -> EpochRow:
        seconds, now = epoch.report.seconds, time.perf_counter()
        # Loading, stages that trials share, writing the row before: all that is not the epoch.
        prepare = max(0.0, now - self._last - seconds)
        self._last = now
        return epoch.row(
            self._number,
            attempt=self._attempt,
            gpu_seconds=(prepare + seconds) * self._gpu,
            accumulate=epoch.accumulate,
            parameters=epoch.parameters,
            prepare_seconds=prepare,
            data_seconds=epoch.report.data_seconds,
            gpu_utilisation=self._meter.reading(),
        )


def _prediction_rows(number: int, epoch: FoldEpoch) -> list[dict[str, Any]]:
    found = epoch.report.predictions
    return [
        {
            "number": number,
            "fold": epoch.fold,
            "epoch": epoch.report.epoch,
            "case": case,
            "label": int(label),
            "probability": float(probability),
        }
        for case, label, probability in zip(found.case, found.label, found.probability, strict=True)
    ]


def _reason(error: Exception) -> str:
    if isinstance(error, FloatingPointError):
        return f"not finite: {error}"
    return f"{type(error).__name__}: {error}"
