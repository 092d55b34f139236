"""What a runner and the conductor promise each other, with both runners and both ledgers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mmstudy.driver.conductor import StudyConductor
from mmstudy.driver.contract import Runner
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import StudyHalted, TrialFailed
from mmstudy.search.optuna_study import Proposal, Search
from mmstudy.spec.study_spec import ResourceSpec, parse_spec
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger, Ledger
from mmstudy.storage.schema import RATES, EpochRow, State, TrialRow
from mmstudy.trial.task import TrialTask
from support.memory_ledger import MemoryLedger
from support.tiny_spec import TINY_SPEC

EPOCHS, FOLDS = 3, 2


def epoch(task: TrialTask, fold: int, number: int, auroc: float | None) -> EpochRow:
    return EpochRow(
        number=task.number,
        fold=fold,
        epoch=number,
        attempt=1,
        n_train=8,
        n_val=4,
        n_val_positive=2,
        train_loss=0.5,
        val_loss=0.5,
        rates=dict.fromkeys(RATES) | {"auroc": auroc},
        lr=0.1,
        seconds=0.5,
        written=datetime.now(UTC),
        parameters=10 * (task.number + 1),
    )


def objective(task: TrialTask) -> Iterator[EpochRow]:
    """Trial 1 fails, trial 2 has an undefined AUROC, trial 3 hangs, the others learn."""
    level = 0.9 if task.number == 0 else 0.5 + task.number / 100
    for fold in range(FOLDS):
        for number in range(EPOCHS):
            if (task.number, fold, number) == (1, 0, 1):
                raise TrialFailed("on purpose")
            if (task.number, fold, number) == (3, 0, 1):
                time.sleep(60)
            undefined = (task.number, fold, number) == (2, 1, 0)
            yield epoch(task, fold, number, None if undefined else level + number / 100)


@pytest.fixture(
    scope="module", params=["inline", pytest.param("ray", marks=pytest.mark.slow)], ids=str
)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    if request.param == "inline":
        yield InlineRunner()
        return
    import ray

    from mmstudy.driver.on_ray import RayRunner

    ray.cloudpickle.register_pickle_by_value(__import__(__name__.split(".")[0]))
    with RayRunner() as started:
        yield started


@pytest.fixture(params=["folder", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return MemoryLedger() if request.param == "memory" else FolderLedger(StudyFolder(tmp_path))


def conductor(ledger: Ledger, journal: Path | None = None, **changes: Any) -> StudyConductor:
    written = deepcopy(TINY_SPEC) | {"train": {"epochs": EPOCHS}, "search": {"trials": 4}}
    spec = parse_spec(written | changes)

    def task(proposal: Proposal) -> TrialTask:
        return TrialTask(
            study="",
            cohort="",
            number=proposal.number,
            params=json.dumps(proposal.params),
            seed=proposal.number,
            threads=1,
            device="cpu",
            epoch_seconds=spec.limits.epoch_minutes * 60,
        )

    return StudyConductor(
        ledger=ledger,
        spec=spec,
        search=Search(journal, spec),
        folds=FOLDS,
        task=task,
        notify=lambda _: None,
    )


def rows(ledger: Ledger) -> dict[int, TrialRow]:
    return {row.number: row for row in ledger.trials()}


def test_every_trial_ends_in_the_state_it_earned(runner: Runner, ledger: Ledger) -> None:
    conducted = conductor(ledger, limits={"epoch_minutes": 1 / 60})
    runner.run(conducted, objective, ResourceSpec())
    found = rows(ledger)
    assert {n: row.state for n, row in found.items()} == {
        0: State.COMPLETE,
        1: State.FAIL,
        2: State.FAIL,
        3: State.FAIL,
        4: State.COMPLETE,
        5: State.COMPLETE,
        6: State.COMPLETE,
    }
    assert found[1].reason == "on purpose"
    assert found[2].reason == "not finite: fold 1 has an undefined AUROC"
    assert found[3].reason == ("timeout: no epoch was finished within 1 s (limits.epoch_minutes)")
    assert conducted.standing().best_number == 0


STOPPED = """
import os, sys, time
from mmstudy.driver.inline import InlineRunner
from mmstudy.trial.task import TrialTask

def objective(task):
    print("begun", flush=True)
    ends = time.monotonic() + 0.2
    yield None  # alive
    while time.monotonic() < ends or not os.path.exists(sys.argv[1]):
        time.sleep(0.01)

class Conductor:
    tasks = [TrialTask(study="", cohort="", number=0, params="{}", seed=0, threads=1,
                       device="cpu", epoch_seconds=1.0)]

    def next_task(self):
        return self.tasks.pop() if self.tasks else None

    def on_end(self, number, fault):
        print(number, fault, flush=True)

