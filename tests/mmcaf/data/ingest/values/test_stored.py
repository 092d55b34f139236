"""Stored integers as HU: exact, and air where padding is, in whichever bits it was written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmcaf.data.ingest.values.stored import AIR_HU, MAX_HU, StoredValues, hounsfield

SIDE = 32
UNSIGNED_12 = {"bits_stored": 12, "signed": False, "intercept": -1024.0}
SIGNED_12 = {"bits_stored": 12, "signed": True, "intercept": 0.0}
SIGNED_16 = {"bits_stored": 16, "signed": True, "intercept": 0.0}
UNSIGNED_16 = {"bits_stored": 16, "signed": False, "intercept": -1024.0}
OUTSIDE = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2)) > SIDE / 2
MINUS_2000 = 63536  # in 16 bits
CUT_TO_12 = MINUS_2000 % 2**12


def how(kind: dict[str, Any], **more: Any) -> StoredValues:
    return StoredValues(**({"bits_allocated": 16, "slope": 1.0} | kind | more))


def true_hu() -> NDArray[np.int16]:
    """Air, lung, tissue and bone, each value once or more."""
    hu = np.linspace(-1000, 1000, SIDE * SIDE).astype(np.int16).reshape(SIDE, SIDE)
    hu[16, 16] = CUT_TO_12 - 1024  # bone that looks like padding without its high bits
    hu[16, 17:21] = (-1024, 1023, -1, 0)
    return hu


def stored_as(kind: dict[str, Any], hu: NDArray[np.int16]) -> NDArray[Any]:
    raw = hu.astype(np.int32) - int(kind["intercept"])
    return raw.astype("<i2" if kind["signed"] else "<u2")


@pytest.mark.parametrize("kind", [UNSIGNED_12, SIGNED_16, UNSIGNED_16])
def test_hu_are_exact_in_every_representation(kind: dict[str, Any]) -> None:
    plane = hounsfield(stored_as(kind, true_hu()), how(kind))
    assert np.array_equal(plane.hu, true_hu())
    assert not plane.foreign_bits


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("intercept", [-1024.0, -1000.5])
def test_any_slope_is_rounded_and_clipped(slope: float, intercept: float) -> None:
    raw = np.array([[0, 1, 1101, 4095]], dtype="<u2")
    found = hounsfield(raw, how(UNSIGNED_12, slope=slope, intercept=intercept)).hu
    assert np.array_equal(found, np.clip(np.rint(raw * slope + intercept), AIR_HU, MAX_HU))


@pytest.mark.parametrize(
    ("kind", "in_pixels", "declared"),
    [
        (UNSIGNED_12, MINUS_2000, MINUS_2000),  # case 06
        (UNSIGNED_12, MINUS_2000, -2000),  # written as SS
        (UNSIGNED_12, CUT_TO_12, MINUS_2000),  # the pixels lost their high bits
        (UNSIGNED_12, CUT_TO_12, -2000),
        (UNSIGNED_12, 0, 0),
        (SIGNED_12, -2000, -2000),  # the sign is in the unused bits
        (SIGNED_12, -2000, MINUS_2000),
        (SIGNED_12, -2000, CUT_TO_12),
        (SIGNED_12, CUT_TO_12, -2000),  # the sign is cut off
        (SIGNED_16, -2000, MINUS_2000),
        (SIGNED_16, -2000, -2000),
        (UNSIGNED_16, MINUS_2000, -2000),
        (UNSIGNED_16, MINUS_2000, MINUS_2000),
    ],
)
def test_padding_is_air_in_whichever_bits_it_is_written(
    kind: dict[str, Any], in_pixels: int, declared: int
) -> None:
    raw, true = stored_as(kind, np.clip(true_hu(), -1024, 1000)), true_hu().clip(-1024, 1000)
    raw[OUTSIDE], true[OUTSIDE] = in_pixels, AIR_HU
    plane = hounsfield(raw, how(kind, padding=declared))
    assert np.array_equal(plane.hu, true)


@pytest.mark.parametrize("declared", [MINUS_2000, -2000])
def test_bone_is_no_padding_that_lost_its_high_bits(declared: int) -> None:
    raw = stored_as(UNSIGNED_12, true_hu())
    raw[OUTSIDE] = MINUS_2000
    hu = hounsfield(raw, how(UNSIGNED_12, padding=declared)).hu
    assert hu[16, 16] == CUT_TO_12 - 1024
    inside = stored_as(UNSIGNED_12, true_hu())  # no padding in this slice at all
    assert np.array_equal(hounsfield(inside, how(UNSIGNED_12, padding=declared)).hu, true_hu())


@pytest.mark.parametrize(
    ("ends", "within"),
    [
        ((MINUS_2000, MINUS_2000 + 20), (MINUS_2000, MINUS_2000 + 7)),
        ((-1980, -2000), (MINUS_2000, MINUS_2000 + 20)),
        ((-2000, 0), (MINUS_2000, 0)),  # over the sign: not all that lies between as unsigned
        ((0, 5), (0, 5)),
    ],
)
def test_a_range_of_padding_is_air(ends: tuple[int, int], within: tuple[int, int]) -> None:
    raw, true = stored_as(UNSIGNED_12, true_hu()), true_hu()
    for number, value in enumerate(within):
        raw[number, :4], true[number, :4] = value, AIR_HU
    plane = hounsfield(raw, how(UNSIGNED_12, padding=ends[0], padding_limit=ends[1]))
    assert np.array_equal(plane.hu, true)


def test_padding_that_nothing_declares_is_air_and_told() -> None:
    raw, true = stored_as(UNSIGNED_12, true_hu()), true_hu()
    raw[OUTSIDE], true[OUTSIDE] = MINUS_2000, AIR_HU
    for padding in (None, 0):  # or something else is declared
        plane = hounsfield(raw, how(UNSIGNED_12, padding=padding))
        assert np.array_equal(plane.hu, true)
        assert plane.foreign_bits


@pytest.mark.parametrize("bit", [12, 13, 15])
def test_an_overlay_in_unused_bits_is_dropped(bit: int) -> None:
    raw = stored_as(UNSIGNED_12, true_hu())
    raw[2:9, 4:20] |= 1 << bit
    declared = hounsfield(raw, how(UNSIGNED_12, overlay_bits=1 << bit))
    unsaid = hounsfield(raw, how(UNSIGNED_12))
    assert np.array_equal(declared.hu, true_hu())
    assert np.array_equal(unsaid.hu, true_hu())
    assert (declared.foreign_bits, unsaid.foreign_bits) == (False, True)


def test_numbers_too_large_for_the_stored_bits_are_told() -> None:
    """Thirteen bits of a header that says twelve, or a sign that is none."""
    wide = np.full((SIDE, SIDE), 5000, dtype="<u2")
    assert hounsfield(wide, how(UNSIGNED_12)).foreign_bits
    unsigned = stored_as(UNSIGNED_12, np.full((SIDE, SIDE), 1500, dtype=np.int16)).astype("<i2")
    assert hounsfield(unsigned, how(SIGNED_12)).foreign_bits
    assert not hounsfield(unsigned, how(SIGNED_12, whole=False)).foreign_bits


def test_eight_bits_and_other_byte_orders_are_read_as_well() -> None:
    small = np.array([[0, 100, 200, 255]], dtype="u1")
    of = StoredValues(8, 8, signed=False, slope=4, intercept=-1024, padding=0)
    assert hounsfield(small, of).hu.tolist() == [[-1024, -624, -224, -4]]
    big = stored_as(UNSIGNED_12, true_hu()).astype(">u2")
    assert np.array_equal(hounsfield(big, how(UNSIGNED_12)).hu, true_hu())


@pytest.mark.parametrize(
    ("kind", "padding", "limit", "hu"),
    [
        (UNSIGNED_12, None, None, None),
        (UNSIGNED_12, 0, None, (-1024, -1024)),
        (UNSIGNED_12, MINUS_2000, None, (-3024, -3024)),
        (UNSIGNED_12, -2000, 24, (-3024, -1000)),
        (UNSIGNED_12, 1064, None, (40, 40)),
        (SIGNED_16, MINUS_2000, None, (-2000, -2000)),
        (SIGNED_12, CUT_TO_12, -1500, (-2000, -1500)),
    ],
)
def test_what_padding_would_be_in_hu(
    kind: dict[str, Any], padding: int | None, limit: int | None, hu: tuple[float, float] | None
) -> None:
    assert how(kind, padding=padding, padding_limit=limit).padding_hu() == hu
