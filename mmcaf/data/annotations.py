"""Lesion boxes: PASCAL-VOC files named by the SOPInstanceUID of their slice.

Matched by that UID over all folders, because in the collection several folders are shifted by one
patient. XML is untrusted: parsed by defusedxml, at most 64 kB.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import polars as pl
from defusedxml.ElementTree import parse

__all__ = ["BOXES", "read_boxes"]

BOXES: dict[str, Any] = {
    "sop_uid": pl.String,
    "x_min": pl.Float64,  # pixels of the slice
    "y_min": pl.Float64,
    "x_max": pl.Float64,
    "y_max": pl.Float64,
}
_UID = re.compile(r"[0-9.]{10,64}")
_MAX_BYTES = 64 * 1024


def read_boxes(folder: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    """All distinct boxes under `folder` (columns: `BOXES`), and how many files failed, by reason.

    Reasons: E_XML_NAME, E_XML_SIZE, E_XML_PARSE; W_BOX_EMPTY counts boxes without area.
    """
    rows: list[dict[str, Any]] = []
    failed: dict[str, int] = {}
    for path in sorted(folder.rglob("*.xml")):
        if _UID.fullmatch(path.stem) is None:
            reason = "E_XML_NAME"
        elif path.stat().st_size > _MAX_BYTES:
            reason = "E_XML_SIZE"
        else:
            try:
                found = [_box(node) for node in parse(path).iter("bndbox")]
            except (ParseError, ValueError, defusedxml.DefusedXmlException):
                reason = "E_XML_PARSE"
            else:
                whole = [b for b in found if b["x_max"] > b["x_min"] and b["y_max"] > b["y_min"]]
                rows += [{"sop_uid": path.stem, **box} for box in whole]
                reason = "W_BOX_EMPTY" if len(whole) < len(found) else ""
        if reason:
            failed[reason] = failed.get(reason, 0) + 1
    return pl.DataFrame(rows, schema=BOXES).unique(maintain_order=True), failed


def _box(node: Element) -> dict[str, float]:
    parts = (("x_min", "xmin"), ("y_min", "ymin"), ("x_max", "xmax"), ("y_max", "ymax"))
    return {ours: float(node.findtext(theirs) or "nan") for ours, theirs in parts}
