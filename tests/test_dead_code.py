"""What shipped code defines and no shipped code uses: it goes, or has a reason to stay.

A name is used where it is read outside its own definition: by name in its module, elsewhere by an
import or as an attribute of the imported module. `"package.module:Name"` in a string counts. What a
decorator of somebody else takes, such as `@app.command()`, is used by that.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from support.house import ROOT, modules

ALLOWED = {
    "dashboards.server.app": "what `streamlit run` serves of that file",
    "mmcaf.net.reference.load_reference": "the proof that our network is the authors'",
}
HOOKS = {"NETWORK": "a network's entry; the registry finds it by its place"}
_PLACE = re.compile(r"([\w.]+):(\w+)")
_KEEPS = {"dataclass", "cache", "lru_cache", "contextmanager", "no_grad", "total_ordering"}
"""Decorators that hand what they decorate to nobody."""


@dataclass
class Names:
    """Of one module: what it defines, and what it reads as (module, name)."""

    defined: dict[str, ast.stmt]
    read: set[tuple[str, str]]


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if not node.decorator_list or _words(node.decorator_list) & _KEEPS:
                yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((one.id, node) for one in targets if isinstance(one, ast.Name))


def _words(nodes: list[ast.expr]) -> set[str]:
    parts = [part for node in nodes for part in ast.walk(node)]
    return {str(getattr(part, "id", getattr(part, "attr", ""))) for part in parts}


def _full(module: str, known: Mapping[str, object]) -> str:
    """The module's name in the tree; the pages import each other by their names alone."""
    return f"dashboards.{module}" if f"dashboards.{module}" in known else module


def names_of(module: str, source: str, known: Mapping[str, object]) -> Names:
    """What a module defines and reads; `known` are the names of all modules."""
    tree = ast.parse(source)
    found = Names({n: node for n, node in _definitions(tree) if not n.startswith("__")}, set())
    aliases: dict[str, str] = {}  # name here -> module it stands for
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for one in node.names:
                inner = _full(f"{node.module}.{one.name}", known)
                if inner in known:
                    aliases[one.asname or one.name] = inner
                found.read.add((_full(node.module, known), one.name))
        elif isinstance(node, ast.Import):
            aliases |= {one.asname or one.name: _full(one.name, known) for one in node.names}
    inside = {id(part): name for name, node in found.defined.items() for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if inside.get(id(node)) != node.id:  # a function that calls itself is used by nobody
                found.read.add((module, node.id))
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            found.read.add((aliases.get(owner, owner), node.attr))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.read.update(_PLACE.findall(node.value))
    return found


def unused(sources: Mapping[str, str]) -> list[str]:
    """Dotted names that no source reads."""
    found = {module: names_of(module, text, sources) for module, text in sources.items()}
    read = {one for names in found.values() for one in names.read}
    # f"{_HOME}.daft:DAFT" names its module by the end alone.
    ends = {(end, name) for end, name in read if end.startswith(".")}
    return sorted(
        f"{module}.{name}"
        for module, names in found.items()
        for name in names.defined
        if (module, name) not in read and (f".{module.rpartition('.')[2]}", name) not in ends
    )


def shipped() -> dict[str, str]:
    """Dotted name -> source, with the entry points of the package as one more source."""
    files = modules() | {f"deploy.{f.stem}": f for f in (ROOT / "platform/deploy").glob("*.py")}
    entries = _PLACE.findall((ROOT / "pyproject.toml").read_text("utf-8"))
    called = "\n".join(f"'{module}:{name}'" for module, name in entries)
    return {name: file.read_text("utf-8") for name, file in files.items()} | {"entries": called}


@pytest.fixture(scope="module")
def left() -> list[str]:
    return unused(shipped())


def test_no_shipped_name_is_used_by_tests_alone(left: list[str]) -> None:
    hooks = {name for name in left if name.rpartition(".")[2] in HOOKS}
    assert [name for name in left if name not in ALLOWED.keys() | hooks] == []


def test_what_is_allowed_is_there_and_still_unused(left: list[str]) -> None:
    assert sorted(ALLOWED.keys() - set(left)) == []


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"a": "def f():\n    return f()"}, ["a.f"]),
        ({"a": "def f(): ...\nf()"}, []),
        ({"a": "def f(): ...", "b": "from a import f"}, []),
        ({"a": "def f(): ...", "b": "import a as c\nc.f()"}, []),
        ({"a": "def f(): ...", "b": "def f(): ...\nf()"}, ["a.f"]),
        ({"p.a": "LIMIT = 1", "b": "from p import a\nprint(a.LIMIT)"}, []),
        ({"p.a": "class C: ...", "b": "PLACE = f'{HOME}.a:C'\nprint(PLACE)"}, []),
        ({"a": "@dataclass\nclass C: ..."}, ["a.C"]),
        ({"a": "@app.command()\ndef f(): ..."}, []),
        ({"dashboards.frame": "def f(): ...", "dashboards.app": "import frame\nframe.f()"}, []),
        ({"a": "_LATER: int = 1"}, ["a._LATER"]),
    ],
)
def test_what_is_used_and_what_is_not(sources: dict[str, str], found: list[str]) -> None:
    assert unused(sources) == found
