"""Windows cut from a cached volume: random ones for training, fixed ones for evaluation.

A training window depends on its random stream alone, which is keyed by (seed, epoch, case, draw):
never on the order of cases or on who draws it. The seed differs between folds. Every draw is made
whether or not its augmentation is on, so switching one off leaves the others as they were. All
arrays are HU, [slices, rows, columns]; what lies outside a volume is air.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcaf.config import DataConfig

__all__ = [
    "AIR_HU",
    "centre_crop",
    "centred_start",
    "cut",
    "evaluation_starts",
    "stream",
    "training_window",
]

AIR_HU = -1024
Hu = NDArray[np.float32]

cv2.setNumThreads(0)  # its own threads fight those of torch


def stream(*key: int | str) -> np.random.Generator:
    """Random numbers that depend on every part of `key` and on nothing else.

    >>> bool(stream(0, 1).integers(2**60) == stream(0, 1).integers(2**60))
    True
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def evaluation_starts(n_slices: int, depth: int, stride: int) -> tuple[int, ...]:
    """First slices of windows that cover all slices, the last one flush with the end.

    A series shorter than the window gets one window, padded on both sides.

    >>> evaluation_starts(20, depth=12, stride=6)
    (0, 6, 8)
    >>> evaluation_starts(8, depth=12, stride=6)
    (-2,)
    """
    if n_slices <= depth:
        return (-((depth - n_slices) // 2),)
    return (*range(0, n_slices - depth, stride), n_slices - depth)


def centred_start(lesion: tuple[int, int], n_slices: int, depth: int) -> int:
    """First slice of the window around the middle of `lesion`, kept inside the volume.

    Where the volume is shorter than the window it lies in the middle, as in `evaluation_starts`.
    """
    if n_slices <= depth:
        return evaluation_starts(n_slices, depth, 1)[0]
    return min(max(_middle(lesion) - depth // 2, 0), n_slices - depth)


def cut(volume: NDArray[np.int16], start: int, depth: int) -> Hu:
    """`depth` slices from `start`, which may lie outside: air is put there."""
    window = np.full((depth, *volume.shape[1:]), AIR_HU, dtype=np.float32)
    first, last = max(start, 0), min(start + depth, len(volume))
    if first < last:
        window[first - start : last - start] = volume[first:last]
    return window


def centre_crop(window: Hu, side: int) -> Hu:
    """The middle `side` x `side` pixels of every slice."""
    return _crop(window, (window.shape[1] - side) // 2, (window.shape[2] - side) // 2, side)


def training_window(
    volume: NDArray[np.int16],
    lesion: tuple[int, int],
    config: DataConfig,
    random: np.random.Generator,
) -> Hu:
    """A window around the lesion: shifted, rotated, sharpened, cropped, mirrored.

    Args:
        volume: int16 HU; as wide as the window or wider, the surplus is room for crop jitter.
        lesion: first and last annotated slice; its middle slice is in the window however far
            the jitter goes.
        config: which augmentations, and how strong.
        random: decides all draws, see `stream`.
    """
    depth, side, _ = config.window
    shift = int(random.integers(-config.jitter_slices, config.jitter_slices + 1))
    angle = float(random.uniform(-config.rotate_degrees, config.rotate_degrees))
    sharpen, mirror = random.random(2) < 0.5
    room = (volume.shape[1] - side, volume.shape[2] - side)
    top, left = (int(random.integers(0, surplus + 1)) for surplus in room)
    window = cut(volume, _shifted_start(lesion, len(volume), depth, shift), depth)
    if angle:
        window = _rotated(window, angle)
    if config.sharpen and sharpen:
        window = _sharpened(window)
    window = _crop(window, top, left, side)
    return np.ascontiguousarray(window[:, :, ::-1]) if config.flip and mirror else window


def _middle(lesion: tuple[int, int]) -> int:
    return (lesion[0] + lesion[1] + 1) // 2


def _shifted_start(lesion: tuple[int, int], n_slices: int, depth: int, shift: int) -> int:
    middle = _middle(lesion)
    start = min(max(middle - depth // 2 + shift, middle - depth + 1), middle)
    # No more air than needed: a long volume fills the window, a short one lies wholly inside.
    spare = n_slices - depth
    return min(max(start, min(spare, 0)), max(spare, 0))


def _crop(window: Hu, top: int, left: int, side: int) -> Hu:
    return np.ascontiguousarray(window[:, top : top + side, left : left + side])


def _rotated(window: Hu, degrees: float) -> Hu:
    """About the middle of each slice, linear interpolation, air at the corners."""
    rows, columns = window.shape[1:]
    turn = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, 1.0)
    turned = [cv2.warpAffine(plane, turn, (columns, rows), borderValue=AIR_HU) for plane in window]
    return np.stack(turned)


def _sharpened(window: Hu) -> Hu:
    """Unsharp mask: each slice plus half of what a blur of one pixel takes away."""
    return np.stack([1.5 * plane - 0.5 * cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in window])
