"""What a file or a folder that this program makes may be called, decided before it is made.

A name goes into tables, terminals, command lines and the names of further files. So it has only
signs that are seen, is UTF-8, and is short enough for every file that is named after it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["folder_fault", "name_fault"]

MOST_BYTES: Final = 200
"""File systems take 255; the longest name made of another one has 55 more: `.NAME.tmp-...`, a
picture of a study."""


def name_fault(name: str, what: str = "a study's name") -> str | None:
    """Why `name` cannot be that of a new folder, a sentence; None where it can.

    >>> name_fault("heads-2"), name_fault("Größe 3")
    (None, None)
    >>> print(name_fault("-rf"))
    Need a study's name without -, . or ~ at its start, got '-rf'; choose another.
    """
    rules = (
        (name.strip() == name != "", "that is not empty and has no space at either end"),
        (not {"/", "\\"} & {*name}, "without / and \\"),
        (not name.startswith(("-", ".", "~")), "without -, . or ~ at its start"),
    )
    broken = next((rule for holds, rule in rules if not holds), None) or _broken(name)
    return f"Need {what} {broken}, got {_shown(name)}; choose another." if broken else None


def folder_fault(path: Path) -> str | None:
    """Why the folders that are still missing on the way to `path` cannot be made; None if they can.

    What is there already has the name that its owner gave it, and the folder itself may be hidden.
    """
    missing = [part.name for part in (path, *path.parents) if not _is_there(part)]
    broken = ((name, _broken(name)) for name in missing if name != "..")
    found = next(((name, rule) for name, rule in broken if rule), None)
    if found is None:
        return None
    return f"Need a folder's name {found[1]}, got {_shown(found[0])}; choose another."


def _broken(name: str) -> str | None:
    """The rule of every name that is broken, in words."""
    if not name.isprintable():  # a lone surrogate, of bytes that are no UTF-8, is not printable
        return "of signs that are seen, in UTF-8"
    if (size := len(name.encode())) > MOST_BYTES:
        return f"of {MOST_BYTES} bytes at most ({size} are given)"
    return None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or no name at all
        return False


def _shown(name: str) -> str:
    text = ascii(name) if not name.isprintable() else repr(name)
    return text if len(text) <= 80 else f"{text[:80]}…"
