"""What a section of a report is made of: plain values, of which only `page` makes HTML.

Text of any value may be a stranger's. It is text here, whatever signs it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmstudy.plots import Plot
from mmstudy.report.study.flowchart import Flowchart
from mmstudy.report.table import Table

__all__ = ["Block", "Figure", "Section", "Words"]


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph: plain, a warning, or a remark on how to read something."""

    text: str
    kind: Literal["plain", "warning", "remark"] = "plain"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with the same in words, for whoever does not see it."""

    title: str
    text: str
    picture: Plot | Flowchart


Block = Words | Figure | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section, from its own page on.

    Attributes:
        name: what links lead to: lower case, hyphens.
        title: its heading.
        blocks: in order.
        absent: why what it is about is not known, if so; it then answers no item of a guideline.
        wide: whether its tables need a page on its side.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]
    absent: str = ""
    wide: bool = False
