"""Rooms, floors and arrows of the code: who imports whom, also inside functions.

    python tests/support/house.py [CHECKOUT]

A room is a module or package right below its house. A floor is one more than the highest floor it
imports from. An arrow is a pair of rooms of which one imports the other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

__all__ = ["Import", "Plan", "imports", "modules", "plan"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Import:
    """One import statement's target, and where it stands."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file, of everything that is shipped; the dashboard's under `dashboards`."""
    files = [*root.glob("mmcaf/**/*.py"), *root.glob("platform/mmstudy/**/*.py")]
    files += root.glob("dashboards/**/*.py")
    return {_dotted(file, root): file for file in files}


def _dotted(file: Path, root: Path) -> str:
    name = file.relative_to(root).with_suffix("").as_posix().removeprefix("platform/")
    return name.replace("/", ".").removesuffix(".__init__")


def imports(name: str, source: str, known: dict[str, Path]) -> Iterator[Import]:
    """Every import of a module; of `from package import module` the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(name, inner if inner in known else node.module, node.lineno)
        elif isinstance(node, ast.Call) and (named := _by_name(node)):
            yield Import(name, named, node.lineno)


def _by_name(call: ast.Call) -> str | None:
    names = {getattr(call.func, "id", ""), getattr(call.func, "attr", "")}
    if names & {"import_module", "__import__"} and call.args:
        first = call.args[0]
        return str(first.value) if isinstance(first, ast.Constant) else None
    return None


@dataclass(frozen=True)
class Plan:
    """A house as it is built."""

    house: str
    rooms: int
    floors: int
    arrows: int

    def __str__(self) -> str:
        return f"{self.house}: {self.rooms} rooms, {self.floors} floors, {self.arrows} arrows"


@cache
def plan(house: str, root: Path = ROOT) -> Plan:
    """The plan of one package.

    Raises:
        graphlib.CycleError: two rooms import each other, maybe through others.
    """
    known = modules(root)
    inside = {name for name in known if name.startswith(f"{house}.")}
    sees: dict[str, set[str]] = {_room(name, house): set() for name in inside}
    for name in inside:
        for one in imports(name, known[name].read_text("utf-8"), known):
            here, there = _room(name, house), _room(one.imported, house)
            if there in sees and here != there:
                sees[here].add(there)
    floor: dict[str, int] = {}
    for room in TopologicalSorter(sees).static_order():
        floor[room] = 1 + max((floor[below] for below in sees[room]), default=0)
    return Plan(house, len(sees), max(floor.values()), sum(map(len, sees.values())))


def _room(name: str, house: str) -> str:
    return name.removeprefix(f"{house}.").split(".")[0] if name.startswith(f"{house}.") else ""


if __name__ == "__main__":
    checkout = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    for one in ("mmstudy", "mmcaf", "mmcaf.data"):
        sys.stdout.write(f"{plan(one, checkout)}, no cycle\n")
