"""A body richer than the phantom: its parts run on from slice to slice, and its sides differ."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Hu = NDArray[np.int16]


@dataclass(frozen=True)
class Stack:
    """A volume as ingestion caches it, and where its slices and pixels are."""

    volume: Hu
    pixel_mm: float
    step_mm: float = 5.0

    @property
    def z_mm(self) -> list[float]:
        return [self.step_mm * z for z in range(len(self.volume))]


def anatomy(seed: int, side: int = 104, slices: int = 60, step_mm: float = 5.0) -> Stack:
    """Fat, muscle, lungs over a liver, a heart to the left, vessels, ribs, a table; off centre."""
    random = np.random.default_rng(seed)
    pixel = 400 / side
    axis = (np.arange(side) - side / 2 + 0.5) * pixel
    y, x = axis[:, None], axis[None] + random.uniform(7, 14)
    wide, deep = random.uniform(150, 180), random.uniform(100, 125)
    vessels = random.uniform(-1, 1, (40, 5))
    planes = []
    for number in range(slices):
        t = number * step_mm / 300  # 0 at the feet's end, 1 some 30 cm above
        planes.append(_plane(x, y, t, wide, deep, vessels))
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 0.6) for plane in planes])
    noisy = blurred + random.normal(0, 12, blurred.shape)
    return Stack(np.clip(np.rint(noisy), -1024, 3071).astype(np.int16), pixel, step_mm)


def _plane(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    t: float,
    wide: float,
    deep: float,
    vessels: NDArray[np.float64],
) -> NDArray[np.float32]:
    hu = np.full(np.broadcast_shapes(x.shape, y.shape), -1000.0, dtype=np.float32)
    grown = 1 + 0.12 * np.sin(3 * t) - 0.25 * max(t - 0.8, 0)
    outline = (x / (wide * grown)) ** 2 + (y / (deep * grown)) ** 2
    hu[(np.abs(y - deep * 1.15) < 6) & (np.abs(x) < 190)] = -300  # table
    hu[outline < 1] = -100  # fat
    hu[outline < 0.86] = 50  # muscle
    for side in (-1, 1):  # the liver's dome stands higher under the right lung
        height = np.clip((t - 0.05 - 0.08 * (side < 0)) / 0.3, 0, 1) ** 0.5
        reach = min(1.0, 3.5 * max(1.02 - t, 0.0)) * height
        lung = ((x - side * 0.47 * wide) / (0.36 * wide)) ** 2 + (y / (0.72 * deep)) ** 2
        hu[lung < reach**2] = -850
    gas = ((x - 75) / 40) ** 2 + ((y + 45) / 25) ** 2
    hu[gas < 1 - t / 0.25] = -700  # in the stomach
    for a, b, c, d, size in vessels:
        at_x, at_y = wide * (0.75 * a + 0.25 * c * t), deep * (0.6 * b + 0.4 * d * t)
        tube = (x - at_x) ** 2 + (y - at_y) ** 2 < (6 + 3 * size) ** 2
        hu[tube & (hu < -700)] = 30
    heart = ((x - 28) / (52 + 10 * np.sin(5 * t))) ** 2 + ((y + 22) / 44) ** 2
    hu[heart < 1.2 - 4 * (t - 0.4) ** 2] = 60
    hu[x**2 + (y - 0.62 * deep) ** 2 < 16**2] = 300  # spine
    for rib in range(6):
        angle = 2 * np.pi * (rib / 6 + 0.8 * t)
        at_x, at_y = 0.86 * wide * np.cos(angle), 0.86 * deep * np.sin(angle)
        hu[(x - at_x) ** 2 + (y - at_y) ** 2 < 8**2] = 400
    return hu
