"""A chart of the way of patients, as CONSORT draws it: boxes downwards, who left beside them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Box", "Flowchart", "svg"]

_WIDTH, _BOX, _SIDE = 720, 330, 340
_LINE, _PAD, _GAP = 17, 10, 26
_SIGNS, _SIGNS_BESIDE = 45, 46  # of a line


@dataclass(frozen=True, slots=True)
class Box:
    """A step: its lines, and those of who left before it, which may be none."""

    lines: tuple[str, ...]
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flowchart:
    """Steps from the top; `alt` is what a screen reader says."""

    boxes: tuple[Box, ...]
    alt: str


def svg(chart: Flowchart, text: Callable[[str], str]) -> str:
    """The chart as an SVG element.

    Args:
        chart: what is drawn.
        text: makes a stranger's text HTML.
    """
    parts: list[str] = []
    y, centre = 4, 4 + _BOX // 2
    for number, box in enumerate(chart.boxes):
        if number:
            beside = _wrapped(box.left, _SIGNS_BESIDE)
            way = max(_GAP, _height(beside) + 2 * 8 if beside else 0)
            parts.append(_arrow(centre, y, centre, y + way))
            if beside:
                middle = y + way // 2
                top = middle - _height(beside) // 2
                parts.append(_arrow(centre, middle, _BOX + 40, middle))
                parts.append(_boxed(_BOX + 40, top, _SIDE, beside, text))
            y += way
        lines = _wrapped(box.lines, _SIGNS)
        parts.append(_boxed(4, y, _BOX, lines, text))
        y += _height(lines)
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH} {y + 4}" class="flow"><title>{text(chart.alt)}'
        '</title><defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z"></path></marker></defs>'
        f"{''.join(parts)}</svg>"
    )


def _wrapped(lines: Sequence[str], signs: int) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, signs) or [""]]


def _height(lines: Sequence[str]) -> int:
    return len(lines) * _LINE + 2 * _PAD


def _arrow(x0: int, y0: int, x1: int, y1: int) -> str:
    return f'<path class="way" d="M{x0} {y0} L{x1} {y1}" marker-end="url(#tip)"></path>'


def _boxed(x: int, y: int, width: int, lines: Sequence[str], text: Callable[[str], str]) -> str:
    written = "".join(
        f'<text x="{x + _PAD}" y="{y + _PAD + 12 + i * _LINE}">{text(line)}</text>'
        for i, line in enumerate(lines)
    )
    return f'<rect x="{x}" y="{y}" width="{width}" height="{_height(lines)}"></rect>{written}'
