"""Kill -9 at random moments over every command that writes."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmcaf.data.cohort import load
from soak.commands import Running
from soak.disk import read_log
from soak.records import changed, digests, poison, unreadable
from soak.study import EXPORTED, TRIALS, Bench, Report

__all__ = ["COMMANDS", "SHARES", "kill"]

SHARES = {
    "run": 80,
    "compact": 24,
    "export": 12,
    "confirm": 24,
    "benchmark": 20,
    "explain": 12,
    "ingest": 12,
}
"""Moments of each command, of 200; the rest are of studies on Ray."""

_KILLS = 3  # of one study or copy, before its command may end


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Args:
        words: of `mmstudy`, on the copy at `root`.
        fresh: makes the folder it begins in.
        right: what is wrong after it has ended; it is given the whole one's folder, too.
    """

    words: Callable[[Bench, Path], list[str | Path]]
    fresh: Callable[[Bench, str], Path]
    right: Callable[[Bench, Path, Path], Iterator[str]]


def kill(bench: Bench, name: str, moments: int, chance: random.Random, report: Report) -> None:
    """Kill one command at so many moments, and see whether it goes on each time."""
    of = COMMANDS[name]
    whole = of.fresh(bench, f"{name}-whole")
    log = bench.folder / f"{name}.changes"
    log.unlink(missing_ok=True)
    first = bench.commands.finish(*of.words(bench, whole), folder=whole, log=log)
    assert first.fault() is None, first.said()
    changes, seconds = len(read_log(log)), time.monotonic() - first.begun
    done = 0
    while done < moments:
        root = of.fresh(bench, f"{name}-killed")
        ended: dict[int, str] = {}
        for _ in range(min(_KILLS, moments - done)):
            running = _killed(bench, of.words(bench, root), root, changes, seconds, chance)
            if running.code == 0:
                break
            done += 1
            ended |= digests(root / "s")
            fault = None if running.code == -9 else running.fault()
            report.add(f"{name} killed", fault, *_after(root, ended))
        last = bench.commands.finish(*of.words(bench, root))
        faults = [last.fault(), *_after(root, ended)]
        if last.code == 0:
            faults += of.right(bench, root, whole)
        report.add(f"{name} ended after kills", *faults)
        if any(faults):
            _keep(bench, root, report)


def _killed(
    bench: Bench,
    words: list[str | Path],
    root: Path,
    changes: int,
    seconds: float,
    chance: random.Random,
) -> Running:
    """The command killed before a random one of its changes, or at a random time; or ended."""
    if chance.random() < 0.7:
        return bench.commands.finish(*words, folder=root, kill_at=chance.randint(1, changes))
    running, moment = bench.commands.start(*words), chance.uniform(0.1, 0.95) * seconds
    time.sleep(moment)
    if running.alive():
        running.kill()
    return running


def _after(root: Path, ended: dict[int, str]) -> list[str]:
    """What does not hold after a kill; temporary files are spoilt, should anyone read them."""
    poison(root)
    broken = unreadable(root)
    if broken:
        return broken
    return changed(ended, digests(root / "s"))


def _keep(bench: Bench, root: Path, report: Report) -> None:
    with suppress(FileExistsError):
        shutil.copytree(root, bench.folder / f"failed-{len(report.faults)}")


def _of_study(*words: str | Path) -> Callable[[Bench, Path], list[str | Path]]:
    return lambda bench, root: [words[0], "s", *words[1:], "--root", root]


def _finished(bench: Bench, name: str) -> Path:
    return bench.copy(bench.finished(), name)


def _study_is_whole(bench: Bench, root: Path, whole: Path) -> Iterator[str]:
    from soak.records import count_fault

    if fault := count_fault(root / "s", TRIALS):
        yield fault


def _is_compact(bench: Bench, root: Path, whole: Path) -> Iterator[str]:
    yield from _study_is_whole(bench, root, whole)
    loose = [*(root / "s").glob("trials/[0-9]*"), *(root / "s").glob("metrics/[0-9]*")]
    if loose:
        yield f"{len(loose)} small files are left"


def _is_exported(bench: Bench, root: Path, whole: Path) -> Iterator[str]:
    for name in EXPORTED:
        if (root / f"{name}.csv").read_bytes() != (whole / f"{name}.csv").read_bytes():
            yield f"{name}.csv differs"


def _is_confirmed(bench: Bench, root: Path, whole: Path) -> Iterator[str]:
    keys = ["number", "run", "fold"]
    same = [*keys, "epoch", "seed", "auroc"]
    one, two = (
        pl.read_parquet(of / "s" / "confirmations" / "*.parquet").select(same).sort(keys)
        for of in (root, whole)
    )
    if not one.equals(two):
        yield "the confirmations differ"


def _is_benchmarked(bench: Bench, root: Path, whole: Path) -> Iterator[str]:
    for study in sorted(whole.glob("bench-*/study.json")):
        mine = root / study.parent.name
        if digests(mine).keys() != digests(study.parent).keys():
            yield f"{mine.name} has other trials"
        rows = [
            pl.read_parquet(of / "confirmations" / "*.parquet").height
            for of in (mine, study.parent)
        ]
        if rows[0] != rows[1]:
            yield f"{mine.name} has {rows[0]} rows of confirmations, not {rows[1]}"


def _is_explained(bench: Bench, root: Path, whole: Path) -> Iterator[str]:
    one, two = ({*_names(of)} for of in (root, whole))
    if one != two:
        yield f"explained: {sorted(one ^ two)} differ"


def _names(root: Path) -> Iterator[str]:
    for path in (root / "s" / "artifacts").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield str(path.relative_to(root))


def _is_ingested(bench: Bench, root: Path, whole: Path) -> Iterator[str]:
    if load(root / "cohort").digest != load(whole / "cohort").digest:
        yield "another digest"
    if left := [*root.rglob(".*.tmp-*")]:
        yield f"{left[0].name} is left"


_BENCHMARK = ["--models", "logistic,mlp", "--trials", "2", "--seeds", "1", "--epochs", "2"]
_BENCHMARK += ["--folds", "2", "--inline"]
COMMANDS = {
    "run": Command(lambda bench, root: bench.run(root), Bench.empty, _study_is_whole),
    "compact": Command(_of_study("compact"), _finished, _is_compact),
    "export": Command(
        lambda bench, root: ["export", "s", "--root", root, "--out", root], _finished, _is_exported
    ),
    "confirm": Command(
        lambda bench, root: [
            *("confirm", "s", "--root", root, "--cohort", bench.cohort),
            *("--top", "1", "--seeds", "3", "--inline"),
        ],
        _finished,
        _is_confirmed,
    ),
    "benchmark": Command(
        lambda bench, root: ["benchmark", bench.cohort, "--root", root, *_BENCHMARK],
        Bench.empty,
        _is_benchmarked,
    ),
    "explain": Command(
        lambda bench, root: [
            *("explain", "s", "best", "--root", root, "--cohort", bench.cohort),
            *("--per-class", "1"),
        ],
        _finished,
        _is_explained,
    ),
    "ingest": Command(
        lambda bench, root: [
            *("data", "ingest", bench.folder / "dicom", "--out", root / "cohort"),
            *("--in-plane", "48", "--jobs", "1"),
        ],
        Bench.empty,
        _is_ingested,
    ),
}
