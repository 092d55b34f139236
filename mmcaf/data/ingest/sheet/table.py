"""A table as a file of a stranger holds it: cells as they stand there, nothing interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = ["MOST_COLUMNS", "MOST_ROWS", "Cell", "Odd", "Table"]

MOST_ROWS, MOST_COLUMNS = 10_000, 256
"""A larger table is no clinical sheet; columns beyond are not looked at."""


class Odd(Enum):
    """What stands in a cell that holds no value of its own."""

    DATE = "a date or time"
    FORMULA = "a formula without a value"
    MERGED = "a part of merged cells"
    SHIFTED = "a row with more or fewer cells than the header has"


Cell = str | int | float | bool | Odd | None


@dataclass(frozen=True, slots=True)
class Table:
    """One worksheet, or one text file cut at one delimiter."""

    name: str  # how a message calls it
    rows: Sequence[Sequence[Cell]]
    worksheet: int = 1  # its number in its file, from 1
    notes: tuple[str, ...] = ()  # what a reader should know of how it was read
    cut: bool = False  # at a delimiter: a row of another length may have shifted cells
