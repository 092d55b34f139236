"""The page of the public Python names, from `mmstudy.__all__` and `mmstudy.plots.__all__`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from generator.text import code, page, summary, table

__all__ = ["python"]


def python() -> str:
    """Every public name with how it is called."""
    import mmstudy
    from mmstudy import plots

    parts = [
        f"## mmstudy\n\n{_names(mmstudy, mmstudy.__all__)}",
        f"## A study\n\n{_members(mmstudy.Study)}",
        f"## mmstudy.plots\n\n{_names(plots, plots.__all__)}",
    ]
    opening = (
        "These names are public. What is below a module that is not named here may move. "
        "[Use it from Python](../how-to/use-from-python.md) shows them at work, and "
        "`help(mmstudy.compare)` prints arguments and errors of one."
    )
    return page("Python", opening, *parts)


def _names(home: ModuleType, names: Iterable[str]) -> str:
    found = [(name, getattr(home, name)) for name in sorted(names, key=str.lower)]
    return table(("name", "what it is"), [(code(_called(n, of)), _told(of)) for n, of in found])


def _members(owner: type) -> str:
    """Public methods and properties of a class, by name."""
    found = [(name, of) for name, of in vars(owner).items() if not name.startswith("_")]
    rows = [(code(_called(n, of)), summary(of)) for n, of in sorted(found) if inspect.getdoc(of)]
    return table(("member", "what it gives"), [row for row in rows if row[1]])


def _told(of: Any) -> str:
    if isinstance(of, str):
        return "The version of the distribution `mmcaf-study`."
    if callable(of) or isinstance(of, ModuleType):
        return summary(of)
    return f"One of: {', '.join(map(code, of))}."


def _called(name: str, of: Any) -> str:
    """How it is called, without types; a class and a value by the name alone."""
    if not inspect.isfunction(of):
        return name
    shown, bare = [], False
    for one in inspect.signature(of).parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not bare:
            shown, bare = [*shown, "*"], True
        shown.append(one.name + _default(one))
    return f"{name}({', '.join(shown)})"


def _default(one: inspect.Parameter) -> str:
    if one.default is one.empty:
        return ""
    return "=..." if callable(one.default) else f"={one.default!r}"
