"""Layers, from the test that enforces them, and what every module holds, from its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

from generator.text import code, table

__all__ = ["floors", "modules"]

ROOT = Path(__file__).parents[2]


def floors(house: str) -> str:
    """The layer table of `tests/test_architecture.py`, the ground last."""
    source = (ROOT / "tests" / "test_architecture.py").read_text(encoding="utf-8")
    plan = next(
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == house
    )
    rows = []
    for level in reversed(range(len(plan))):
        there = [(room, text) for room in plan[level] if (text := _docstring(room))]
        rows += [(str(level), code(room), text) for room, text in there]
    return table(("floor", "room", "what belongs there"), rows)


def _docstring(module: str) -> str:
    """The first paragraph of a module's or package's docstring; nothing where there is none."""
    start = ROOT / "platform" if module.startswith("mmstudy") else ROOT
    path = start.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    source = file.read_text(encoding="utf-8") if file.exists() else ""
    text = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(text.split("\n\n")[0].split())


def modules(house: str) -> str:
    """Every module of a package with the first sentence of its docstring."""
    start = ROOT / "platform" if house == "mmstudy" else ROOT
    files = sorted((start / house).rglob("*.py"))
    names = [".".join(file.relative_to(start).with_suffix("").parts) for file in files]
    rows = [(code(name), _docstring(name)) for name in names if not name.endswith("__init__")]
    return table(("module", "what it holds"), rows)
