"""Ingestion of this checkout beside the version before: CPU time and peak memory, in one run.

python tests/benchmarks/bench_ingest.py [COMMIT]     or `make bench`

Both read the same trees in turn, each in a process of its own, at least three times; CPU time of
the process and its children counts, of every run the least. Exits 1 where this version needs more
than 1.15 of what the one before did.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mmcaf.data.synthetic.write import SyntheticSpec, write

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "1c9f977"  # the last commit whose reading took what headers say for granted
ROUNDS, MOST = 3, 1.15
TREES = {
    "full-size slices": SyntheticSpec(patients=6, size=512, slices=40, seed=1),
    "many small slices": SyntheticSpec(patients=60, size=64, slices=25, seed=2),
}
CHILD = """
import json, resource, sys
from pathlib import Path
import mmcaf
from mmcaf.data.ingest.run import ingest
code, tree, out = map(Path, sys.argv[1:])
assert Path(mmcaf.__file__).is_relative_to(code), mmcaf.__file__
def seconds():
    both = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)
begun = seconds()
ingest([tree], out, workers=1)
fresh = seconds() - begun
begun = seconds()
ingest([tree], out, workers=1)
again = seconds() - begun
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.exists() else []
peak = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
print(json.dumps({"fresh": fresh, "again": again, "peak": peak[0] if peak else 0.0}))
"""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a first and a second ingestion, and MiB at the peak."""

    fresh: float
    again: float
    peak: float

    def least(self, other: Cost) -> Cost:
        return Cost(
            min(self.fresh, other.fresh), min(self.again, other.again), min(self.peak, other.peak)
        )


def checked_out(commit: str, folder: Path) -> bool:
    """Put the files of a commit into a folder; whether this clone has it."""
    command = ["git", "-C", str(ROOT), "archive", commit, "mmcaf"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        return False
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return True


def cost_of(code: Path, tree: Path) -> Cost:
    """What one version takes for a tree."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-P", "-c", CHILD, str(code), str(tree), f"{out}/cohort"]
        environment = os.environ | {"PYTHONPATH": str(code)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"Ingestion with {code} failed:\n{done.stderr}")
    return Cost(**json.loads(done.stdout))


def compare(name: str, versions: list[Path], tree: Path) -> bool:
    """Measure both in turn and print their figures; whether this version is good."""
    slices = len(list(tree.rglob("*.dcm")))
    costs = [cost_of(code, tree) for code in versions]
    for _ in range(ROUNDS - 1):
        costs = [
            cost.least(cost_of(code, tree)) for cost, code in zip(costs, versions, strict=True)
        ]
    before, after = costs
    a_slice = 1000 / slices
    rows = [
        ("first ingestion, CPU ms a slice", a_slice * before.fresh, a_slice * after.fresh),
        ("again, CPU ms a slice", a_slice * before.again, a_slice * after.again),
        ("peak memory, MiB", before.peak, after.peak),
    ]
    for what, old, new in rows:
        figures = f"{old:>9.2f} {new:>9.2f} {new / old if old else 1:>7.2f}"
        fine = "ok" if new <= MOST * old else "MISSED"
        print(f"{f'{name} ({slices:,}): {what}':<66} {figures}  {fine}", flush=True)
    return all(new <= MOST * old for _, old, new in rows)


def main() -> None:
    """Both versions over all trees, in a folder that is removed afterwards."""
    commit = sys.argv[1] if len(sys.argv) > 1 else BEFORE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not checked_out(commit, folder / "before"):
            print(f"This clone has no commit {commit} to compare with; nothing is measured.")
            return
        print(f"{'':<66} {commit:>9} {'this':>9} {'ratio':>7}  at most {MOST}")
        good = True
        for what, spec in TREES.items():
            tree = folder / what.replace(" ", "-")
            write(tree, spec)
            good = compare(what, [folder / "before", ROOT], tree) and good
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
