"""Lesion boxes: PASCAL-VOC files named by the SOPInstanceUID of their slice.

Matched by that UID over all folders, because in the collection several folders are shifted by one
patient. XML is untrusted: parsed by defusedxml, at most 64 kB; only numbers are taken from it, for
its other fields may hold local paths.

A box counts exactly as it is written, or is cut at the border of its slice or left out, with a code
for either. A box that was moved within its slice cannot be told from one that was drawn there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import polars as pl
from defusedxml.ElementTree import fromstring

from mmcaf.data.ingest.clinical import ALIASES
from mmcaf.data.ingest.patients.patient_ids import patient_id

__all__ = ["BOXES", "WITHOUT_BOX", "Annotations", "box_flags", "match", "read_annotations"]

BOXES: dict[str, Any] = {
    "sop_uid": pl.String,
    "x_min": pl.Float64,  # pixels of the slice
    "y_min": pl.Float64,
    "x_max": pl.Float64,
    "y_max": pl.Float64,
}
WITHOUT_BOX = ("W_NO_SLICE", "W_ON_UNUSABLE", "W_BOX_OUTSIDE", "W_BOX_EMPTY", "W_BOX_SWAPPED")
"""Codes of files of which at least one box does not count: they are not matched."""
_UID = re.compile(r"[0-9.]{10,64}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,5}(?:\.[0-9]{0,16})?")
_CLASSES = ("A", "B", "E", "G")
_MAX_BYTES = 64 * 1024
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ON_PATIENT: tuple[str, ...] = (
    "W_BOX_OUTSIDE",
    "W_BOX_CLIPPED",
    "W_BOX_EMPTY",
    "W_BOX_SWAPPED",
    "W_BOX_SIZE",
)
_ON_PATIENT += ("W_SECOND_XML",)
_LOST = ("W_ON_UNUSABLE", "E_XML_NUMBER", "E_XML_PARSE", "E_XML_SIZE", "E_UNREADABLE")

Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max, pixels
Size = tuple[int, int]  # columns, rows


@dataclass(frozen=True, slots=True)
class Annotations:
    """What the annotation files hold."""

    boxes: pl.DataFrame  # columns `BOXES`, each box of a slice once
    reasons: dict[int, str]  # file -> its code, for those that have one
    sop_uids: dict[int, str]  # file -> the slice it is named for


def read_annotations(
    files: Mapping[int, Path], sizes: Mapping[str, Size] | None = None
) -> Annotations:
    """Read annotation files, given by a number each; no raise for a bad one.

    Codes: E_XML_NAME, E_XML_SIZE, E_XML_PARSE, E_XML_NUMBER, E_UNREADABLE exclude; W_BOX_OUTSIDE,
    W_BOX_SWAPPED, W_BOX_EMPTY, W_BOX_SIZE, W_BOX_CLIPPED, W_DUP_XML, W_SECOND_XML, W_LABEL warn.

    Args:
        files: number -> path.
        sizes: SOPInstanceUID -> columns and rows of a slice, where they are known.
    """
    boxes: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    reasons: dict[int, str] = {}
    sop_uids: dict[int, str] = {}
    annotated: set[str] = set()
    for number, path in files.items():
        uid = path.stem
        if _UID.fullmatch(uid) is None:
            reasons[number] = "E_XML_NAME"
            continue
        sop_uids[number] = uid
        try:
            drawn = _read(path)
        except _Refused as refusal:
            reasons[number] = str(refusal)
            continue
        whole, code = _judged(drawn, (sizes or {}).get(uid))
        # To a tenth of a pixel: copies in another patient's folder are copies.
        new = {(uid, *(round(corner, 1) for corner in box)): (uid, *box) for box in whole}
        if whole and uid in annotated:
            code = code or ("W_DUP_XML" if new.keys() <= boxes.keys() else "W_SECOND_XML")
        if any(label.upper() not in _CLASSES for label in drawn.labels):
            code = code or "W_LABEL"
        if code:
            reasons[number] = code
        boxes |= {key: box for key, box in new.items() if key not in boxes}
        if whole:
            annotated.add(uid)
    table = pl.DataFrame(list(boxes.values()), schema=BOXES, orient="row")
    return Annotations(table, reasons, sop_uids)


def match(
    annotations: Annotations, folders: Mapping[int, str], slices: Mapping[str, tuple[str, bool]]
) -> dict[int, str]:
    """The code of every annotation file that has one, now that the slices are known.

    Args:
        annotations: as read.
        folders: file -> name of the folder it lies in.
        slices: SOPInstanceUID -> patient, and whether the slice is usable.
    """
    codes = dict(annotations.reasons)
    for number, sop_uid in annotations.sop_uids.items():
        if codes.get(number, "").startswith("E_"):
            continue
        patient, usable = slices.get(sop_uid, (None, False))
        named = patient_id(folders[number])
        if patient is None:
            codes[number] = "W_NO_SLICE"
        elif not usable:
            codes[number] = "W_ON_UNUSABLE"
        elif number not in codes and named is not None and named != patient:
            codes[number] = "W_ALIAS" if ALIASES.get(named) == patient else "W_FOLDER_SHIFT"
    return codes


def box_flags(
    codes: Mapping[int, str],
    sop_uids: Mapping[int, str],
    stack: Iterable[str],
    left_out: Iterable[str],
) -> list[str]:
    """What a patient's annotations leave in doubt: codes W_BOX_..., W_SECOND_XML, W_BOX_LOST.

    Args:
        codes: file -> its code, as `match` gives it.
        sop_uids: file -> the slice it is named for.
        stack: SOPInstanceUIDs of the chosen stack.
        left_out: those of its series that found no place in the stack.
    """
    here, lost = set(stack), set(left_out)
    flags = set()
    for number, code in codes.items():
        uid = sop_uids.get(number)
        if (uid in here or uid in lost) and code in _LOST:
            flags.add("W_BOX_LOST")
        elif uid in here and code in _ON_PATIENT:
            flags.add(code)
    return sorted(flags)


class _Refused(Exception):
    """A file that holds no boxes; carries the reason code."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What one file says."""

    boxes: list[Box]
    labels: list[str]
    size: Size | None  # of the image it was drawn on
    objects: int


