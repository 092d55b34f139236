"""Whether the slices of a stack mean the same by their stored values, and mean what is usual.

A header that changed on some slices, or says of itself what its own positions contradict, may be
right; but nobody can tell from it any more. Such stacks are kept, each with a code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from mmcaf.data.ingest.values.stored import AIR_HU, MAX_HU, StoredValues

__all__ = ["meaning_flags"]

# (signed, intercept) as scanners write them, with slope 1; anything else is rare enough to be told.
_USUAL = {
    (False, -1024.0): "Philips, Siemens, Canon: HU + 1024 in 12 bits",
    (True, -1024.0): "GE: HU + 1024, padding of -2000",
    (True, 0.0): "HU themselves: Canon, and most programs that write anew",
    (False, -8192.0): "Siemens, extended CT scale: HU + 8192 in 16 bits",
}
_NEAR = 0.05  # relative; slices counted apart by one would differ by far more
_NEAR_MM = 0.02  # rounding of what is written
_MOST_OVERLAP = 0.3  # least distance of reconstructed slices, in thicknesses
_FIELD_NEAR = 0.02  # relative; diameters are rounded to millimetres
_SQUARE = 1e-3
_STORED = ("bits_allocated", "bits_stored", "slope", "intercept", "padding", "padding_limit")
_TOLD = [
    *_STORED,
    *("rescale_type", "pixel_representation", "photometric", "lossy"),
    *("thickness_mm", "between_mm", "diameter_mm"),
]

_Values = dict[str, Any]  # column -> value


def meaning_flags(slices: pl.DataFrame) -> tuple[str, ...]:
    """Codes of what differs between the slices of one stack, or is unusual in all of them.

    Args:
        slices: columns of `HEADER` of usable slices, in the order of their positions.
    """
    first = slices.row(0, named=True)
    kinds = [
        dict(zip(_TOLD, values, strict=True))
        for values in dict.fromkeys(slices.select(_TOLD).iter_rows())
    ]
    flags = {
        "W_RESCALE_VARIES": _varies(kinds, "slope", "intercept", "rescale_type"),
        "W_RESCALE_UNUSUAL": any(_is_unusual(kind) for kind in kinds),
        "W_BITS_VARY": _varies(
            kinds, "bits_allocated", "bits_stored", "pixel_representation", "photometric"
        ),
        "W_PADDING_VARIES": _varies(kinds, "padding", "padding_limit"),
        "W_PADDING_HU": any(_pads_tissue(kind) for kind in kinds),
        "W_LOSSY": any(kind["lossy"] for kind in kinds),
        "W_SPACING": _varies(kinds, "thickness_mm", "between_mm") or _contradicts(first, slices),
        "W_FIELD": _varies(kinds, "diameter_mm") or _has_odd_field(first),
    }
    return tuple(code for code, holds in flags.items() if holds)


def _varies(kinds: Sequence[_Values], *columns: str) -> bool:
    return len({tuple(kind[name] for name in columns) for kind in kinds}) > 1


def _is_unusual(kind: _Values) -> bool:
    return (
        kind["slope"] != 1
        or (kind["pixel_representation"] == 1, kind["intercept"]) not in _USUAL
        or (kind["rescale_type"] or "").strip().upper() == "US"
    )


def _pads_tissue(kind: _Values) -> bool:
    stored = {name: kind[name] for name in _STORED}
    declared = StoredValues(**stored, signed=kind["pixel_representation"] == 1).padding_hu()
    return declared is not None and declared[1] > AIR_HU and declared[0] <= MAX_HU


def _contradicts(first: _Values, slices: pl.DataFrame) -> bool:
    """Whether what is written of distances is not what the positions say."""
    if slices.height < 2:
        return False
    normal = np.cross(*np.array(first["orientation"]).reshape(2, 3))
    gaps = np.abs(np.diff(np.array(slices["position_mm"].to_list()) @ normal))
    distance = float(np.median(gaps))
    slack = _NEAR * distance + _NEAR_MM
    thickness, between = first["thickness_mm"], abs(first["between_mm"] or 0)
    if between and abs(between - distance) > slack:
        return True
    return bool(thickness) and not _MOST_OVERLAP * thickness <= distance <= thickness + slack


def _has_odd_field(first: _Values) -> bool:
    across, down = first["spacing_x_mm"], first["spacing_y_mm"]
    if abs(across - down) > _SQUARE * down or first["rows"] != first["columns"]:
        return True
    field = first["diameter_mm"]
    return bool(field) and abs(across * first["columns"] - field) > _FIELD_NEAR * field
