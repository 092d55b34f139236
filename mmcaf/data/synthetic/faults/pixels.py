"""Faults that no header tells: slices that their neighbours, or what a chest is, contradict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from mmcaf.data.synthetic.faults.victim import Victim, fault, setting

__all__: list[str] = []

Stored = NDArray[np.int32]
_SOFT_FROM = 800  # stored values of soft tissue begin here, whether signed or not


def _repainting(paint: Callable[[Stored], Stored]) -> Callable[[Any], None]:
    """A change of the pixels alone."""

    def change(slice_: Any) -> None:
        pixels = slice_.pixel_array
        highest = 2 ** int(slice_.BitsStored) // (2 if slice_.PixelRepresentation else 1) - 1
        painted = np.clip(paint(pixels.astype(np.int32)), 0, highest)
        slice_.PixelData = painted.astype(pixels.dtype).tobytes()

    return change


def _showing(of: Victim, number: int) -> Callable[[Any], None]:
    """A change that puts another slice's pixels in place."""
    pixels = dcmread(of.slices[number]).PixelData
    return setting(PixelData=pixels)


@fault("W_SLICE_OFFSET")
def _a_slice_is_too_bright(of: Victim) -> None:
    of.edit(_repainting(lambda stored: stored + 50), 6)


@fault("W_SLICE_OFFSET")
def _half_a_stack_is_too_bright(of: Victim) -> None:
    of.edit(_repainting(lambda stored: stored + 1024), *range(7, len(of.slices)))


@fault("W_SLICE_SHIFT")
def _a_slice_is_shifted(of: Victim) -> None:
    of.edit(_repainting(lambda stored: np.roll(stored, 1, axis=1)), 6)


@fault("W_SLICE_FOREIGN")
def _a_slice_lies_on_its_side(of: Victim) -> None:
    of.edit(_repainting(np.transpose), 6)


@fault("W_SLICE_ORDER")
def _the_pixels_of_two_slices_are_exchanged(of: Victim) -> None:
    first, second = _showing(of, 2), _showing(of, 1)
    of.edit(first, 1)
    of.edit(second, 2)


@fault("W_SLICE_DOUBLE")
def _the_pixels_of_a_slice_stand_twice(of: Victim) -> None:
    of.edit(_showing(of, 6), 7)


@fault("W_SLICE_NOISE")
def _a_slice_is_noisy(of: Victim) -> None:
    random = np.random.default_rng(0)

    def noisy(stored: Stored) -> Stored:
        noise = np.rint(random.normal(0, 150, stored.shape)).astype(np.int32)
        return stored + noise * (stored > _SOFT_FROM)

    of.edit(_repainting(noisy), 6)


@fault("W_INTERLEAVED")
def _every_second_slice_is_of_another_phase(of: Victim) -> None:
    def enhanced(stored: Stored) -> Stored:
        return stored + 60 * (stored > _SOFT_FROM)

    of.edit(_repainting(enhanced), *range(1, len(of.slices), 2))


@fault("W_HU_SCALE")
def _an_intercept_of_another_rule(of: Victim) -> None:
    of.edit(setting(RescaleIntercept=-974))


@fault("W_BODY_SIZE")
def _pixels_of_half_their_size(of: Victim) -> None:
    def halved(slice_: Any) -> None:
        slice_.PixelSpacing = [float(mm) / 2 for mm in slice_.PixelSpacing]

    of.edit(halved)


@fault("W_COVERAGE")
def _slices_half_as_far_apart(of: Victim) -> None:
    def halved(slice_: Any) -> None:
        x, y, z = slice_.ImagePositionPatient
        slice_.ImagePositionPatient = [x, y, float(z) / 2]

    of.edit(halved)
