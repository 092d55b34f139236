"""What is kept of a trial while it computes, and what happens when it goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from mmcaf.config import TrainConfig
from mmcaf.files.checkpoint import Checkpoint
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import CannotSplit, TrialFailed
from mmstudy.spec.study_spec import ResourceSpec
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.trial.compute import split_steps
from mmstudy.trial.recorder import record
from mmstudy.trial.task import FoldEpoch, TrialTask
from support import cheap_trial
from support.cheap_trial import compute, run_cheap


def task(folder: Path, number: int = 0, **changes: object) -> TrialTask:
    params = {"train.lr": 0.5, "train.epochs": 3, "seconds": 0}
    made = TrialTask(
        study=str(folder),
        cohort="",
        number=number,
        params=json.dumps(params),
        seed=1,
        threads=1,
        device="cpu",
        launch="a",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def ledger(folder: Path) -> FolderLedger:
    return FolderLedger(StudyFolder(folder))


def test_a_trial_leaves_its_epochs_predictions_and_where_it_ran(tmp_path: Path) -> None:
    rows = [*run_cheap(task(tmp_path))]
    assert ledger(tmp_path).epochs(0) == rows
    assert len(rows) == 6
    assert len(ledger(tmp_path).predictions(0)) == 6 * 20
    claim = ledger(tmp_path).claim(0)
    assert claim is not None
    assert (claim.attempt, claim.device) == (1, "cpu")
    assert claim.hardware
    assert (claim.versions or {})["torch"] == torch.__version__
    assert claim.code_version
    assert (rows[0].gpu_seconds, rows[0].accumulate, rows[0].parameters) == (0.0, 1, 5)


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_killed_trial_goes_on_to_the_same_numbers(tmp_path: Path, killed_after: int) -> None:
    whole = [row.rates for row in run_cheap(task(tmp_path / "whole"))]
    first = run_cheap(task(tmp_path))
    for _ in range(killed_after):
        next(first)
    rest = [*run_cheap(task(tmp_path))]
    assert len(rest) == 6 - killed_after
    assert [row.rates for row in ledger(tmp_path).epochs(0)] == whole


def test_an_attempt_that_was_overtaken_writes_nothing_more(tmp_path: Path) -> None:
    old = run_cheap(task(tmp_path))
    next(old)
    new = run_cheap(task(tmp_path))
    next(new)
    assert [*old] == []
    assert [row.attempt for row in ledger(tmp_path).epochs(0)] == [1, 2]


def test_a_process_that_dies_at_one_place_gives_up_another_driver_begins_anew(
    tmp_path: Path,
) -> None:
    for _ in range(6):
        next(run_cheap(task(tmp_path)))  # one epoch each time: no death at one place
    stuck = task(tmp_path, number=1)

    def dies(*_: object) -> Iterator[FoldEpoch]:
        raise KeyboardInterrupt  # as near to a kill as one process can come
        yield

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            next(record(stuck, dies))
    with pytest.raises(TrialFailed, match="its process died 4 times before epoch 1 was done"):
        next(record(stuck, dies))
    next(run_cheap(replace(stuck, launch="another")))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (cheap_trial.ALWAYS_FAILS, "ValueError: on purpose, every time"),
        (cheap_trial.BECOMES_NAN, "not finite: the loss became nan"),
        (cheap_trial.OUT_OF_MEMORY, "oom: .*Unable to allocate"),
    ],
)
def test_what_would_happen_again_is_a_failure_with_its_reason(
    tmp_path: Path, number: int, reason: str
) -> None:
    with pytest.raises(TrialFailed, match=reason):
        list(run_cheap(task(tmp_path, number)))
    assert len(ledger(tmp_path).epochs(number)) == 1


def test_a_step_too_large_is_made_of_smaller_ones_and_goes_on_where_it_was(tmp_path: Path) -> None:
    tried: list[int] = []

    def large(of: TrialTask, resume: Checkpoint | None, split: int) -> Iterator[FoldEpoch]:
        tried.append(split)
        for done, epoch in enumerate(compute(of, resume, 1)):
            if done == 2 and split < 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            yield replace(epoch, accumulate=split)

    rows = [*record(task(tmp_path), large)]
    assert tried == [1, 2, 4]
    assert [row.accumulate for row in rows] == [1, 1, 2, 2, 4, 4]
    whole = [row.rates for row in run_cheap(task(tmp_path / "whole"))]
    assert [row.rates for row in ledger(tmp_path).epochs(0)] == whole


def test_the_split_is_remembered_when_the_trial_goes_on(tmp_path: Path) -> None:
    tried: list[int] = []

    def large(of: TrialTask, resume: Checkpoint | None, split: int) -> Iterator[FoldEpoch]:
        tried.append(split)
        if split < 2:
            raise MemoryError
        yield from compute(of, resume, 1)

    next(record(task(tmp_path), large))
    next(record(task(tmp_path), large))
    assert tried == [1, 2, 2]


@dataclass(frozen=True, kw_only=True)
class _Accumulating(TrainConfig):
    accumulate: int = 1


def test_steps_are_split_as_long_as_batch_norm_has_two_samples() -> None:
    config = _Accumulating(batch_size=8, accumulate=2)
    assert split_steps(config, 1) is config
    assert split_steps(config, 2) == replace(config, accumulate=4)
    with pytest.raises(CannotSplit, match="8 in 8 parts leaves batch norm fewer than 2"):
        split_steps(config, 4)


def test_a_hung_trial_is_ended_inline(tmp_path: Path) -> None:
    ended: list[str | None] = []

    class Conductor:
        finished = False
        tasks = [task(tmp_path, cheap_trial.HANGS, epoch_seconds=0.2)]

        def next_task(self) -> TrialTask | None:
            return self.tasks.pop() if self.tasks else None

        def on_epoch(self, _: object) -> bool:
            return True

        def on_end(self, number: int, fault: str | None) -> None:
            ended.append(fault)

        def on_halt(self, number: int, reason: str) -> None:
            raise AssertionError(reason)

    InlineRunner().run(Conductor(), run_cheap, ResourceSpec())
    assert ended == ["timeout: no epoch was finished within 0.2 s (limits.epoch_minutes)"]


def test_deaths_while_earlier_stages_get_on_do_not_fail_a_trial(tmp_path: Path) -> None:
    def killed_in_a_stage(
        task: TrialTask, resume: Checkpoint | None, split: int
    ) -> Iterator[FoldEpoch | None]:
        yield None

    for _ in range(6):  # each attempt gets on by an epoch of a stage, then its process dies
        assert next(record(task(tmp_path), killed_in_a_stage)) is None
    assert len([*run_cheap(task(tmp_path))]) == 6