InlineRunner().run(Conductor(), objective, None)
"""


@pytest.mark.parametrize("goes_on", [True, False])
def test_time_in_which_the_process_stood_still_is_not_counted(
    goes_on: bool, tmp_path: Path
) -> None:
    """Stopped for longer than an epoch may take; what hangs after that is ended all the same."""
    told = tmp_path / "go on"
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(told)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        if goes_on:
            told.touch()
        child.send_signal(signal.SIGCONT)
        end = child.stdout.readline()
    assert end.startswith("0 None" if goes_on else "0 timeout: no epoch was finished within 1 s")


@pytest.mark.slow
def test_time_in_which_a_worker_stood_still_is_not_counted(tmp_path: Path) -> None:
    from mmstudy.driver.on_ray import RayRunner

    def stops(task: TrialTask) -> Iterator[EpochRow]:
        for fold in range(FOLDS):
            for number in range(EPOCHS):
                if (fold, number) == (0, 1):
                    script = f"kill -STOP {os.getpid()}; sleep 3; kill -CONT {os.getpid()}"
                    subprocess.run(["/bin/sh", "-c", script], check=True)
                yield epoch(task, fold, number, 0.6)

    import ray

    ray.cloudpickle.register_pickle_by_value(__import__(__name__.split(".")[0]))
    ledger = FolderLedger(StudyFolder(tmp_path))
    with RayRunner() as runner:
        limits = {"epoch_minutes": 2 / 60}
        runner.run(conductor(ledger, search={"trials": 1}, limits=limits), stops, ResourceSpec())
    assert {row.state for row in ledger.trials()} == {State.COMPLETE}


def test_a_timeout_never_strikes_inside_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that is imported by half would break every trial that needs it later."""
    slow = "import time\nbegun = time.monotonic()\nwhile time.monotonic() < begun + 0.6: pass\n"
    (tmp_path / "imported_slowly.py").write_text(slow)
    monkeypatch.syspath_prepend(tmp_path)
    reached = []

    def imports(task: TrialTask) -> Iterator[EpochRow]:
        if not reached:
            import_module("imported_slowly")
            reached.append(task.number)
            time.sleep(60)
        for fold in range(FOLDS):
            for number in range(EPOCHS):
                yield epoch(task, fold, number, 0.6)

    ledger = MemoryLedger()
    conducted = conductor(ledger, search={"trials": 1}, limits={"epoch_minutes": 0.2 / 60})
    InlineRunner().run(conducted, imports, ResourceSpec())
    assert reached == [0]
    assert {n: row.state for n, row in rows(ledger).items()} == {0: State.FAIL, 1: State.COMPLETE}
    assert sys.modules.pop("imported_slowly").begun


def test_a_complete_trial_has_its_objective_and_what_it_cost(
    runner: Runner, ledger: Ledger
) -> None:
    runner.run(conductor(ledger, search={"trials": 1}), objective, ResourceSpec())
    row = rows(ledger)[0]
    assert (row.value, row.best_epoch) == (pytest.approx(0.92), 2)
    assert (row.seconds, row.seconds_per_epoch, row.parameters) == (3.0, 0.5, 10)


def test_a_stopped_trial_is_pruned_everywhere_and_never_best(
    runner: Runner, ledger: Ledger, tmp_path: Path
) -> None:
    def falling(task: TrialTask) -> Iterator[EpochRow]:
        for fold in range(FOLDS):
            for number in range(EPOCHS):
                good = 0.7 if task.number < 2 else 0.69 - number / 10
                yield epoch(task, fold, number, good)

    changes: dict[str, Any] = {
        "pruning": {"grace_epochs": 2, "reduction": 2},
        "search": {"trials": 5},
    }
    journal = tmp_path / "optuna.journal"
    conducted = conductor(ledger, journal, **changes)
    runner.run(conducted, falling, ResourceSpec(concurrent=1))
    found = rows(ledger)
    pruned = {number for number, row in found.items() if row.state is State.PRUNED}
    assert pruned == {2, 3, 4}
    assert all("behind the other trials" in (found[n].reason or "") for n in pruned)
    assert all(found[n].value is None for n in pruned)
    written = parse_spec(deepcopy(TINY_SPEC) | {"train": {"epochs": EPOCHS}} | changes)
    told = Search(journal, written).told()
    assert {n for n, one in told.items() if one.state is State.PRUNED} == pruned
    assert conducted.standing().best == pytest.approx(0.7)


def begun(conducted: StudyConductor, ledger: Ledger, auroc: float) -> list[EpochRow]:
    """A trial is begun and records every epoch; of none was told yet."""
    task = conducted.next_task()
    assert task is not None
    recorded = [epoch(task, fold, n, auroc) for fold in range(FOLDS) for n in range(EPOCHS)]
    ledger.put_epochs(task.number, recorded)
    return recorded


def test_epochs_whose_reports_were_lost_are_found_in_the_ledger(ledger: Ledger) -> None:
    conducted = conductor(ledger, search={"trials": 1})
    for row in begun(conducted, ledger, 0.6)[:-2]:
        assert conducted.on_epoch(row)
    conducted.on_end(0, None)
    found = rows(ledger)[0]
    assert (found.state, found.seconds) == (State.COMPLETE, 3.0)


