"""The project's Markdown, read: pages, code blocks, links, anchors, sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "anchors", "blocks", "links", "pages", "prose", "quoted", "sentences"]

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_MARKS = re.compile(r"[*_`]|!?\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, what stands behind that, and where it is."""

    page: Path
    language: str
    note: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every document a reader is sent to."""
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [
        *own,
        ROOT / "platform" / "deploy" / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        language, _, note = found[1].strip().partition(" ")
        line = text[: found.start()].count("\n") + 1
        yield Block(page, language, note, found[2], line)


def without_code(page: Path) -> str:
    """The page's text; its code blocks are empty lines."""
    text = page.read_text(encoding="utf-8")
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)


def links(page: Path) -> Iterator[tuple[int, str]]:
    """(line, target) of every link and picture."""
    for number, line in enumerate(without_code(page).splitlines(), start=1):
        for found in _LINK.finditer(line):
            yield number, found[1]


def anchors(page: Path) -> set[str]:
    """The names by which headings can be linked to, as Git hosts make them."""
    heads = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def quoted(page: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of everything in backticks, outside code blocks."""
    for number, line in enumerate(without_code(page).splitlines(), start=1):
        for found in re.findall(r"`([^`]+)`", line):
            yield number, found


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every paragraph and list item; no tables, headings, comments, quotes."""
    paragraph: list[str] = []
    start = 0
    for number, line in enumerate([*without_code(page).splitlines(), ""], start=1):
        item = re.match(r"\s*(?:[-*]|\d+\.) ", line)
        ends = not line.strip() or item or line.lstrip().startswith(("|", "#", "<!--", "!["))
        if ends and paragraph:
            yield start, " ".join(paragraph)
            paragraph = []
        if item:
            start, paragraph = number, [line[item.end() :].strip()]
        elif not ends:
            start = start if paragraph else number
            paragraph.append(line.strip())


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph, their marks left out; each code word is one word."""
    plain = re.sub(r"`[^`]*`", "CODE", text)
    plain = _MARKS.sub(lambda found: found[1] or "", plain)
    return [one for one in re.split(r"(?<=[.!?:;])\s+(?=[A-Z0-9\"(])|(?<=[;:])\s+", plain) if one]
