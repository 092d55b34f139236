"""Stored integers -> Hounsfield units: rescaled, padding as air, foreign bits dropped.

A value may be stored in fewer bits than it has room for (12 of 16). What the other bits hold is not
part of it: nothing, its sign, an overlay, or the padding that was written in all 16 bits although
the header speaks of 12 (63536, which is -2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AIR_HU", "MAX_HU", "Plane", "StoredValues", "hounsfield"]

AIR_HU, MAX_HU = -1024, 3071


@dataclass(frozen=True, slots=True)
class StoredValues:
    """What a header says of a slice's stored values."""

    bits_allocated: int  # 8 or 16
    bits_stored: int
    signed: bool
    slope: float
    intercept: float
    padding: int | None = None  # PixelPaddingValue, however its sign is written
    padding_limit: int | None = None  # PixelPaddingRangeLimit
    overlay_bits: int = 0  # mask of the bits that an overlay is declared to lie in
    whole: bool = True  # False where a decoder gives the stored bits only

    def padding_hu(self) -> tuple[float, float] | None:
        """Lowest and highest HU of what is declared as padding; None without any."""
        if self.padding is None:
            return None
        low, high = self._ends(fitting=self._padding_fits())
        return low * self.slope + self.intercept, high * self.slope + self.intercept

    def _padding_fits(self) -> bool:
        """Whether the padding is a value of the stored bits; else it was written in all bits."""
        return all(self._fits(end) for end in self._declared())

    def _declared(self) -> tuple[int, int]:
        first = 0 if self.padding is None else self.padding
        return first, first if self.padding_limit is None else self.padding_limit

    def _fits(self, value: int) -> bool:
        unused = self.bits_allocated - self.bits_stored
        top = (value % 2**self.bits_allocated) >> self.bits_stored
        return top == 0 or (self.signed and top == 2**unused - 1)

    def _ends(self, *, fitting: bool) -> tuple[int, int]:
        """The range of padding: of the stored bits, or else as signed numbers of all bits."""
        bits = self.bits_stored if fitting else self.bits_allocated
        signed = self.signed or not fitting
        low, high = sorted(_read_as(end, bits, signed=signed) for end in self._declared())
        return low, high


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A slice in Hounsfield units."""

    hu: NDArray[np.int16]  # [rows, columns]
    foreign_bits: bool  # unused bits hold something that no header explains


def hounsfield(stored: NDArray[Any], of: StoredValues) -> Plane:
    """Stored values, [rows, columns] of 8- or 16-bit integers, as HU from -1024 to 3071.

    Padding is air, in whichever bits it was written. Bits beyond the stored ones are dropped.
    """
    native = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("="))
    unused = of.bits_allocated - of.bits_stored
    used = np.right_shift(np.left_shift(native, unused), unused) if unused else native
    padding = _padding(native, used, of)
    foreign = _foreign(native, used, of, padding) if unused else None
    if foreign is not None and _is_unsaid_padding(native, foreign, of):
        padding = foreign if padding is None else padding | foreign
    if of.slope == 1 and float(of.intercept).is_integer():
        hu = used.astype(np.int32) + int(of.intercept)
    else:
        hu = np.rint(used.astype(np.float64) * of.slope + of.intercept)
    if padding is not None:
        hu[padding] = AIR_HU  # before any resampling could smear it
    clipped = np.clip(hu, AIR_HU, MAX_HU, out=hu).astype(np.int16)
    return Plane(clipped, foreign_bits=foreign is not None)


def _read_as(value: int, bits: int, *, signed: bool) -> int:
    """The number that the lowest `bits` of `value` are.

    >>> _read_as(63536, 16, signed=True)
    -2000
    """
    pattern: int = value % 2**bits
    return pattern - 2**bits if signed and pattern >= 2 ** (bits - 1) else pattern


def _padding(
    native: NDArray[Any], used: NDArray[Any], of: StoredValues
) -> NDArray[np.bool_] | None:
    if of.padding is None:
        return None
    if of._padding_fits():
        return _between(used, of._ends(fitting=True))
    whole = native.view(f"i{native.dtype.itemsize}")
    found = _between(whole, of._ends(fitting=False))
    if not found.any():  # its high bits may have been cut off; what lies in a corner is no bone
        low, high = of._ends(fitting=True)
        first, last = of._ends(fitting=False)
        cut = _between(used, (low, high))
        if high - low == last - first and _in_a_corner(cut):
            return cut
    return found


def _between(values: NDArray[Any], ends: tuple[int, int]) -> NDArray[np.bool_]:
    low, high = ends
    if low == high:
        return np.asarray(values == low)
    return np.asarray((values >= low) & (values <= high))


def _in_a_corner(mask: NDArray[np.bool_]) -> bool:
    return bool(mask[[0, 0, -1, -1], [0, -1, 0, -1]].any())


def _foreign(
    native: NDArray[Any],
    used: NDArray[Any],
    of: StoredValues,
    padding: NDArray[np.bool_] | None,
) -> NDArray[np.bool_] | None:
    """Where unused bits hold neither nothing, the sign, padding nor a declared overlay."""
    unsigned = f"u{native.dtype.itemsize}"
    rest = native.view(unsigned) ^ used.view(unsigned)
    if of.overlay_bits:
        rest &= np.array(2**of.bits_allocated - 1 - of.overlay_bits, dtype=unsigned)
    if not of.whole or not rest.any():
        return None
    foreign = rest != 0
    if padding is not None:
        foreign &= ~padding
    return foreign if foreign.any() else None


def _is_unsaid_padding(native: NDArray[Any], foreign: NDArray[np.bool_], of: StoredValues) -> bool:
    """One negative number, written in all bits of unsigned values, in a corner: 63536, unsaid."""
    values = native[foreign]
    first = int(values[0])
    return (
        not of.signed
        and not foreign.all()
        and bool((values == first).all())
        and first >> of.bits_stored == 2 ** (of.bits_allocated - of.bits_stored) - 1
        and _in_a_corner(foreign)
    )
