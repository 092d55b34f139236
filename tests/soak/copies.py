"""A study copied while it runs, and journals that are not those of their records."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

from soak.records import digests, unreadable
from soak.study import TRIALS, Bench, Report

__all__ = ["copy_while_running", "damage_journal"]

MORE = 3  # trials asked for in addition, where a finished study goes on


def copy_while_running(bench: Bench, times: int, chance: random.Random, report: Report) -> None:
    """Copy file by file while the study runs, in any order; the copy goes on elsewhere."""
    for index in range(times):
        root, out = bench.empty("source"), bench.empty("elsewhere")
        asked, begun = 4 * TRIALS, chance.randint(2, 3 * TRIALS)
        running = bench.commands.start(*bench.run(root, asked))
        order = ("as listed", "backwards", "shuffled")[index % 3]
        while running.alive() and len([*(root / "s" / "trials").glob("[0-9]*")]) < begun:
            time.sleep(0.002)
        _copy(root, out, order, chance)
        lived = running.alive()
        running.kill()
        when = "while it ran" if lived else "after its end"
        what = f"copied {when}, {order}"
        if torn := unreadable(out):
            report.add(what, *torn)
            continue
        before = digests(out / "s")
        _, faults = bench.go_on(out, before, asked)
        report.add(what, *faults)
        report.notes["ended trials in copies"] += len(before)


def _copy(root: Path, out: Path, order: str, chance: random.Random) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if order == "backwards":
        files.reverse()
    elif order == "shuffled":
        chance.shuffle(files)
    for path in files:
        target = out / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(path, target)
        except FileNotFoundError:
            continue  # rsync says "vanished" and goes on
        time.sleep(chance.uniform(0, 0.004))


def damage_journal(bench: Bench, cuts: int, chance: random.Random, report: Report) -> None:
    """Lose the journal, empty it, cut it at so many places, take one of 1 to n trials before."""
    whole = (bench.finished() / "s" / "optuna.journal").read_bytes()
    lines = whole.splitlines(keepends=True)
    begins = [i for i, line in enumerate(lines) if json.loads(line)["op_code"] == 4]
    damaged: list[tuple[str, bytes | None]] = [("lost", None), ("empty", b"")]
    places = sorted(chance.sample(range(1, len(whole)), cuts))
    damaged += [("cut", whole[:place]) for place in places]
    damaged += [("older", b"".join(lines[:place])) for place in begins]
    for how, content in damaged:
        root = bench.copy(bench.finished(), "damaged")
        journal = root / "s" / "optuna.journal"
        journal.unlink()
        if content is not None:
            journal.write_bytes(content)
        _, faults = bench.go_on(root, digests(root / "s"), TRIALS + MORE)
        size = "" if content is None else f" ({len(content)} of {len(whole)} bytes)"
        report.add(f"journal {how}", *(f"{fault}{size}" for fault in faults))
