"""A stack against what a CT of an adult's chest is, whatever its header says.

What cannot be a thorax is left out (`is_thorax`); what is merely odd is a warning:

| warning | what is odd |
|---|---|
| W_HU_SCALE | air is not at -1000 HU, soft tissue not at some 45, or lungs are like air |
| W_BODY_SIZE | the body's outline is too small or too large: pixels have another size |
| W_COVERAGE | the stack is shorter than 50 mm, or its lungs longer or shorter than lungs |

The body's size is the root of the width and height of its outline. In adults it is 200 to 385 mm,
the lungs are 120 to 340 mm long, so an error is seen from a factor of about 1.5, and of less in
bodies far from the mean. Air shows an offset of 30 HU, soft tissue one of about 40 downwards and 70
upwards; where all air is padding, or clipped at -1024, soft tissue alone says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcaf.data.ingest.voxels.differences import block_means
from mmcaf.data.volumes import HU_RANGE

__all__ = ["hu_statistics", "is_thorax", "oddities"]

_LUNG_HU = (-950, -500)
_EVERY = 4  # voxels per axis, for statistics
_THORAX = {"hu_p01": (-1024.0, -900.0), "hu_p99": (-900.0, 2000.0), "lung_share": (0.05, 1.0)}

_LOOKED_AT, _LOOKED_AT_MM = (6, 16), 12.0  # slices, and how far apart where that allows it
_BLOCKS = 32  # along a side
_BODY_HU = -500  # at least, or enclosed by it
_AIR_HU, _AIR_OFF = (-1020, -700), 30  # where it is looked for; how far from -1000
_AIR_LEAST = 0.05  # of the picture
_LUNG_LEAST_HU = -940
_BODY_VOXELS_HU, _FAT_PEAK_HU = (-200, 400), (-130, -60)
_SOFT_HU, _SOFT_PEAK_HU = (-20, 140), (10, 110)
_SOFT_LEAST = 0.25  # of what is fat, muscle, organs or blood
_BODY_MM = (200.0, 385.0)
_STACK_MM = 50.0
_LUNG_MM = (120.0, 340.0)
_LUNG_EDGE = 0.3  # of its largest area, where a lung ends
_BEYOND, _BEYOND_MM = 0.15, 20.0  # of its length, and at least, to see that it ends


def is_thorax(facts: Mapping[str, Any]) -> bool:
    """Air around the body, lung within, hardly any metal; else the HU cannot be right."""
    return all(low <= facts[name] <= high for name, (low, high) in _THORAX.items())


def hu_statistics(volume: NDArray[np.int16]) -> dict[str, float]:
    """Percentiles of HU, and the share of voxels that could be lung."""
    some = volume[:: max(1, len(volume) // 64), ::_EVERY, ::_EVERY]
    counts = np.bincount(some.ravel() - HU_RANGE[0])  # faster than `np.percentile`
    upto = np.cumsum(counts)
    p01, p50, p99 = (
        float(np.searchsorted(upto, share * some.size) + HU_RANGE[0]) for share in (0.01, 0.5, 0.99)
    )
    low, high = (of - HU_RANGE[0] for of in _LUNG_HU)
    lung = float(counts[low + 1 : high].sum()) / some.size
    return {"hu_p01": p01, "hu_p50": p50, "hu_p99": p99, "lung_share": round(lung, 4)}


def oddities(
    volume: NDArray[np.int16], pixel_mm: tuple[float, float], z_mm: Sequence[float]
) -> list[str]:
    """The codes of what is odd about a stack.

    Args:
        volume: HU, [slices, rows, columns], foot to head.
        pixel_mm: size of its pixels, y and x.
        z_mm: positions of the slices.
    """
    count = int(np.clip((z_mm[-1] - z_mm[0]) / _LOOKED_AT_MM, *_LOOKED_AT))
    looked_at = np.unique(np.linspace(0, len(volume) - 1, count).round().astype(int))
    means, each = block_means(volume[looked_at], _BLOCKS)
    outlines = [_outline(plane) for plane in means]
    where = np.asarray(z_mm)[looked_at]
    odd = {
        "W_HU_SCALE": not (
            _air_fits(means, outlines) and _lung_fits(means, outlines) and _soft_tissue_fits(volume)
        ),
        "W_BODY_SIZE": not _body_fits(outlines, np.multiply(pixel_mm, each)),
        "W_COVERAGE": not _coverage_fits(outlines, where, z_mm),
    }
    return [code for code, holds in odd.items() if holds]


@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    """Of a slice, in blocks."""

    air: NDArray[np.bool_]  # outside the body
    height: int
    width: int
    lung: NDArray[np.bool_]  # air inside it


def _outline(plane: NDArray[np.float32]) -> _Outline:
    """The largest body in a slice: all that the air at the rim does not reach, less the table."""
    low = (plane < _BODY_HU).astype(np.uint8)
    count, parts = cv2.connectedComponents(low, connectivity=4)
    reaches = np.zeros(count, dtype=bool)
    for rim in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        reaches[rim] = True
    reaches[0] = False
    outside = reaches[parts].astype(np.uint8)
    air = cv2.erode(outside, np.ones((3, 3), np.uint8)) > 0  # without blocks that hold skin
    solid = cv2.morphologyEx(1 - outside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(solid)
    if count < 2:
        return _Outline(air, 0, 0, np.zeros_like(air))
    body = 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())
    width, height = boxes[body, cv2.CC_STAT_WIDTH], boxes[body, cv2.CC_STAT_HEIGHT]
    return _Outline(air, int(height), int(width), (parts == body) & (low > 0))


def _air_fits(means: NDArray[np.float32], outlines: Sequence[_Outline]) -> bool:
    """Air outside the body lies at -1000 HU; padding and what is clipped say nothing."""
    low, high = _AIR_HU
    air = means[np.stack([one.air for one in outlines])]
    air = air[(air > low) & (air < high)]
    if air.size < _AIR_LEAST * means.size:
        return True
    return abs(_peak(air, low, high) + 1000) <= _AIR_OFF


def _lung_fits(means: NDArray[np.float32], outlines: Sequence[_Outline]) -> bool:
    """Lungs hold more than air."""
    lung = means[np.stack([one.lung for one in outlines])]
    return not lung.size or float(np.median(lung)) >= _LUNG_LEAST_HU


def _soft_tissue_fits(volume: NDArray[np.int16]) -> bool:
    """Muscle, blood and organs have their peak at some 45 HU, and are much of the body.

    The highest peak is theirs or that of fat: fat that is scaled to their place does not pass.
    """
    every = max(1, volume.shape[1] // _BLOCKS)
    some = volume[:: max(1, len(volume) // _LOOKED_AT[1]), ::every, ::every]
    low, high = _BODY_VOXELS_HU
    body = some[some > low]
    soft = body[(body > _SOFT_HU[0]) & (body < _SOFT_HU[1])]
    if soft.size < _SOFT_LEAST * body.size or not soft.size:
        return False
    highest, of_soft = _peak(body[body < high], low, high), _peak(soft, *_SOFT_HU)
    is_soft, is_fat = (
        low <= peak <= high
        for peak, (low, high) in ((of_soft, _SOFT_PEAK_HU), (highest, _FAT_PEAK_HU))
    )
    return is_soft and (is_fat or _SOFT_PEAK_HU[0] <= highest <= _SOFT_PEAK_HU[1])


def _peak(values: NDArray[Any], low: int, high: int) -> float:
    """Where values lie densest, to some 10 HU."""
    counts = np.bincount(np.rint(values).astype(np.int64) - low, minlength=high - low + 1)
    smooth = np.convolve(counts, np.hanning(31), mode="same")
    return float(smooth.argmax() + low)


def _body_fits(outlines: Sequence[_Outline], block_mm: NDArray[np.float64]) -> bool:
    """Judged where the lungs are largest: there is the chest, and no arm beside it."""
    chest = sorted(outlines, key=lambda one: -int(one.lung.sum()))[: max(3, len(outlines) // 3)]
    sides = np.median([(one.height, one.width) for one in chest], axis=0) * block_mm
    low, high = _BODY_MM
    return low <= float(np.sqrt(sides.prod())) <= high


def _coverage_fits(
    outlines: Sequence[_Outline], where: NDArray[np.float64], z_mm: Sequence[float]
) -> bool:
    """A lung may end outside the stack; then it may be as short as it likes."""
    if z_mm[-1] - z_mm[0] < _STACK_MM:
        return False
    area = np.array([one.lung.sum() for one in outlines])
    lung = where[area > _LUNG_EDGE * area.max()] if area.any() else where
    length = lung[-1] - lung[0] + (where[-1] - where[0]) / (len(where) - 1)
    below, above = lung[0] - where[0], where[-1] - lung[-1]
    ends = min(below, above) >= max(_BEYOND * length, _BEYOND_MM)
    return bool(length <= _LUNG_MM[1] and (length >= _LUNG_MM[0] or not ends))
