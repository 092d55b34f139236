"""Searcher and scheduler on 512 GPUs: the real code, on a clock of its own.

`make bench` runs it; or: python tests/benchmarks/bench_scale.py [real|simulated]... [--trials N]
Exits 1 where a figure misses its target. Runs on a CPU, without any cohort.

What is real: conductor, search (journal on disk, TPE, successive halving), ledger (a study folder,
compaction), and the runner's contract. What is simulated: GPUs and time. An epoch takes what
epochs of a real study took (`epoch_seconds.csv`, relative to their median) times `EPOCH_SECONDS`.
A trial begins after what a process took to begin on a real cluster of four nodes. The driver is one
process: what it computes is measured, and while it computes everything else waits.
"""

from __future__ import annotations

import heapq
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from bench_engine import conductor_of, potential, row_of, spec_of, told

from mmstudy.driver.contract import Conductor, Runner
from mmstudy.spec.study_spec import ResourceSpec
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.schema import EpochRow
from mmstudy.trial.task import Objective, TrialTask

HERE = Path(__file__).resolve().parent
GPUS, TRIALS, BLOCK = 512, 10_000, 500
EPOCHS, EPOCH_SECONDS = 27, 60.0
PRUNING = {"grace_epochs": 3, "reduction": 3}
LAUNCH_SECONDS = 10.0  # where no real cluster was asked
NODES, GPUS_PER_NODE, REAL_TRIALS, REAL_EPOCHS, REAL_SECONDS = 4, 2, 24, 4, 1.5
KINDS = ("report", "begin", "end")  # of what a driver does; a trial's begin is its proposal too


@dataclass(frozen=True)
class Cost:
    """What the driver computed, and for how many calls."""

    seconds: float = 0.0
    calls: int = 0

    def plus(self, seconds: float) -> Cost:
        return Cost(self.seconds + seconds, self.calls + 1)

    def since(self, earlier: Cost) -> float:
        """Milliseconds per call from `earlier` on."""
        return 1000 * (self.seconds - earlier.seconds) / max(1, self.calls - earlier.calls)


@dataclass
class VirtualRunner(Runner):
    """Runs trials on GPUs that are not there, by the contract of `mmstudy.driver.contract`."""

    devices: int
    launch_seconds: float
    seconds: Callable[[EpochRow], float]  # of an epoch
    busy: list[tuple[float, float]] = field(default_factory=list)  # computing: from, to
    last_launch: float = 0.0
    ended: float = 0.0
    costs: dict[str, Cost] = field(default_factory=lambda: {kind: Cost() for kind in KINDS})

    def gpus(self) -> float:
        """See `Runner.gpus`."""
        return float(self.devices)

    def run(self, conductor: Conductor, objective: Objective, resources: ResourceSpec) -> None:
        """See `Runner.run`."""
        self._clock, self._free, self._order = 0.0, self.devices, count()
        self._events: list[tuple[float, int, TrialTask, Iterator[Any], EpochRow | None]] = []
        self._launch(conductor, objective)
        while self._events:
            at, _, task, epochs, row = heapq.heappop(self._events)
            self._clock = max(self._clock, at)  # the driver may be late
            if row is not None and self._asked("report", partial(conductor.on_epoch, row)):
                self._compute(task, epochs)
            else:
                self._asked("end", partial(conductor.on_end, task.number, None))
                self._free += 1
                self._launch(conductor, objective)
        self.ended = self._clock

    def _launch(self, conductor: Conductor, objective: Objective) -> None:
        while self._free and (task := self._asked("begin", conductor.next_task)) is not None:
            self._free -= 1
            self.last_launch = self._clock
            self._compute(task, iter(objective(task)), after=self.launch_seconds)

    def _compute(self, task: TrialTask, epochs: Iterator[Any], after: float = 0.0) -> None:
        begun = self._clock + after
        row = next(epochs, None)
        ends = begun + (self.seconds(row) if row is not None else 0.0)
        self.busy.append((begun, ends))
        heapq.heappush(self._events, (ends, next(self._order), task, epochs, row))

    def _asked(self, kind: str, call: Callable[[], Any]) -> Any:
        """What the driver says; its computing moves the clock."""
        started = time.process_time()
        answer = call()
        spent = time.process_time() - started
        self._clock += spent
        self.costs[kind] = self.costs[kind].plus(spent)
        return answer

    @property
    def driver(self) -> float:
        """Seconds the driver computed."""
        return sum(cost.seconds for cost in self.costs.values())

    def utilisation(self) -> float:
        """Share of the GPUs' time in which they computed epochs, until the last trial began."""
        until = self.last_launch
        computed = sum(max(0.0, min(to, until) - since) for since, to in self.busy if since < until)
        return computed / (self.devices * until)


