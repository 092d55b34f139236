"""Lesion boxes: PASCAL-VOC files named by the SOPInstanceUID of their slice.

Matched by that UID over all folders, because in the collection several folders are shifted by one
patient. XML is untrusted: parsed by defusedxml, at most 64 kB; only numbers are taken from it, for
its other fields may hold local paths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import polars as pl
from defusedxml.ElementTree import parse

from mmcaf.data.ingest.clinical import ALIASES

__all__ = ["BOXES", "Annotations", "match", "read_annotations"]

BOXES: dict[str, Any] = {
    "sop_uid": pl.String,
    "x_min": pl.Float64,  # pixels of the slice
    "y_min": pl.Float64,
    "x_max": pl.Float64,
    "y_max": pl.Float64,
}
_UID = re.compile(r"[0-9.]{10,64}")
_PATIENT = re.compile(r"[ABEG]\d{4}")
_CLASSES = ("A", "B", "E", "G")
_MAX_BYTES = 64 * 1024
_CORNERS = (("x_min", "xmin"), ("y_min", "ymin"), ("x_max", "xmax"), ("y_max", "ymax"))


@dataclass(frozen=True, slots=True)
class Annotations:
    """What the annotation files hold."""

    boxes: pl.DataFrame  # columns `BOXES`, each box of a slice once
    reasons: dict[int, str]  # file -> its code, for those that have one
    sop_uids: dict[int, str]  # file -> the slice it is named for, for those that could be read


def read_annotations(files: Mapping[int, Path]) -> Annotations:
    """Read annotation files, given by a number each; no raise for a bad one.

    Codes: E_XML_NAME, E_XML_SIZE, E_XML_PARSE exclude; W_BOX_EMPTY, W_DUP_XML, W_LABEL warn.
    """
    boxes: dict[tuple[Any, ...], None] = {}
    reasons: dict[int, str] = {}
    sop_uids: dict[int, str] = {}
    for number, path in files.items():
        try:
            found, labels = _read(path)
        except _Refused as refusal:
            reasons[number] = str(refusal)
            continue
        sop_uids[number] = path.stem
        whole = [box for box in found if box[2] > box[0] and box[3] > box[1]]
        # To a tenth of a pixel: copies in another patient's folder are copies.
        keys = [(path.stem, *(round(corner, 1) for corner in box)) for box in whole]
        if len(whole) < len(found) or not found:
            reasons[number] = "W_BOX_EMPTY"
        elif all(key in boxes for key in keys):
            reasons[number] = "W_DUP_XML"
        elif any(label.upper() not in _CLASSES for label in labels):
            reasons[number] = "W_LABEL"
        boxes |= dict.fromkeys(keys)
    return Annotations(pl.DataFrame(list(boxes), schema=BOXES, orient="row"), reasons, sop_uids)


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
        patient, usable = slices.get(sop_uid, (None, False))
        folder = folders[number]
        if patient is None:
            codes[number] = "W_NO_SLICE"
        elif not usable:
            codes[number] = "W_ON_UNUSABLE"
        elif number not in codes and _PATIENT.fullmatch(folder) and folder != patient:
            alias = ALIASES.get(folder) == patient
            codes[number] = "W_ALIAS" if alias else "W_FOLDER_SHIFT"
    return codes


class _Refused(Exception):
    """A file that holds no boxes; carries the reason code."""


def _read(path: Path) -> tuple[list[tuple[float, ...]], Sequence[str]]:
    """Corners of all boxes, and the class names."""
    if _UID.fullmatch(path.stem) is None:
        raise _Refused("E_XML_NAME")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _Refused("E_XML_SIZE")
        root: Element = parse(path).getroot()  # type: ignore[assignment] # None only if empty
        boxes = [_corners(node) for node in root.iter("bndbox")]
    except (ParseError, ValueError, OSError, LookupError) as error:  # also unknown encodings
        raise _Refused("E_XML_PARSE") from error
    except (defusedxml.DefusedXmlException, RecursionError) as error:
        raise _Refused("E_XML_PARSE") from error
    return boxes, [node.findtext("name") or "" for node in root.iter("object")]


def _corners(node: Element) -> tuple[float, ...]:
    corners = tuple(float(node.findtext(theirs) or "nan") for _, theirs in _CORNERS)
    if not all(abs(corner) < 1e5 for corner in corners):  # NaN and infinite ones too
        raise ValueError(f"Need corners in pixels, got {corners}.")
    return corners
