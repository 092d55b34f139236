"""A site-packages folder that holds only what named requirements bring, as links to this one's."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["closure", "link_site"]


def closure(requirements: Iterable[str]) -> dict[str, Distribution]:
    """Canonical name -> distribution, of the requirements and of all that these require."""
    found: dict[str, Distribution] = {}
    todo = [Requirement(text) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if (key := (name, frozenset(wanted.extras))) in seen:
            continue
        seen.add(key)
        found[name] = distribution(name)
        todo += _required(found[name], wanted.extras)
    return found


def _required(of: Distribution, extras: set[str]) -> list[Requirement]:
    every = [Requirement(text) for text in of.requires or ()]
    asked = [{"extra": extra} for extra in ("", *extras)]
    return [r for r in every if r.marker is None or any(map(r.marker.evaluate, asked))]


def link_site(folder: Path, requirements: Iterable[str]) -> None:
    """Fill `folder` with links to everything that the closure of `requirements` has installed."""
    folder.mkdir(parents=True)
    for of in closure(requirements).values():
        site = Path(str(of.locate_file("")))
        tops = {file.parts[0] for file in of.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (folder / top).exists():
                (folder / top).symlink_to(site / top)
