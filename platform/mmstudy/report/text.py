"""Rows as text: an aligned table, one JSON document, or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

__all__ = ["as_text"]


def as_text(rows: Sequence[Mapping[str, Any]], how: Literal["table", "json", "csv"]) -> str:
    """The rows, which share their keys, ending in a newline.

    >>> as_text([{"fold": 0, "auroc": 0.75}, {"fold": 1, "auroc": None}], "table")
    'fold  auroc\\n0     0.7500\\n1     -\\n'
    """
    if how == "json":
        return json.dumps([dict(row) for row in rows], indent=2, default=str) + "\n"
    if not rows:
        return "nothing\n" if how == "table" else ""
    if how == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-2 <= abs(value) < 1e4 or value == 0 else f"{value:.2e}"
    return str(value)
