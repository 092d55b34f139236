"""Markdown of the generated pages, and remarks read from source: the comments behind code."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from collections.abc import Iterable, Sequence
from functools import cache

__all__ = ["code", "field_remarks", "page", "remarks", "summary", "table"]

HEAD = "<!-- Written by docs/generate.py; change the code it reads, then run it again. -->\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped, line ends become spaces."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def page(title: str, opening: str, *parts: str) -> str:
    """A whole page: the warning, the title, what it is about, its parts."""
    return "\n".join([HEAD, f"# {title}\n", f"{opening}\n", *parts])


def code(value: object) -> str:
    """`value` in backticks; nothing for an empty text."""
    return f"`{value}`" if str(value) else ""


def summary(documented: object) -> str:
    """The first paragraph of a docstring on one line, the rest of it left out."""
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())


@cache
def remarks(source: str) -> dict[int, str]:
    """Line -> the comment that stands behind the code of that line."""
    lines = source.splitlines()
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT and lines[row - 1][:column].strip():
            text = token.string.lstrip("# ").split("  # ")[0]
            found[row] = "" if text.startswith(("type:", "noqa")) else text
    return found


@cache
def field_remarks(owner: type) -> dict[str, str]:
    """Field -> the comment behind it or right above it, of a class and those it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if not base.__module__.startswith(("mmcaf", "mmstudy")):
            continue
        source = inspect.getsource(base)
        said, above = remarks(source), ["", *source.splitlines()]
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                line = above[node.lineno - 1].strip()
                before = line.lstrip("# ") if line.startswith("#") else ""
                found[node.target.id] = said.get(node.end_lineno or 0) or before
    return found
