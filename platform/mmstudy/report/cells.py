"""What a cell of a table may hold, as people read it and as machines do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

__all__ = ["Measure", "cell_text", "flat", "json_value"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A value with its 95 % interval; a proportion has counts as well. None is undefined.

    >>> str(Measure(2 / 3, 0.42, 0.85, hits=10, total=15)), str(Measure())
    ('0.667 [0.42, 0.85] 10/15', '-')
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    hits: int | None = None
    total: int | None = None

    @property
    def shown(self) -> str:
        """The value alone, empty where it is undefined."""
        return "" if self.value is None else f"{self.value:.3f}"

    @property
    def interval(self) -> str:
        """The interval in brackets, empty where there is none."""
        known = None not in (self.value, self.low, self.high)
        return f"[{self.low:.2f}, {self.high:.2f}]" if known else ""

    @property
    def counts(self) -> str:
        """Hits of total, empty where nothing was counted."""
        return f"{self.hits}/{self.total}" if self.total else ""

    @property
    def parts(self) -> dict[str, float | int | None]:
        """The fields for machines; those of counts only where it is a proportion."""
        counted = {} if self.total is None else {"hits": self.hits, "total": self.total}
        return {"value": self.value, "low": self.low, "high": self.high, **counted}

    def __str__(self) -> str:
        return " ".join(filter(None, (self.shown, self.interval, self.counts))) or "-"


def cell_text(value: Any) -> str:
    """A cell for people; a dash where there is nothing.

    >>> cell_text(True), cell_text(0.75), cell_text(1e-5), cell_text(None), cell_text(3)
    ('yes', '0.7500', '1.00e-05', '-', '3')
    """
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-2 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"
    return str(value)


def flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A cell as one or more plain cells, each with its key: `auroc`, `auroc_low`, `auroc_high`.

    >>> dict(flat("auroc", Measure(0.5, 0.4, 0.6)))
    {'auroc': 0.5, 'auroc_low': 0.4, 'auroc_high': 0.6}
    """
    if not isinstance(value, Measure):
        yield key, value
        return
    for name, part in value.parts.items():
        yield key if name == "value" else f"{key}_{name}", part


def json_value(value: Any) -> Any:
    """A cell that JSON can hold: what is no number becomes null, a moment ISO 8601.

    >>> json_value(float("nan")), json_value(Measure(0.5))
    (None, {'value': 0.5, 'low': None, 'high': None})
    """
    if isinstance(value, Measure):
        return dict(value.parts)
    if isinstance(value, float) and not isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime) else value
