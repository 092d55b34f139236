"""Cells of the matrix: one damaged file, one command, and whether what it did holds."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from matrix.base import ENDED, RUNS, SPEC, TRIALS
from matrix.damage import DAMAGES, Outside
from mmstudy.provenance import CODE_VARIABLE
from support.made_probe import PROBE

__all__ = ["COMMANDS", "READERS", "Bench", "Cell"]

TESTS = Path(__file__).parents[1]
EXIT_CODES = (0, 1, 2, 3, 4, 130)
ROOT, COHORT = ("--root", "{root}"), ("--cohort", "{cohort}")
COMMANDS: dict[str, Sequence[str]] = {
    "ls": ("ls", *ROOT),
    "status": ("status", "s", *ROOT),
    "trials": ("trials", "s", *ROOT),
    "show": ("show", "s", str(ENDED), *ROOT),
    "best": ("best", "s", *ROOT),
    "importance": ("importance", "s", *ROOT),
    "compare": ("compare", "s", *ROOT, *COHORT),
    "export": ("export", "s", *ROOT, "--out", "{out}"),
    "report": ("report", "s", *ROOT, *COHORT, "--out", "{out}/report.html"),
    "pages": ("pages", "{root}"),
    "check": ("check", "s", *ROOT),
    "check cohort": ("check", "{cohort}"),
    "data show": ("data", "show", "{cohort}"),
    "ingest": ("data", "ingest", "{dicom}", "--out", "{cohort}", "--in-plane", "48", "--jobs", "1"),
    "stop": ("stop", "s", *ROOT),
    "dry run": ("run", "{spec}", *COHORT, *ROOT, "--name", "s", "--dry-run"),
    "rerun": ("rerun", "s", str(ENDED), "--check", *ROOT, *COHORT),
    "repair": ("check", "s", "--repair", *ROOT),
    "compact": ("compact", "s", *ROOT),
    "run": ("run", "{spec}", *COHORT, *ROOT, "--name", "s", "--inline"),
    "confirm": ("confirm", "s", "--inline", "--top", "2", "--seeds", "2", *ROOT, *COHORT),
    "evaluate": ("evaluate", "s", str(ENDED), *ROOT, *COHORT),
    "predict": ("predict", "s", str(ENDED), "{other}", "--cases", *ROOT, *COHORT),
    "explain": ("explain", "s", str(ENDED), "--per-class", "1", *ROOT, *COHORT),
    "rm": ("rm", "s", "--yes", *ROOT),
}
READERS = ("ls", "status", "trials", "show", "best", "importance", "compare", "export", "pages")
READERS += ("report", "check", "check cohort", "data show", "stop", "dry run")
COHORT_ONLY = ("ingest", "check cohort", "data show")
OF_COHORT = (
    *COHORT_ONLY,
    "compare",
    "report",
    "pages",
    "dry run",
    "rerun",
    "run",
    "confirm",
    "evaluate",
)
OF_COHORT += ("predict", "explain")
OF_STUDY = tuple(name for name in COMMANDS if name not in COHORT_ONLY)

_SECONDS = 10  # a command that takes longer hangs
_MORE = {"explain": 40, "report": 10}  # shap compiles its parts anew; charts are drawn as SVG
_NUMBERS = re.compile(r"[0-9a-f]{12,}|\d+")
_REMEDY = re.compile(
    r"\b(copy|copied|delete|ingest|look|lists|see|use|choose|give|free|run|makes?|repair|aside|anew|"
    r"have|allow|ask|leave|--\w+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, order=True)
class Cell:
    """A damaged thing, `study/…`, `cohort/…` or `root/…`, and a command."""

    thing: str
    damage: str
    command: str


@dataclass
class Bench:
    """Where damaged studies are opened; used as a context."""

    folder: Path
    dicom: Path  # what the cohort was ingested from
    cohort: Path
    other: Path
    reference: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Start the process that forks, and make the study."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self.folder.chmod(0o711)
        paths = [TESTS, TESTS.parent, TESTS.parent / "platform", TESTS.parent / "dashboards"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MMCAF_"))}
        kept |= {"PYTHONPATH": os.pathsep.join(map(str, paths)), CODE_VARIABLE: "matrix"}
        kept |= dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS"), "1")
        kept["PYTHONWARNINGS"] = "ignore"
        self._server = subprocess.Popen(
            [sys.executable, "-m", "matrix.server"],
            env=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._make()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait(timeout=30)
        self._server.stdout.close()
        self._listener.close()
        _remove(self.at)

    @property
    def at(self) -> Path:
        """The folder of the cell."""
        return self.folder / "cell"

    def things(self) -> list[str]:
        """Every kind of file and folder of the study and of its cohort, and some that may be."""
        found: dict[tuple[object, ...], str] = {}
        for name in ("root/s", "cohort"):
            for path in sorted((self.folder / "base" / name).rglob("*")):
                way = path.relative_to(self.folder / "base").as_posix()
                marks = "of the interrupted" if f"{RUNS:05d}" in way else "of another"
                found[_NUMBERS.sub("N", way), marks] = way
        extra = [".address", "root/.address", "root/s/.address", "cohort/.address"]
        extra += ["root/s/driver.stop", "root/s/quarantine"]
        extra += [f"root/s/artifacts/{ENDED:05d}", f"root/s/trials/{ENDED:05d}.parquet"]
        return sorted({*found.values(), *extra})

    def cells(self) -> list[Cell]:
        """Every cell there may be: each file by each command that opens it."""
        return [
            Cell(thing, damage, command)
            for thing in self.things()
            for damage in DAMAGES
            for command in (OF_COHORT if thing.startswith("cohort") else OF_STUDY)
        ]

    def faults(self, cell: Cell) -> list[str] | None:
        """What does not hold of a cell; None where its file cannot be damaged like that."""
        self._restore()
        cell = replace(cell, thing=self._where(cell))
        if not self._damaged(cell.thing, cell.damage):
            return None
        before, kept = _marks(self.at), _marks(self.outside.folder, times=True)
        told = self.ask(cell.command)
        wrong = [*told["faults"], *self._misjudged(cell, told)]
        if (now := _marks(self.outside.folder, times=True)) != kept:
            wrong.append(f"outside was touched: {dict(now.items() ^ kept.items())}")
        if cell.command in READERS and (now := _marks(self.at)) != before:
            wrong.append(f"it changed {sorted({name for name, _ in now.items() ^ before.items()})}")
        if self._called():
            wrong.append("it called a stranger's server")
        return wrong

    def prepared(self) -> Path:
        """Nothing is damaged; the folder that nobody may look into."""
        self._restore()
        return self.outside.folder

    def ask(self, command: str, *, guarded: bool = True) -> dict[str, Any]:
        """What a command did in the folder of the cell."""
        places = {n: str(self.at / n) for n in ("root", "cohort", "other", "out")}
        places |= {"spec": str(self.folder / "spec.yaml"), "dicom": str(self.dicom)}
        arguments = [one.format(**places) for one in COMMANDS.get(command, command.split("|"))]
        own = {n: str(self.at / n) for n in ("home", "cache", "tmp")}
        names = {"HOME": own["home"], "MMCAF_CACHE": own["cache"], "TMPDIR": own["tmp"]}
        asked = {
            "arguments": arguments,
            "environment": names | {"MPLCONFIGDIR": own["tmp"], "XDG_CACHE_HOME": own["tmp"]},
            "cwd": str(self.at),
            "own": [*own.values(), *(str(self.at / n) for n in ("root", "cohort", "other", "out"))],
            "read": [str(self.at), places["spec"], places["dicom"], str(TESTS.parent)],
            "guarded": guarded,
            "seconds": _patience(command) if guarded else 60,
        }
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer

    def _make(self) -> None:
        self.outside = Outside(self.folder / "outside", self._listener.getsockname()[1])
        (self.folder / "spec.yaml").write_text(yaml.safe_dump(SPEC))
        self.at.mkdir()
        shutil.copytree(self.cohort, self.at / "cohort")
        shutil.copytree(self.other, self.at / "other")
        for name in ("home", "cache", "tmp", "root", "out"):
            (self.at / name).mkdir()
        run = "run|{spec}|--cohort|{cohort}|--root|{root}|--name|s|--inline|--trials|"
        confirm = "confirm|s|--inline|--top|2|--seeds|1|--root|{root}"
        for step in (f"{run}4", "compact", f"{run}6", confirm, "evaluate", "explain"):
            self._must(step)
        self._must("base|{spec}|{cohort}|{root}")
        # A real one trains for minutes, and without any importance says nothing of so few trials.
        (self.at / "root" / "s" / "probe.json").write_bytes(msgspec.json.encode(PROBE))
        shutil.rmtree(self.at / "cache")
        (self.at / "cache").mkdir()
        shutil.copytree(self.at, self.folder / "base", symlinks=True)
        for command in COMMANDS:
            self._restore()
            self.reference[command] = told = self.ask(command)
            assert told["code"] == (1 if command == "stop" else 0), (command, told)
            assert not told["faults"], (command, told)
            if command == "run":
                self._truth = self._told_truth()

    def _must(self, step: str) -> None:
        told = self.ask(step, guarded=False)
        assert (told["code"], told["faults"]) == (0, []), (step, told)

    def _restore(self) -> None:
        _remove(self.at)
        shutil.copytree(self.folder / "base", self.at)
        _remove(self.outside.folder)
        self.outside.folder.mkdir()
        (self.outside.folder / "canary").write_text("do not lose this")

    def _where(self, cell: Cell) -> str:
        other = cell.command == "predict" and cell.thing.startswith("cohort")
        return self._twin(cell.thing) if other else cell.thing

    def _twin(self, thing: str) -> str:
        """The same file of the other cohort."""
        kind = _NUMBERS.sub("N", thing.removeprefix("cohort"))
        base = self.folder / "base" / "other"
        for path in sorted(base.rglob("*")):
            way = path.relative_to(base).as_posix()
            if _NUMBERS.sub("N", f"/{way}") == kind:
                return f"other/{way}"
        return thing.replace("cohort", "other", 1)

    def _damaged(self, thing: str, damage: str) -> bool:
        """Whether there is such damage of that thing; then it is done, and no look is unseen."""
        path = self.at / thing
        try:
            done = DAMAGES[damage](path, self.outside)
        except FileNotFoundError:  # of what is not there
            return False
        if done is False:
            return False
        for one in [self.outside.folder, *self.outside.folder.rglob("*")]:
            now = one.lstat()
            os.utime(one, ns=(now.st_mtime_ns - 10**13, now.st_mtime_ns))
        return True

    def _misjudged(self, cell: Cell, told: dict[str, Any]) -> Iterator[str]:
        code, said, usual = told["code"], told["err"], self.reference.get(cell.command, {})
        if code is None:
            return
        if code not in EXIT_CODES:
            yield f"exit code {code}"
        if "Traceback" in said:
            yield f"traceback: {said[-300:]}"
        if cell.command == "run" and code == 3:
            yield f"trials failed: {said[-300:]}"
        if code in (0, 130) or (code, said) == (usual.get("code"), usual.get("err")):
            if cell.command == "run" and code == 0 and self._told_truth() != self._truth:
                yield "trials have become others"
            return
        text = said + told["out"]
        last = Path(cell.thing).name
        parent = Path(cell.thing).parent.name
        number = _NUMBERS.search(last)
        named = [last, parent, *([f"trial {int(number[0])}"] if number and last[0] == "0" else [])]
        if not any(one in text for one in named if one not in ("root", "")):
            yield f"exit {code} names no file: {said[-300:]}"
        if not _REMEDY.search(text):
            yield f"exit {code} without remedy: {said[-300:]}"

    def _told_truth(self) -> Any:
        told = self.ask("trials|s|--root|{root}|-f|json", guarded=False)
        if told["code"] != 0:
            return told["err"]
        keep = ("number", "state", "value", "best_epoch", "train.lr")
        rows = [{name: row.get(name) for name in keep} for row in json.loads(told["out"])]
        assert len(rows) <= TRIALS
        return rows

    def _called(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except (BlockingIOError, TimeoutError):
            return False
        return True


def _patience(command: str) -> float:
    """Seconds after which a command hangs; more where others use this machine too."""
    crowd = os.getloadavg()[0] / (os.cpu_count() or 1)
    return _MORE.get(command, _SECONDS) * max(1.0, crowd)


def _marks(folder: Path, *, times: bool = False) -> dict[str, object]:
    """Of everything below a folder what tells whether it was changed, with `times` also read."""
    found: dict[str, object] = {}
    for path in [folder, *sorted(folder.rglob("*"))] if times else sorted(folder.rglob("*")):
        now = path.lstat()
        name = path.relative_to(folder).as_posix()
        if not times and (name.startswith(("cache", "tmp", "home", "out")) or ".lock" in name):
            continue
        read = now.st_atime_ns if times else 0
        if stat.S_ISDIR(now.st_mode) and not times:
            found[name] = now.st_mode
        else:
            found[name] = (now.st_mode, now.st_size, now.st_mtime_ns, now.st_ino, read)
    return found


def _remove(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")] if folder.exists() else []:
        if not path.is_symlink() and path.is_dir() and os.geteuid() != 0:
            path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=not folder.exists())
