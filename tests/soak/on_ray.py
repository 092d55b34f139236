"""Studies on a Ray cluster: drivers and workers killed, workers and nodes paused."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from soak.commands import Commands, Running
from soak.records import changed, digests, poison, unreadable
from soak.study import Bench, Report
from support.ray_nodes import RayNodes, ray_token

__all__ = ["HEARTBEAT", "KINDS", "cluster", "trouble_on_ray"]

HEARTBEAT = 2.0  # s without an answer after which Ray gives a node up; 30 and more by default
_HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "400",
    "RAY_health_check_timeout_ms": "400",
    "RAY_health_check_failure_threshold": "3",
}
_TRIALS, _EVENTS = 3, 4  # of one study
_LONG = ["--set", "train.epochs=60", "--set", "pruning=null"]  # trials of seconds
_PATIENCE = 240
KINDS = ("driver killed", "worker killed", "worker stopped", "node stopped")


@contextmanager
def cluster(bench: Bench, library: Path) -> Iterator[tuple[Bench, RayNodes, psutil.Popen]]:
    """A bench whose commands run on a cluster of two nodes; the second node's process."""
    with RayNodes(**_HEALTH) as nodes, ray_token("token", nodes.token):
        worker = nodes.add(cpus=1)
        client = nodes.client | {"RAY_ADDRESS": f"127.0.0.1:{nodes.port}"}
        with Commands(library, bench.folder, client) as commands:
            yield Bench(commands, bench.cohort, bench.folder, bench.spec), nodes, worker


def trouble_on_ray(
    bench: Bench,
    nodes: RayNodes,
    node: psutil.Popen,
    moments: int,
    chance: random.Random,
    report: Report,
) -> None:
    """So many times one of `KINDS`, in one study after the other until each is at its end."""
    left = [KINDS[index % len(KINDS)] for index in range(moments)]
    while left:
        root, ended = bench.empty("ray"), dict[int, str]()
        running = bench.commands.start(*_run(bench, root))
        for kind in left[:_EVENTS]:
            if not _at_work(running, nodes):
                break
            time.sleep(chance.uniform(0, 2))
            if not _happen(kind, running, nodes, node):
                break
            left.remove(kind)
            faults: list[str] = []
            if kind == "driver killed":
                faults = _after_kill(root, ended)
                running = bench.commands.start(*_run(bench, root))
            report.add(f"run on Ray: {kind}", *faults)
        running.wait(_PATIENCE)
        faults = bench.wrong(root / "s", ended, running, _TRIALS)
        report.add("run on Ray: ended", *faults)


def _run(bench: Bench, root: Path) -> list[str | Path]:
    return [*(word for word in bench.run(root, _TRIALS) if word != "--inline"), *_LONG]


def _happen(kind: str, running: Running, nodes: RayNodes, node: psutil.Popen) -> bool:
    """Whether it could be done: the study may have ended, and its workers with it."""
    if kind == "driver killed":
        running.kill()
        return running.code == -signal.SIGKILL
    if kind == "node stopped":
        _stop_for_long([node, *node.children(recursive=True)])
        return True
    workers = _workers(nodes)
    if workers and kind == "worker stopped":
        _stop_for_long(workers[:1])
    elif workers:
        with suppress(psutil.Error):
            workers[0].kill()
    return bool(workers)


def _stop_for_long(processes: Sequence[psutil.Process]) -> None:
    """SIGSTOP for longer than Ray waits for an answer."""
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for one in processes:
            with suppress(psutil.Error):
                one.send_signal(number)
        if number == signal.SIGSTOP:
            time.sleep(2 * HEARTBEAT)


def _after_kill(root: Path, ended: dict[int, str]) -> list[str]:
    """What does not hold; `ended` then knows the trials that must stay as they are."""
    poison(root)
    if broken := unreadable(root):
        return broken
    now = digests(root / "s")
    faults = changed(ended, now)
    ended |= now
    return faults


def _at_work(running: Running, nodes: RayNodes) -> bool:
    """Wait until a worker of it is there; False where it has ended first."""
    while running.alive():
        if _workers(nodes):
            return True
        time.sleep(0.05)
    return False


def _workers(nodes: RayNodes) -> list[psutil.Process]:
    """Processes of the cluster that hold a trial."""
    found = []
    for node in nodes.nodes:
        with suppress(psutil.Error):
            found += [one for one in node.children(recursive=True) if _holds(one)]
    return found


def _holds(process: psutil.Process) -> bool:
    try:
        return "ImplicitFunc" in " ".join(process.cmdline())
    except psutil.Error:
        return False
