"""How edits ended: counted, printed as a table, and kept so that a long run goes on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import mmcaf

__all__ = ["GOOD", "OUTCOMES", "Ending", "Endings", "code_digest"]

OUTCOMES = ("exact", "flagged", "named", "refused", "cannot be known", "stopped", "crash", "SILENT")
GOOD = ("exact", "flagged", "named", "refused", "cannot be known")


@dataclass(frozen=True)
class Ending:
    """Of one edit: what was done, how it ended, and what is wrong or said."""

    number: int
    subject: str  # attribute, column or kind: a row of the table
    edit: str
    outcome: str
    note: str = ""


@dataclass
class Endings:
    """All of one run.

    Args:
        name: of the run, in the words that do it again.
        kept: a file the endings are appended to, read first if it is there.
    """

    name: str
    kept: Path | None = None
    of: dict[int, Ending] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kept is not None and self.kept.exists():
            for line in self.kept.read_text("utf-8").splitlines():
                if line.endswith("}"):  # the last may have been cut short
                    ending = Ending(**json.loads(line))
                    self.of[ending.number] = ending

    def run(self, numbers: Iterable[int], do: Callable[[int], Ending]) -> None:
        """Do what is not done yet."""
        for number in numbers:
            if number not in self.of:
                self._add(do(number))

    def _add(self, ending: Ending) -> None:
        self.of[ending.number] = ending
        if self.kept is not None:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            with self.kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(ending)) + "\n")

    @property
    def faults(self) -> list[Ending]:
        """Those that must not be."""
        found = [one for one in self.of.values() if one.outcome not in GOOD]
        return sorted(found, key=lambda one: (one.subject, one.number))

    def __str__(self) -> str:
        """A row for every subject, then the faults, each with its number."""
        counts: dict[str, Counter[str]] = {}
        for ending in self.of.values():
            counts.setdefault(ending.subject, Counter())[ending.outcome] += 1
        head = "".join(f"{name:>16}" for name in OUTCOMES)
        rows = [f"{self.name:32}{head}"]
        for subject in sorted(counts):
            cells = "".join(f"{counts[subject][name] or '':>16}" for name in OUTCOMES)
            rows.append(f"{subject:32}{cells}")
        total: Counter[str] = sum(counts.values(), Counter())
        rows.append(f"{'all':32}" + "".join(f"{total[name]:>16}" for name in OUTCOMES))
        rows += [f"{e.outcome} {self.name} {e.number}: {e.edit}; {e.note}" for e in self.faults]
        return "\n".join(rows)


def code_digest() -> str:
    """Of the reading code and of these edits: endings of other code say nothing of this."""
    of_code = hashlib.sha256()
    for folder in (Path(mmcaf.__file__).parent / "data", Path(__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            of_code.update(path.read_bytes())
    return of_code.hexdigest()[:12]
