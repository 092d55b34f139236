"""Windows cut from a cached volume: random ones for training, fixed ones for evaluation.

A training window depends on its random generator alone, which is seeded per (seed, epoch, case,
draw): never on the order of cases or on who draws it. All arrays are HU, [slices, rows, columns].
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcaf.config import DataConfig

__all__ = ["AIR_HU", "centre_crop", "cut", "evaluation_starts", "generator", "training_window"]

AIR_HU = -1024
Hu = NDArray[np.float32]

cv2.setNumThreads(0)  # its own threads fight those of torch


def generator(*key: int) -> np.random.Generator:
    """A stream that depends on every part of `key`."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def evaluation_starts(slices: int, depth: int, stride: int) -> tuple[int, ...]:
    """First slices of windows that cover all `slices`, the last flush with the end.

    A series shorter than the window gets one window, padded on both sides.

    >>> evaluation_starts(slices=20, depth=12, stride=6)
    (0, 6, 8)
    >>> evaluation_starts(slices=8, depth=12, stride=6)
    (-2,)
    """
    if slices <= depth:
        return (-((depth - slices) // 2),)
    starts = list(range(0, slices - depth, stride))
    return (*starts, slices - depth)


def cut(volume: NDArray[np.int16], start: int, depth: int) -> Hu:
    """`depth` slices from `start`, which may lie outside: air is put there."""
    window = np.full((depth, *volume.shape[1:]), AIR_HU, dtype=np.float32)
    first, last = max(start, 0), min(start + depth, len(volume))
    if first < last:
        window[first - start : last - start] = volume[first:last]
    return window


def centre_crop(window: Hu, rows: int, columns: int) -> Hu:
    """The middle `rows` x `columns` of every slice."""
    return _crop(window, (window.shape[1] - rows) // 2, (window.shape[2] - columns) // 2, rows)


def training_window(
    volume: NDArray[np.int16],
    lesion: tuple[int, int],
    config: DataConfig,
    random: np.random.Generator,
) -> Hu:
    """A window centred on the lesion give or take, rotated, flipped, sharpened and cropped.

    Args:
        volume: int16 HU, 16 pixels wider than the window in plane.
        lesion: first and last annotated slice.
        config: which augmentations, and how strong.
        random: decides all draws.
    """
    depth, rows, _ = config.window
    jitter = int(random.integers(-config.jitter_slices, config.jitter_slices + 1))
    start = (lesion[0] + lesion[1] + 1) // 2 - depth // 2 + jitter
    if len(volume) > depth:
        start = min(max(start, 0), len(volume) - depth)
    window = cut(volume, start, depth)
    angle = float(random.uniform(-config.rotate_degrees, config.rotate_degrees))
    flip, sharpen = random.random(2) < 0.5
    margin = window.shape[1] - rows
    top, left = (int(corner) for corner in random.integers(0, margin + 1, size=2))
    if angle:
        window = _rotated(window, angle)
    if config.sharpen and sharpen:
        window = _sharpened(window)
    window = _crop(window, top, left, rows)
    return np.ascontiguousarray(window[:, :, ::-1]) if config.flip and flip else window


def _crop(window: Hu, top: int, left: int, side: int) -> Hu:
    return np.ascontiguousarray(window[:, top : top + side, left : left + side])


def _rotated(window: Hu, degrees: float) -> Hu:
    rows, columns = window.shape[1:]
    turn = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, 1.0)
    return np.stack(
        [
            cv2.warpAffine(plane, turn, (columns, rows), borderValue=AIR_HU)  # linear
            for plane in window
        ]
    )


def _sharpened(window: Hu) -> Hu:
    """Unsharp mask: the plane plus half of what a blur takes away."""
    return np.stack([1.5 * plane - 0.5 * cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in window])
