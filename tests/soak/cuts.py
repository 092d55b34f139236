"""The power is cut: a study goes on from whatever the disk held."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from contextlib import suppress

from soak.disk import MODES, Change, Mode, read_log, rebuild
from soak.records import digests, unreadable
from soak.study import Bench, Report

__all__ = ["cut_power"]


def cut_power(bench: Bench, moments: int, chance: random.Random, report: Report) -> None:
    """Cut it at so many moments of one study; each time it goes on from what the disk held."""
    root, log = bench.empty("recorded"), bench.folder / "run.changes"
    log.unlink(missing_ok=True)
    whole = bench.commands.finish(*bench.run(root), folder=root, log=log)
    assert whole.fault() is None, whole.said()
    changes = read_log(log)
    for index in range(moments):
        mode, at = MODES[index % len(MODES)], chance.randint(1, len(changes))
        faults = _after(bench, changes[:at], mode, chance, report)
        report.add(f"power cut, {mode} of the unsynced kept", *faults)
        if faults:
            _keep(bench, f"failed-cut-{index}-{mode}")


def _after(
    bench: Bench,
    changes: Sequence[Change],
    mode: Mode,
    chance: random.Random,
    report: Report,
) -> list[str]:
    """What does not hold of the study that goes on after the cut."""
    recorded, held, sure = (bench.folder / name for name in ("recorded", "held", "sure"))
    shutil.rmtree(held, ignore_errors=True)
    rebuild(changes, recorded, held, mode, chance)
    # What the program has synced counts as recorded, whether or not it was enough for this disk.
    shutil.rmtree(sure, ignore_errors=True)
    rebuild(changes, recorded, sure, "ordered", None)
    bench.copy(held, "held-before")
    if torn := [*unreadable(held), *unreadable(sure)]:
        return [f"torn at change {len(changes)}: {one}" for one in torn]
    ended = digests(sure / "s")
    report.notes["ended trials that had to survive"] += len(ended)
    _, faults = bench.go_on(held, digests(held / "s") | ended)
    return faults


def _keep(bench: Bench, name: str) -> None:
    with suppress(FileExistsError):
        (bench.folder / "held-before").rename(bench.folder / name)
