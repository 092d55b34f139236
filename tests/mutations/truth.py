"""What is true of a tree before it is harmed, told by nothing of this project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from pydicom import dcmread

from support.true_tree import Hu, true_hu

__all__ = ["Box", "Stack", "drawn_boxes", "lesion_of", "true_stacks"]

Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max


@dataclass(frozen=True)
class Stack:
    """One body, once through the scanner, foot to head."""

    patient: str
    files: tuple[Path, ...]
    sop_uids: tuple[str, ...]
    hu: Hu
    spacing_mm: tuple[float, float, float]  # z, y, x


def true_stacks(folder: Path) -> list[Stack]:
    """Every pass of every patient of an unharmed tree."""
    passes: dict[tuple[str, str, int], list[tuple[float, Path, Any]]] = defaultdict(list)
    for path in sorted(folder.rglob("*.dcm")):
        slice_ = dcmread(path, stop_before_pixels=True)
        key = (slice_.PatientID[-5:], slice_.SeriesInstanceUID, slice_.AcquisitionNumber)
        passes[key].append((float(slice_.ImagePositionPatient[2]), path, slice_))
    return [_stack(patient, sorted(found)) for (patient, _, _), found in passes.items()]


def _stack(patient: str, found: Sequence[tuple[float, Path, Any]]) -> Stack:
    z, files, headers = zip(*found, strict=True)
    rows, columns = (float(value) for value in headers[0].PixelSpacing)
    return Stack(
        patient=patient,
        files=files,
        sop_uids=tuple(str(header.SOPInstanceUID) for header in headers),
        hu=np.stack([true_hu(path) for path in files]),
        spacing_mm=(float(np.median(np.diff(z))), rows, columns),
    )


def drawn_boxes(folder: Path) -> dict[str, list[Box]]:
    """SOPInstanceUID -> boxes, of unharmed annotation files."""
    found: dict[str, list[Box]] = {}
    for path in sorted(folder.rglob("*.xml")):
        nodes = ET.parse(path).getroot().iter("bndbox")  # noqa: S314 - this project wrote it
        found[path.stem] = [_corners(node) for node in nodes]
    return found


def _corners(node: ET.Element) -> Box:
    x0, y0, x1, y1 = (float(node.findtext(n) or "nan") for n in ("xmin", "ymin", "xmax", "ymax"))
    return x0, y0, x1, y1


def lesion_of(stack: Stack, boxes: Mapping[str, Iterable[Box]]) -> dict[str, float]:
    """Where the lesion lies, in the columns of the cohort."""
    rows, columns = stack.hu.shape[1:]
    found = []
    for z, uid in enumerate(stack.sop_uids):
        for x0, y0, x1, y1 in boxes.get(uid, ()):
            left, right = np.clip([x0, x1], 0, columns)
            top, bottom = np.clip([y0, y1], 0, rows)
            if right > left and bottom > top:
                found.append((z, left, top, right, bottom))
    if not found:
        return {"lesion_n_slices": 0, "z_first_lesion": -1, "z_last_lesion": -1}
    z, left, top, right, bottom = (np.array(part) for part in zip(*found, strict=True))
    return {
        "lesion_n_slices": len({*z.tolist()}),
        "z_first_lesion": z.min(),
        "z_last_lesion": z.max(),
        "box_cx": (left.min() + right.max()) / 2 / columns,
        "box_cy": (top.min() + bottom.max()) / 2 / rows,
        "box_w": (right.max() - left.min()) / columns,
        "box_h": (bottom.max() - top.min()) / rows,
    }
