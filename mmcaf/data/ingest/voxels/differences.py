"""How the slices of a stack differ from each other: the one measure `neighbours` judges by.

Two slices are compared as means over some 32 x 32 blocks, and their difference is read in three
ways: its level (HU), the shift in the plane that explains it best (mm), and its size (HU).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["REACH", "Differences", "block_means", "differences", "size_of"]

REACH = 5  # slices apart, up to which every two are compared
_BLOCKS = 32  # along a side
_TISSUE_HU = -500  # at least, in one of two blocks
_AIR_HU = (-1020, -900)  # one of two blocks above the first, one below the second
_SHOWN_HU = (-1000, 150)  # metal and contrast agent do not decide how alike slices are
_FEWEST = 30  # blocks, to say where their differences lie
_NOISE_ROWS = 16

Floats = NDArray[np.float64]
Planes = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """Of a stack of n slices; a step leads from a slice to the next one, so there are n - 1."""

    planes: Planes  # block means as they are compared, [slices, rows, columns]
    air_hu: tuple[Floats, Floats]  # per step: level in air, and the spread of half the blocks
    tissue_hu: tuple[Floats, Floats]  # the same in tissue
    shift_mm: Floats  # per step: along rows and columns, [steps, 2]
    apart: tuple[Floats, ...]  # apart[k][i]: size between slices i and i + k, k from 1 to REACH
    mirrored: Floats  # per step: size, were the second slice mirrored, left to right or up to down
    noise: Floats  # per slice: median difference of pixels side by side in tissue; may be NaN


def differences(volume: NDArray[np.int16], pixel_mm: tuple[float, float]) -> Differences:
    """Compare the slices of a volume, [slices, rows, columns], whose pixels measure y, x mm."""
    means, each = block_means(volume, _BLOCKS)
    below, above = means[:-1], means[1:]
    step, high, low = above - below, np.maximum(below, above), np.minimum(below, above)
    planes = np.clip(means, *_SHOWN_HU)
    return Differences(
        planes=planes,
        air_hu=_level(step, _is_air(low, high)),
        tissue_hu=_level(step, high > _TISSUE_HU),
        shift_mm=_shift(planes) * np.multiply(pixel_mm[::-1], each),
        apart=tuple(
            size_of(planes[k:], planes[: max(len(planes) - k, 0)]) for k in range(REACH + 1)
        ),
        mirrored=np.minimum(
            size_of(planes[1:], planes[:-1, :, ::-1]), size_of(planes[1:], planes[:-1, ::-1])
        ),
        noise=_noise(volume),
    )


def block_means(volume: NDArray[np.int16], about: int) -> tuple[Planes, int]:
    """Means over square blocks, at least `about` along a side where there are as many pixels.

    Returns:
        The means, and how many pixels a block has along its side; a rest at the rim is left out.
    """
    side = volume.shape[1]
    each = max(1, side // about)
    count = side // each
    rim = (side - count * each) // 2
    inner = volume[:, rim : rim + count * each, rim : rim + count * each]
    if each == 1:
        return inner.astype(np.float32), 1
    means = np.empty((len(volume), count, count), dtype=np.float32)
    for z, plane in enumerate(inner):
        means[z] = cv2.resize(plane, (count, count), interpolation=cv2.INTER_AREA)
    return means, each


def size_of(some: Planes, others: Planes) -> Floats:
    """Root of the mean square of each difference, HU."""
    apart = some - others
    squares = np.einsum("nij,nij->n", apart, apart, dtype=np.float64)
    return np.asarray(np.sqrt(squares / apart[0].size if len(apart) else squares))


def _is_air(low: Planes, high: Planes) -> NDArray[np.bool_]:
    """Blocks of air, not padding, with air all around: at the skin a block holds both."""
    around = np.stack([cv2.dilate(plane, np.ones((3, 3), np.uint8)) for plane in low])
    return np.asarray((around < _AIR_HU[1]) & (high > _AIR_HU[0]))


def _level(step: Planes, among: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Where the differences among some blocks lie densest, and how densely; 0 where there are few.

    The shortest interval that holds half of them says how densely; the mean of those near it says
    where: what an edge or a vessel adds lies far from it.
    """
    flat, inside = step.reshape(len(step), -1), among.reshape(len(step), -1)
    count = inside.sum(axis=1)
    most = max(int(count.max()), 1)
    ordered = np.sort(np.where(inside, flat, np.float32(np.inf)), axis=1)[:, :most]
    end = np.arange(most) + (count // 2)[:, None]
    upper = np.take_along_axis(ordered, np.minimum(end, most - 1), axis=1)
    with np.errstate(invalid="ignore"):  # infinity less infinity, where there are no blocks
        width = np.where(end < count[:, None], upper - ordered, np.float32(np.inf))
    first = width.argmin(axis=1)[:, None]
    shortest = np.take_along_axis(width, first, axis=1)
    middle = np.take_along_axis(ordered, first, axis=1) + shortest / 2
    enough = count >= _FEWEST
    shortest, middle = (np.where(enough[:, None], of, 0) for of in (shortest, middle))
    near = inside & (np.abs(flat - middle) <= np.maximum(shortest, 1))
    level = np.where(near, flat, 0).sum(axis=1, dtype=np.float64) / np.maximum(near.sum(axis=1), 1)
    return np.asarray(np.where(enough, level, 0.0)), shortest[:, 0].astype(np.float64)


def _shift(planes: Planes) -> Floats:
    """Per step, how far the picture moves along rows and columns, in blocks, by least squares.

    The difference of two pictures is the gradient times the move, while it is shorter than a block;
    a longer one comes out too short, but not short.
    """
    soft = np.stack([cv2.GaussianBlur(plane, (3, 3), 0) for plane in planes])
    both, step = soft[1:] + soft[:-1], (soft[1:] - soft[:-1])[:, 1:-1, 1:-1]
    along_x = (both[:, 1:-1, 2:] - both[:, 1:-1, :-2]) / 4
    along_y = (both[:, 2:, 1:-1] - both[:, :-2, 1:-1]) / 4

    def total(one: Planes, other: Planes) -> Floats:
        return np.asarray(np.einsum("nij,nij->n", one, other, dtype=np.float64))

    xx, xy, yy = total(along_x, along_x), total(along_x, along_y), total(along_y, along_y)
    x, y = -total(along_x, step), -total(along_y, step)
    area = xx * yy - xy * xy
    flat = area < 1e-6 * (xx * yy) + 1.0  # no edges, or all of one direction
    moved = np.stack([yy * x - xy * y, xx * y - xy * x], axis=1) / np.where(flat, 1, area)[:, None]
    return np.asarray(np.where(flat[:, None], 0.0, moved))


def _noise(volume: NDArray[np.int16]) -> Floats:
    rows = volume[:, :: max(1, volume.shape[1] // _NOISE_ROWS)]
    left, right = rows[:, :, :-1], rows[:, :, 1:]
    tissue = (np.minimum(left, right) > _TISSUE_HU).reshape(len(volume), -1)
    apart = np.abs(right - left).reshape(len(volume), -1)
    count = tissue.sum(axis=1)
    ordered = np.sort(np.where(tissue, apart, np.iinfo(np.int16).max), axis=1)
    middle = np.take_along_axis(ordered, (count // 2)[:, None] % ordered.shape[1], axis=1)[:, 0]
    return np.asarray(np.where(count >= _FEWEST, middle, np.nan), dtype=np.float64)