def measured() -> np.ndarray[Any, Any]:
    """Seconds of epochs of a real study, relative to their median: one row per trial."""
    rows = np.genfromtxt(HERE / "epoch_seconds.csv", delimiter=",", names=True)
    trials = [rows["seconds"][rows["trial"] == t] for t in np.unique(rows["trial"])]
    median = float(np.median(rows["seconds"]))
    return np.array([np.resize(seconds, EPOCHS) for seconds in trials]) / median


def learning(task: TrialTask) -> Iterator[EpochRow]:
    """Learning curves as `bench_engine` simulates them."""
    level, speed = potential(json.loads(task.params))
    noise = np.random.Generator(np.random.Philox([1, task.number]))
    for epoch in range(EPOCHS):
        reached = 0.5 + (level - 0.5) * (1 - np.exp(-speed * (epoch + 1)))
        yield row_of(task, 0, epoch, float(reached + noise.normal(0, 0.01)))


# 1. A real cluster of four nodes, and the same on the virtual clock.


def sleeping(task: TrialTask, seconds: float = REAL_SECONDS) -> Iterator[EpochRow]:
    """Epochs of a known length."""
    for epoch in range(REAL_EPOCHS):
        time.sleep(seconds)
        yield row_of(task, 0, epoch, 0.5 + epoch / 100)


def real() -> tuple[list[bool], float]:
    """Wall seconds on real Ray nodes beside the virtual clock's; seconds a trial takes to begin."""
    import ray
    from ray.cluster_utils import Cluster

    from mmstudy.driver.on_ray import RayRunner

    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        for _ in range(NODES):
            cluster.add_node(num_cpus=GPUS_PER_NODE, num_gpus=GPUS_PER_NODE)
        cluster.wait_for_nodes()
        with RayRunner() as runner:
            watched, wall = timed(runner)
    finally:
        ray.shutdown()
        cluster.shutdown()
    launch = float(np.median(watched.begins))
    virtual = VirtualRunner(NODES * GPUS_PER_NODE, launch, lambda _: REAL_SECONDS)
    timed(virtual, partial(sleeping, seconds=0.0))
    print(
        f"{NODES} real nodes of {GPUS_PER_NODE} pretended GPUs, {REAL_TRIALS} trials of "
        f"{REAL_EPOCHS} epochs of {REAL_SECONDS:g} s: {wall:.0f} s, of which a trial takes "
        f"{launch:.1f} s to begin (median); the virtual clock says {virtual.ended:.0f} s"
    )
    ratio = virtual.ended / wall
    return [told("virtual / real seconds", ratio, at_least=0.75, at_most=1.25)], launch


class Watched:
    """A conductor that notes how long trials take from launch to the begin of their first epoch."""

    def __init__(self, conductor: Any) -> None:
        self._conductor, self._launched = conductor, dict[int, float]()
        self.begins: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conductor, name)

    def next_task(self) -> TrialTask | None:
        task: TrialTask | None = self._conductor.next_task()
        if task is not None:
            self._launched[task.number] = time.perf_counter()
        return task

    def on_epoch(self, row: EpochRow) -> bool:
        if row.epoch == 0:
            self.begins.append(time.perf_counter() - self._launched[row.number] - REAL_SECONDS)
        return bool(self._conductor.on_epoch(row))


def timed(runner: Runner, objective: Objective = sleeping) -> tuple[Watched, float]:
    """A study of sleeping trials, and its wall seconds."""
    with tempfile.TemporaryDirectory() as name:
        paths = StudyFolder(Path(name) / "s")
        spec = spec_of(epochs=REAL_EPOCHS, search={"trials": REAL_TRIALS, "sampler": "random"})
        conductor = conductor_of(spec, FolderLedger(paths), paths.journal, folds=1)
        watched, started = Watched(conductor), time.perf_counter()
        runner.run(watched, objective, ResourceSpec(gpu=1))
        assert conductor.standing().complete == REAL_TRIALS, conductor.standing()
        return watched, time.perf_counter() - started


