"""The rows of the benchmark, as the networks name them: each a search space beside a paper's row.

A network of another package has rows, too; they come after those of the paper.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from mmcaf.net.entry import Network, PaperRow
from mmcaf.net.registry import usable_networks
from mmstudy.errors import UsageError
from mmstudy.spec.sections import nearest
from mmstudy.storage.schema import Count, Text

__all__ = [
    "REFERENCE",
    "ROWS",
    "STATE_FILE",
    "BenchmarkState",
    "PaperRow",
    "RowState",
    "rows_of",
    "study_name",
    "wanted_rows",
]

REFERENCE = "mmcaf_net"
"""The row all others are tested against."""


STATE_FILE = "benchmark.json"

_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_TABLES = ("1", "2", "3", "readme", "floor")  # in this order; any other comes last


class RowState(msgspec.Struct, frozen=True, kw_only=True):
    """How far one row of the benchmark came."""

    fault: Text | None = None  # why it cannot be finished
    wall_seconds: _Seconds | None = None


class BenchmarkState(msgspec.Struct, frozen=True, kw_only=True):
    """`benchmark.json`: which rows there are and what they cost so far."""

    trials: Count = 0  # of each row
    seeds: Count = 0
    rows: dict[Text, RowState] = {}
    shared_seconds: _Seconds | None = None


def _place(row: PaperRow) -> tuple[int, int, str]:
    return ([*_TABLES, row.table].index(row.table), row.place, row.key)


def rows_of(networks: Iterable[Network]) -> dict[str, PaperRow]:
    """Key -> row, in the order of the paper's tables; of two with one key, the first network's."""
    rows: dict[str, PaperRow] = {}
    for network in networks:
        rows = {row.key: row for row in network.rows} | rows
    return {row.key: row for row in sorted(rows.values(), key=_place)}


ROWS = rows_of(usable_networks())  # this package's networks come first


def study_name(key: str) -> str:
    """The study of a row."""
    return f"bench-{key}"


def wanted_rows(text: str) -> tuple[str, ...]:
    """The rows that `--models` means: `all`, or names with commas between them.

    Raises:
        UsageError: a row nobody knows; names the nearest.
    """
    if text == "all":
        return tuple(ROWS)
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    faults = [f"no row {name!r}.{nearest(name, ROWS)}" for name in found if name not in ROWS]
    if faults or not found:
        raise UsageError(*faults, heading=f"--models is `all` or some of {', '.join(ROWS)}:")
    return found
