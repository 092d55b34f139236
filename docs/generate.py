"""Write the reference pages from the program, so that they cannot say anything else.

    python docs/generate.py           # write what is stale
    python docs/generate.py --check   # name what is stale, and exit with 1

Commands come from the command line's own parser, settings from the JSON schema, codes, columns and
paths from the tables in the code. The remark of a setting or column is the comment behind it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from generator.architecture import floors, modules
from generator.commands import commands
from generator.face import python
from generator.networks import networks
from generator.records import (
    choice_of_series,
    clinical_sheet,
    exit_codes,
    reason_codes,
    study_folder,
    tables,
)
from generator.settings import spec

__all__ = ["PAGES", "PARTS", "main", "stale", "written"]

DOCS = Path(__file__).parent

PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/spec.md": spec,
    "reference/networks.md": networks,
    "reference/reason-codes.md": reason_codes,
    "reference/choice-of-series.md": choice_of_series,
    "reference/clinical-sheet.md": clinical_sheet,
    "reference/study-folder.md": study_folder,
    "reference/tables.md": tables,
    "reference/exit-codes.md": exit_codes,
    "reference/python.md": python,
}
"""Page below `docs/` -> what writes it."""

PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "architecture.md": {
        "layers of mmstudy": lambda: floors("MMSTUDY"),
        "layers of mmcaf": lambda: floors("MMCAF"),
        "modules of mmstudy": lambda: modules("mmstudy"),
        "modules of mmcaf": lambda: modules("mmcaf"),
    },
}
"""Page below `docs/` -> its marked parts; what is around them is written by hand."""


def written(name: str) -> str:
    """A page as it should be.

    Raises:
        ValueError: a page by hand has lost a mark that a part is written between.
    """
    if name in PAGES:
        return PAGES[name]()
    text = (DOCS / name).read_text(encoding="utf-8")
    for mark, part in PARTS[name].items():
        start, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
        head, found, rest = text.partition(start)
        _, closed, tail = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"docs/{name} has no marks around {mark!r}.")
        text = f"{head}{start}{part()}{end}{tail}"
    return text


def stale() -> list[str]:
    """Pages whose file is missing or says something else."""
    return [name for name in (*PAGES, *PARTS) if _file(name) != written(name)]


def _file(name: str) -> str | None:
    path = DOCS / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> int:
    """Write, or check; the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference pages from the program.")
    parser.add_argument("--check", action="store_true", help="name what is stale, write nothing")
    check = parser.parse_args().check
    for name in (found := stale()):
        sys.stdout.write(f"{'stale' if check else 'written'}: docs/{name}\n")
        if not check:
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            (DOCS / name).write_text(written(name), encoding="utf-8")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