# 2. Many trials on many GPUs.


def per_report(marks: list[tuple[int, dict[str, Cost]]], whole: dict[str, Cost]) -> list[float]:
    """The driver's CPU ms per report from each mark to the next; prints what they are made of.

    A later trial is pruned sooner and so has fewer reports to bear its begin and end. Hence each
    kind of call by itself, and all of them per report in the proportions of the whole study.
    """
    costs = []
    print("driver's CPU ms per call, by trials ended:")
    for index, ((_, before), (ended, now)) in enumerate(pairwise(marks)):
        ms = {kind: now[kind].since(before[kind]) for kind in KINDS}
        costs.append(sum(ms[k] * whole[k].calls for k in KINDS) / whole["report"].calls)
        if index % max(1, len(marks) // 6) == 0:
            of_kinds = ", ".join(f"{kind} {ms[kind]:.2f}" for kind in KINDS)
            print(f"  {ended:6d}: {of_kinds}; in all {costs[-1]:.2f} per report")
    return costs


def simulated(launch_seconds: float, trials: int) -> list[bool]:
    """Utilisation, the driver's CPU per report from the first trials to the last, its memory."""
    factors, random = measured(), np.random.Generator(np.random.Philox(0))
    of_trial = random.integers(len(factors), size=2 * trials)

    def seconds(row: EpochRow) -> float:
        return EPOCH_SECONDS * float(factors[of_trial[row.number % len(of_trial)], row.epoch])

    marks: list[tuple[int, dict[str, Cost]]] = [(0, {})]  # trials ended, the driver's costs

    def notify(standing: Any) -> None:
        ended = standing.complete + standing.pruned
        if ended + standing.running == trials:
            return  # the last wave needs no proposals any more, and would look cheaper
        if ended >= marks[-1][0] + (100 if len(marks) == 1 else BLOCK):
            marks.append((ended, dict(runner.costs)))

    runner = VirtualRunner(GPUS, launch_seconds, seconds)
    with tempfile.TemporaryDirectory() as name:
        paths = StudyFolder(Path(name) / "s")
        spec = spec_of(
            epochs=EPOCHS, search={"trials": trials, "startup_trials": GPUS}, pruning=PRUNING
        )
        conductor = conductor_of(spec, FolderLedger(paths), paths.journal, folds=1, notify=notify)
        runner.run(conductor, learning, ResourceSpec(gpu=1))
        standing, size = conductor.standing(), paths.journal.stat().st_size / 2**20
    assert standing.complete + standing.pruned == trials, standing
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    reports = runner.costs["report"].calls
    print(
        f"{trials} trials on {GPUS} GPUs, {reports} reports, {standing.pruned} pruned, epochs "
        f"of {EPOCH_SECONDS:g} s (median), {launch_seconds:.1f} s to begin a trial: "
        f"{runner.ended / 3600:.1f} hours, journal of {size:.0f} MiB; "
        f"the driver was busy {runner.driver / runner.ended:.1%} of the time"
    )
    costs = per_report(marks[1:], runner.costs)
    first, last = (float(np.mean(part)) for part in (costs[:2], costs[-2:]))
    return [
        told("utilisation until the last wave", runner.utilisation(), at_least=0.95),
        told("driver's CPU per report, last 1000 trials / first", last / first, at_most=1.25),
        told("peak memory of the driver, GiB", peak, at_most=2.0),
    ]


def main(arguments: list[str]) -> int:
    """Run the parts named, or both; the exit code."""
    trials = TRIALS
    if "--trials" in arguments:
        trials = int(arguments.pop(arguments.index("--trials") + 1))
        arguments.remove("--trials")
    held, launch = [], LAUNCH_SECONDS
    if "real" in arguments or not arguments:
        found, launch = real()
        held += found
    if "simulated" in arguments or not arguments:
        held += simulated(launch, trials)
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
