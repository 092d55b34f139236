"""The cheapest study that is a real one, made by the commands of users; and what to check of it."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from soak.commands import Commands, Running
from soak.records import changed, count_fault, digests, poison, unreadable

__all__ = ["EXPORTED", "SPEC", "TRIALS", "Bench", "Report"]

TRIALS = 5
EXPORTED = ("trials", "metrics", "predictions", "confirmations", "evaluations")
SPEC = {
    "question": "Is anything lost?",
    "protocol": {"kind": "kfold", "folds": 2},
    "model": {"name": "mlp"},
    "train": {"stages": [{"part": "end_to_end"}], "epochs": 3, "batch_size": 8},
    "space": {"train.lr": {"float": [1e-4, 1e-1], "log": True}},
    "search": {"trials": TRIALS, "startup_trials": 3},
    "pruning": {"grace_epochs": 1, "reduction": 2},
}


@dataclass
class Report:
    """How often what happened, and what did not hold."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, *faults: str | None) -> None:
        """One more of `what`, with what was wrong."""
        self.counts[what] += 1
        self.faults += [f"{what}: {fault}" for fault in faults if fault]

    def __str__(self) -> str:
        lines = [f"{count:5} {what}" for what, count in sorted(self.counts.items())]
        lines += [f"({count} {what})" for what, count in sorted(self.notes.items())]
        kinds = Counter(self.faults)
        lines += [f"FAULT {count} x {fault}" for fault, count in kinds.most_common()]
        return "\n".join([*lines, f"{self.counts.total()} in all, {len(self.faults)} faults"])


@dataclass(frozen=True)
class Bench:
    """Where studies are run, and with what."""

    commands: Commands
    cohort: Path
    folder: Path
    spec: Path

    @classmethod
    def at(cls, folder: Path, commands: Commands, cohort: Path) -> Bench:
        """A bench in `folder`, which is there."""
        spec = folder / "spec.yaml"
        spec.write_text(yaml.safe_dump(SPEC))
        return cls(commands, cohort, folder, spec)

    def run(self, root: Path, trials: int = TRIALS) -> list[str | Path]:
        """The command that runs the study `s` below `root`, or goes on with it."""
        where = ["--cohort", self.cohort, "--root", root, "--name", "s"]
        return ["run", self.spec, *where, "--inline", "--trials", str(trials)]

    def finished(self) -> Path:
        """The root of a finished study."""
        root = self.folder / "finished"
        if not root.exists():
            running = self.commands.finish(*self.run(root))
            assert running.fault() is None, running.said()
        return root

    def copy(self, root: Path, name: str) -> Path:
        """A copy of a root, in the place of an earlier one of that name."""
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(root, out)
        return out

    def empty(self, name: str) -> Path:
        """An empty folder, in the place of an earlier one of that name."""
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return out

    def go_on(
        self, root: Path, before: dict[int, str], trials: int = TRIALS
    ) -> tuple[Running, list[str]]:
        """Run the study to its end; the command, and what does not hold afterwards."""
        poison(root)
        running = self.commands.finish(*self.run(root, trials))
        return running, self.wrong(root / "s", before, running, trials)

    def wrong(
        self, study: Path, before: dict[int, str], running: Running, trials: int = TRIALS
    ) -> list[str]:
        """What does not hold of a study whose last command has ended."""
        fault = running.fault()
        found = [fault] if fault else []
        broken = unreadable(study)
        if broken:
            return [*found, *broken]
        found += changed(before, digests(study))
        if not fault and (count := count_fault(study, trials)):
            found.append(count)
        return found