def test_what_was_recorded_after_a_trial_was_stopped_does_not_change_its_end(
    ledger: Ledger,
) -> None:
    conducted = conductor(ledger, pruning={"grace_epochs": 1, "reduction": 2})
    for row in begun(conducted, ledger, 0.7):
        conducted.on_epoch(row)
    conducted.on_end(0, None)
    assert not conducted.on_epoch(begun(conducted, ledger, 0.6)[0])
    conducted.on_end(1, None)
    assert [row.state for row in ledger.trials()] == [State.COMPLETE, State.PRUNED]


def test_a_halt_begins_no_other_trial_and_leaves_this_one_to_be_continued(
    runner: Runner, ledger: Ledger
) -> None:
    def full(task: TrialTask) -> Iterator[EpochRow]:
        yield epoch(task, 0, 0, 0.5)
        raise StudyHalted("the disk is full")

    conducted = conductor(ledger)
    runner.run(conducted, full, ResourceSpec(concurrent=1))
    assert {n: row.state for n, row in rows(ledger).items()} == {0: State.RUNNING}
    assert conducted.halted == "the disk is full"


def test_the_failure_budget_ends_the_study(runner: Runner, ledger: Ledger) -> None:
    def failing(task: TrialTask) -> Iterator[EpochRow]:
        raise TrialFailed("always")
        yield

    conducted = conductor(ledger, limits={"failed_trials": 2})
    runner.run(conducted, failing, ResourceSpec(concurrent=1))
    assert conducted.failed == 3
    assert conducted.stopping == "3 trials failed"


def test_the_time_budget_lets_trials_end_and_begins_none(runner: Runner, ledger: Ledger) -> None:
    conducted = conductor(ledger, limits={"hours": 1e-9})
    runner.run(conducted, objective, ResourceSpec())
    assert not rows(ledger)
    assert conducted.stopping == "the time limit of 1e-09 hours is reached"


def test_broken_constraints_cost_a_number_but_no_trial_and_no_budget(
    runner: Runner, ledger: Ledger
) -> None:
    conducted = conductor(
        ledger,
        constraints=["train.lr >= 0.008"],
        search={"trials": 2, "sampler": "random"},
        limits={"failed_trials": 0},
        space={"train.lr": {"float": [1e-3, 1e-2]}},
    )

    def fine(task: TrialTask) -> Iterator[EpochRow]:
        assert json.loads(task.params)["train.lr"] >= 0.008
        for fold in range(FOLDS):
            for number in range(EPOCHS):
                yield epoch(task, fold, number, 0.5)

    runner.run(conducted, fine, ResourceSpec())
    standing = conducted.standing()
    assert (standing.complete, standing.failed) == (2, 0)
    assert standing.infeasible == len(ledger.trials()) - 2 > 0
    reasons = {row.reason for row in ledger.trials() if row.state is State.FAIL}
    assert reasons == {"infeasible: the constraint 'train.lr >= 0.008' does not hold"}


def test_a_space_without_feasible_points_gives_up(runner: Runner) -> None:
    conducted = conductor(
        MemoryLedger(), constraints=["train.lr > 1"], search={"trials": 2, "sampler": "random"}
    )
    runner.run(conducted, objective, ResourceSpec())
    assert conducted.stopping == "1000 proposals in a row were infeasible"


def test_a_grid_ends_when_every_point_was_visited(runner: Runner, ledger: Ledger) -> None:
    space = {"train.weight_decay": {"float": [0.0, 0.9], "step": 0.3}}
    conducted = conductor(
        ledger, space=space, search={"sampler": "grid", "trials": 4}, limits={"epoch_minutes": 0.02}
    )
    runner.run(conducted, objective, ResourceSpec())
    found = [json.loads(row.params)["train.weight_decay"] for row in ledger.trials()]
    assert sorted(found) == pytest.approx([0.0, 0.3, 0.6, 0.9])


def test_several_objectives_are_all_told(runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
    search = {"trials": 2, "objectives": ["auroc", "seconds_per_epoch", "parameters"]}

    def fine(task: TrialTask) -> Iterator[EpochRow]:
        for fold in range(FOLDS):
            for number in range(EPOCHS):
                yield epoch(task, fold, number, 0.5 + task.number / 10)

    journal = tmp_path / "optuna.journal"
    runner.run(conductor(ledger, journal, search=search), fine, ResourceSpec())
    assert [row.parameters for row in ledger.trials()] == [10, 20]
    assert '"values":[0.6,0.5,20.0]' in journal.read_text()


@pytest.mark.parametrize("runner", [pytest.param("ray", marks=pytest.mark.slow)], indirect=True)
def test_processes_that_only_die_halt_the_study_and_fail_no_trial(
    runner: Runner, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmstudy.driver import on_ray as ray_runner

    monkeypatch.setattr(ray_runner, "_PROCESS_DEATHS", 1)

    def dies(task: TrialTask) -> Iterator[EpochRow]:
        os._exit(1)
        yield

    conducted = conductor(ledger)
    runner.run(conducted, dies, ResourceSpec(concurrent=1))
    assert {n: row.state for n, row in rows(ledger).items()} == {0: State.RUNNING}
    assert "Processes die before they can run: 2 times for trial 0" in (conducted.halted or "")
