"""A case as one picture: a row of CT slices, and below it the same slices under their Grad-CAM.

HU are shown from -1000 to 400, the same in every picture. Colours run from 0 to the greatest value
of the case's map; where the map is 0 the slice shows through. Lesion boxes are white.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcaf.files.atomic import replacing

__all__ = ["SHOWN_HU", "Box", "mass_inside", "shown_slices", "strip", "write_array", "write_png"]

SHOWN_HU = (-1000.0, 400.0)
_LEAST_SIDE = 160  # pixels of a slice in the picture
_OPACITY = 0.6  # of the colours where the map is greatest
_BAND = 22  # rows for the words below a slice
_GAP = 4
_INK = (235, 235, 235)

Picture = NDArray[np.uint8]  # [rows, columns, 3], blue, green, red


@dataclass(frozen=True, slots=True)
class Box:
    """Where the lesion is: first and last slice, and pixels of the cropped slice; ends included
    in z, excluded in x and y."""

    z: tuple[int, int]
    x: tuple[int, int]
    y: tuple[int, int]


def shown_slices(map_of: NDArray[np.float32], box: Box | None, most: int = 6) -> list[int]:
    """The slices with the most map, not side by side, and the middle of the lesion if it has one.

    Args:
        map_of: [slices, rows, columns], NaN where no window lies.
        box: of the lesion.
        most: how many slices, at most.
    """
    covered = ~np.isnan(map_of[:, 0, 0])
    total = np.where(covered, np.nan_to_num(map_of).sum((1, 2)), -1.0)
    chosen = [] if box is None else [min((box.z[0] + box.z[1] + 1) // 2, len(map_of) - 1)]
    apart = max(1, int(covered.sum()) // (2 * most))
    for index in np.argsort(-total, kind="stable").tolist():
        if len(chosen) == most:
            break
        if covered[index] and all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
    return sorted(chosen)


def mass_inside(map_of: NDArray[np.float32], box: Box) -> tuple[float | None, float]:
    """The share of the map that lies in the box, and the box's share of what windows cover.

    The former is None where the map is 0 throughout; a map that knows nothing has both alike.
    """
    covered = ~np.isnan(map_of)
    inside = np.zeros_like(covered)
    inside[box.z[0] : box.z[1] + 1, box.y[0] : box.y[1], box.x[0] : box.x[1]] = True
    known = np.nan_to_num(map_of).astype(np.float64)
    total = known.sum()
    share = float(known[inside].sum() / total) if total > 0 else None
    return share, float((inside & covered).sum() / covered.sum())


def strip(
    hu: NDArray[np.number],
    map_of: NDArray[np.float32],
    slices: list[int],
    box: Box | None,
    *,
    note: str = "",
) -> Picture:
    """The slices side by side, plain above and coloured below, numbered from the feet.

    Args:
        hu: [slices, rows, columns], cropped as the windows are.
        map_of: of the same shape.
        slices: which to show.
        box: drawn on the slices it spans.
        note: a word written on the picture, `SYNTHETIC` say.
    """
    greatest = float(np.nanmax(map_of)) if not np.isnan(map_of).all() else 0.0
    columns = []
    for index in slices:
        plain = _grey(hu[index])
        coloured = _coloured(plain, np.nan_to_num(map_of[index]), greatest)
        words = _words(f"slice {index + 1}/{len(hu)}", plain.shape[1])
        for picture in (plain, coloured):
            if box is not None and box.z[0] <= index <= box.z[1]:
                _outline(picture, box, hu.shape[2])
        columns.append(np.vstack([plain, _space(_GAP, plain.shape[1]), coloured, words]))
        columns.append(_space(columns[-1].shape[0], _GAP))
    whole = np.hstack(columns[:-1])
    return np.vstack([_words(note, whole.shape[1]), whole]) if note else whole


def write_array(path: Path, array: NDArray[np.uint8]) -> None:
    """Write one array as .npy, whole or not at all."""
    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_png(path: Path, picture: Picture) -> None:
    """Write one picture, whole or not at all."""
    done, encoded = cv2.imencode(".png", picture)
    if not done:
        raise ValueError(f"Cannot write a picture of shape {list(picture.shape)} as PNG.")
    with replacing(path) as beside:
        beside.write_bytes(encoded.tobytes())


def _grey(plane: NDArray[np.number]) -> Picture:
    low, high = SHOWN_HU
    scaled = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1) * 255
    grey = _enlarged(scaled.astype(np.uint8))
    picture: Picture = np.stack([grey, grey, grey], axis=-1).astype(np.uint8)
    return picture


def _coloured(plain: Picture, plane: NDArray[np.float32], greatest: float) -> Picture:
    if greatest <= 0:
        return plain.copy()
    share = _enlarged((plane / greatest).astype(np.float32))[..., None]
    colours = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = _OPACITY * np.sqrt(share)  # so that weak places can be seen too
    mixed: Picture = ((1 - opacity) * plain + opacity * colours).astype(np.uint8)
    return mixed


def _outline(picture: Picture, box: Box, side: int) -> None:
    factor = picture.shape[1] // side
    corners = [(edge[0] * factor, edge[1] * factor - 1) for edge in (box.x, box.y)]
    (x0, x1), (y0, y1) = corners
    cv2.rectangle(picture, (x0, y0), (x1, y1), (255, 255, 255), 1)


def _enlarged(plane: NDArray[Any]) -> NDArray[Any]:
    factor = -(-_LEAST_SIDE // plane.shape[1])
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)


def _space(rows: int, columns: int) -> Picture:
    return np.zeros((rows, columns, 3), dtype=np.uint8)


def _words(text: str, columns: int) -> Picture:
    band = _space(_BAND, columns)
    cv2.putText(band, text, (4, _BAND - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return band
