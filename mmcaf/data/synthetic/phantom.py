"""A CT phantom of a thorax with one lesion, drawn from a case's latents, and nothing else of them.

An elliptic body with lungs, mediastinum, spine and vessels; a lobulated lesion whose diameter,
distance from the midline, solidity and cavity are the image latents; blur and noise.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FIELD_OF_VIEW_MM", "SLICE_MM", "draw_phantom"]

FIELD_OF_VIEW_MM = 360.0
SLICE_MM = 5.0


def draw_phantom(
    case: Mapping[str, float], size: int, slices: int, random: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """HU and lesion mask, [slices, rows, columns], foot to head."""
    pixel = FIELD_OF_VIEW_MM / size
    axis = (np.arange(size) - size / 2 + 0.5) * pixel
    z = (np.arange(slices) - slices / 2 + 0.5) * SLICE_MM
    y, x = axis[None, :, None], axis[None, None, :]
    length = slices * SLICE_MM
    taper = (1 - 0.25 * (z / (length / 2)) ** 2)[:, None, None]
    hu = np.full((slices, size, size), -1000.0, dtype=np.float32)
    hu[(x / (165 * taper)) ** 2 + (y / (115 * taper)) ** 2 < 1] = 40
    for side in (-1, 1):
        hu[((x - side * 75) / (58 * taper)) ** 2 + (y / (82 * taper)) ** 2 < 1] = -860
    fixed = np.ones_like(taper, dtype=bool)
    hu[((x / 22) ** 2 + ((y + 5) / 40) ** 2 < 1) & fixed] = 45  # mediastinum
    hu[(x**2 + (y - 80) ** 2 < 15**2) & fixed] = 350  # spine
    hu[(random.random(hu.shape) < 0.006) & (hu < -800)] = -100  # vessels
    diameter = float(np.clip(np.exp(case["ln_diameter_mm"]), 10, 110))
    lateral = float(np.clip(case["lateral_px"], 15, 140)) / 512 * FIELD_OF_VIEW_MM
    side = 1 if random.random() < 0.5 else -1
    cz, cy = random.uniform(-0.3, 0.3) * length, random.uniform(-30, 30)
    radius = np.sqrt((z[:, None, None] - cz) ** 2 + (y - cy) ** 2 + (x - side * lateral) ** 2)
    texture = random.normal(size=hu.shape).astype(np.float32)
    texture = np.stack([cv2.GaussianBlur(plane, (0, 0), 2.0) for plane in texture])
    texture /= texture.std()
    radius = radius * (1 + 0.08 * texture)  # lobulated margin
    lesion = radius < diameter / 2
    solid = 1 / (1 + np.exp(-1.5 * case["solidity"]))
    inside = solid * (30 + 15 * texture) + (1 - solid) * (-450 + 80 * texture)
    hu = np.where(lesion, np.maximum(hu, inside), hu).astype(np.float32)
    if case["solidity"] > 1.2 and diameter > 35:
        hu[radius < diameter / 8] = -950  # cavity
    hu = np.stack([cv2.GaussianBlur(plane, (0, 0), 0.5) for plane in hu])
    noisy = hu + random.normal(0, 18, hu.shape)
    return np.clip(np.rint(noisy), -1024, 3000).astype(np.int16), lesion