def _judged(drawn: _Drawn, size: Size | None) -> tuple[list[Box], str | None]:
    """The boxes that count, cut at the border of the slice, and what is to be said of the file."""
    ordered = [box for box in drawn.boxes if box[2] >= box[0] and box[3] >= box[1]]
    whole = [box for box in ordered if box[2] > box[0] and box[3] > box[1]]
    inside = [cut for box in whole if (cut := _cut(box, size)) is not None]
    said = {
        "W_BOX_OUTSIDE": len(inside) < len(whole),
        "W_BOX_SWAPPED": len(ordered) < len(drawn.boxes),
        "W_BOX_EMPTY": len(whole) < len(ordered) or len(drawn.boxes) < max(drawn.objects, 1),
        "W_BOX_SIZE": None not in (size, drawn.size) and size != drawn.size,
        "W_BOX_CLIPPED": any(box not in whole for box in inside),
    }
    return inside, next((code for code, holds in said.items() if holds), None)


def _cut(box: Box, size: Size | None) -> Box | None:
    """The part of a box on the slice; None where there is none."""
    if size is None:
        return box
    columns, rows = size
    x_min, x_max = (min(max(x, 0.0), float(columns)) for x in (box[0], box[2]))
    y_min, y_max = (min(max(y, 0.0), float(rows)) for y in (box[1], box[3]))
    return (x_min, y_min, x_max, y_max) if x_max > x_min and y_max > y_min else None


def _read(path: Path) -> _Drawn:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise _Refused("E_XML_SIZE")
        root: Element = fromstring(content)
    except OSError as error:
        raise _Refused("E_UNREADABLE") from error
    except (ParseError, ValueError, LookupError) as error:  # also unknown encodings
        raise _Refused("E_XML_PARSE") from error
    except (defusedxml.DefusedXmlException, RecursionError) as error:
        raise _Refused("E_XML_PARSE") from error
    objects = [*root.iter("object")]
    return _Drawn(
        boxes=[_corners(node) for node in root.iter("bndbox")],
        labels=[node.findtext("name") or "" for node in objects],
        size=_size(root),
        objects=len(objects),
    )


def _corners(node: Element) -> Box:
    x_min, y_min, x_max, y_max = (_number(node, name) for name in _CORNERS)
    return x_min, y_min, x_max, y_max


def _number(node: Element, name: str) -> float:
    """The one value of that name: digits, with a point at most; nothing that needs guessing."""
    given = [(one.text or "").strip() for one in node.iter(name)]
    if len(given) != 1 or _NUMBER.fullmatch(given[0]) is None:
        raise _Refused("E_XML_NUMBER")
    return float(given[0])


def _size(root: Element) -> Size | None:
    """Columns and rows the file says its image has; None where it does not, or says 0."""
    given = [(root.findtext(f"size/{name}") or "").strip() for name in ("width", "height")]
    if not all(re.fullmatch(r"[0-9]{1,5}", text) for text in given):
        return None
    columns, rows = map(int, given)
    return (columns, rows) if columns and rows else None
