"""Clocks that jump, drivers that pause, twins, and file systems without locks."""

from __future__ import annotations

import errno
import os
import random
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

from mmstudy.storage.folder import StudyFolder
from soak.commands import Running
from soak.records import count_fault, digests
from soak.study import TRIALS, Bench, Report

__all__ = ["LEASE", "jump_clocks", "pause_the_holder", "run_twins", "without_locks"]

DAY = 86_400
LEASE = {"_BEAT_SECONDS": 0.2, "_OWN_SECONDS": 1.5, "_STALE_SECONDS": 2.5, "_SETTLE_SECONDS": 0.1}
"""The lease's times, shortened; their order is that of the real ones."""


def jump_clocks(bench: Bench, times: int, chance: random.Random, report: Report) -> None:
    """The day's clock jumps by a day, forth and back, while a study runs and between drivers."""
    clock = bench.folder / "clock"
    clock.write_bytes(struct.pack("<q", 0))
    for index in range(times):
        root, ended = bench.empty("jumped"), dict[int, str]()
        first = chance.choice((-DAY, DAY))
        running = bench.commands.start(*bench.run(root), clock=clock)
        for shift in (first, -first, 0, -first):
            _set(clock, shift)
            _pause(running, chance.uniform(0.1, 0.5))
        between = index % 2 == 1
        if between:
            running.kill()
            ended = digests(root / "s")
            _set(clock, first)
            running = bench.commands.start(*bench.run(root), clock=clock)
        running.wait()
        what = "and the driver was killed" if between else "while it ran"
        faults = [*bench.wrong(root / "s", ended, running), _negative(root / "s")]
        report.add(f"clock jumped a day both ways {what}", *faults)


def _set(clock: Path, seconds: int) -> None:
    with clock.open("r+b") as file:
        file.write(struct.pack("<q", seconds))


def _pause(running: Running, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and running.alive():
        time.sleep(0.01)


def _negative(study: Path) -> str | None:
    """Seconds that were measured with the day's clock."""
    folder = StudyFolder(study)
    times = [folder.read_table("trials")["seconds"], folder.read_table("metrics")["seconds"]]
    wrong = [one for times_ in times for one in times_.drop_nulls() if not 0 <= one < DAY / 2]
    return f"seconds of {wrong[0]:.0f}" if wrong else None


def run_twins(bench: Bench, times: int, chance: random.Random, report: Report) -> None:
    """Two drivers of one study at once, by different paths; one of them runs it."""
    real, link = bench.folder / "twins", bench.folder / "link"
    paths: dict[str, Callable[[], Path]] = {
        "a link to the root": lambda: link,
        "a relative path": lambda: Path("twins"),
        "a path with ..": lambda: bench.folder / "finished" / ".." / "twins",
        "a relative path through a link": lambda: Path("link"),
    }
    link.unlink(missing_ok=True)
    link.symlink_to(real)
    bench.finished()
    for index in range(times):
        name = [*paths][index % len(paths)]
        bench.empty("twins")
        pair = [real, paths[name]()]
        chance.shuffle(pair)
        drivers = [bench.commands.start(*bench.run(of, 3 * TRIALS)) for of in pair]
        codes = sorted(one.wait() for one in drivers)
        faults = [one.fault() for one in drivers if "Traceback" in one.said()]
        if codes != [0, 2]:
            faults.append(f"they ended with {codes}, not with 0 and 2")
        faults.append(count_fault(real / "s", 3 * TRIALS))
        report.add(f"two drivers, one by {name}", *faults)


def without_locks(bench: Bench, report: Report) -> None:
    """The file system has no locks: a sentence with the file, and nothing is done."""
    for number in (errno.ENOLCK, errno.EOPNOTSUPP):
        for words in ("run", "compact", "confirm", "rm"):
            root = (
                bench.empty("nolocks")
                if words == "run"
                else bench.copy(bench.finished(), "nolocks")
            )
            before = _content(root)
            command = {
                "run": bench.run(root),
                "compact": ["compact", "s", "--root", root],
                "confirm": ["confirm", "s", "--root", root, "--cohort", bench.cohort, "--inline"],
                "rm": ["rm", "s", "--root", root, "--yes"],
            }[words]
            ended = bench.commands.finish(*command, folder=root, no_locks=number)
            said, faults = ended.said(), list[str]()
            if ended.code == 0 or "Traceback" in said:
                faults.append(f"exit {ended.code}: {said.strip()[-200:]}")
            elif "lock" not in said or str(root) not in said or len(said) < 60:
                faults.append(f"no sentence with the file: {said.strip()!r}")
            if _content(root) != before:
                faults.append("something was done")
            report.add(f"{words} without locks, {errno.errorcode[number]}", *faults)


def _content(root: Path) -> dict[str, bytes]:
    """Every file but locks."""
    files = (path for path in root.rglob("*") if path.is_file() and "lock" not in path.name)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def pause_the_holder(
    bench: Bench, address: str, times: int, chance: random.Random, report: Report
) -> None:
    """The holder of a lease stops for longer than it lasts; another takes over, the first wakes."""
    settings = {f"mmstudy.storage.lease.{name}": value for name, value in LEASE.items()}
    for index in range(times):
        root = f"{address.partition('?')[0]}/{index}?{address.partition('?')[2]}"
        caches = [bench.empty(f"cache-{one}") for one in (1, 2)]
        asked = 3 * TRIALS
        first = _on_store(bench, root, caches[0], asked, settings)
        _pause(first, chance.uniform(1.0, 2.5))
        if not first.alive():
            report.add("lease: ended before it was paused", first.fault())
            continue
        os.killpg(first.pid, signal.SIGSTOP)
        second = _on_store(bench, root, caches[1], asked, settings)
        time.sleep(LEASE["_STALE_SECONDS"] + chance.uniform(0.5, 2.0))
        os.killpg(first.pid, signal.SIGCONT)
        codes = (first.wait(), second.wait())
        faults = [one.fault() for one in (first, second) if "Traceback" in one.said()]
        if codes[1] != 0:
            faults.append(f"who took over ended with {codes[1]}: {second.said()[-200:]}")
        if codes[0] == 0:
            faults.append("the paused one ran to its end, too")
        export = bench.empty("exported")
        read = bench.commands.finish(
            *("export", _child(root), "--out", export),
            variables=_of_store(bench.empty("cache-3")),
        )
        faults.append(read.fault())
        report.add("lease: paused, another took over, woken", *faults)


def _child(root: str) -> str:
    head, mark, query = root.partition("?")
    return f"{head}/s{mark}{query}"


def _on_store(
    bench: Bench, root: str, cache: Path, trials: int, settings: dict[str, float]
) -> Running:
    words = ["run", bench.spec, "--cohort", bench.cohort, "--root", root, "--name", "s"]
    words += ["--inline", "--trials", str(trials)]
    return bench.commands.start(*words, settings=settings, variables=_of_store(cache))


def _of_store(cache: Path) -> dict[str, str]:
    """What a machine needs to reach the store, and where it keeps its copies."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return keys | {"AWS_EC2_METADATA_DISABLED": "true", "MMCAF_CACHE": str(cache)}
