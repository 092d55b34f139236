"""What the slices of a stack say of each other: planted faults are found, sound stacks are not."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest

from mmcaf.data.ingest.rules import CODES
from mmcaf.data.ingest.voxels.neighbours import Finding, held_against_neighbours
from mmcaf.data.synthetic.phantom import FIELD_OF_VIEW_MM, draw_phantom
from support.anatomy import Hu, Stack, anatomy
from support.planted import FAULTS, bodies, double, exchange, foreign, offset, shift, turn_round

TIMES = 12


def told(stack: Stack, volume: Hu) -> list[Finding]:
    digests = [hashlib.blake2b(plane.tobytes()).hexdigest() for plane in volume]
    return held_against_neighbours(volume, (stack.pixel_mm, stack.pixel_mm), stack.z_mm, digests)


@pytest.fixture(scope="module")
def stack() -> Stack:
    return anatomy(3)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_named(stack: Stack, name: str) -> None:
    for number in range(TIMES):
        volume, _ = FAULTS[name].change(stack, np.random.default_rng(number))
        found = {one.code for one in told(stack, volume)}
        assert found & set(FAULTS[name].codes), f"{name}, {number}: {found or 'nothing'}"
        assert found <= set(CODES)


@pytest.mark.parametrize("step_mm", [1.0, 5.0, 8.0])
def test_bodies_without_a_fault_are_not_suspected(step_mm: float) -> None:
    for seed in range(4):
        sound = anatomy(100 + seed, step_mm=step_mm, slices=int(min(300 / step_mm, 80)))
        assert told(sound, sound.volume) == []
        padded = np.where(sound.volume < -900, -1024, sound.volume).astype(np.int16)
        assert told(sound, padded) == []


@pytest.mark.parametrize(("side", "slices"), [(32, 14), (48, 12), (64, 24), (128, 25)])
def test_phantoms_are_not_suspected(side: int, slices: int) -> None:
    case = {"ln_diameter_mm": 3.9, "lateral_px": 80.0, "solidity": 0.5}
    for seed in range(10):
        volume, _ = draw_phantom(case, side, slices, np.random.default_rng(seed))
        assert told(Stack(volume, FIELD_OF_VIEW_MM / side), volume) == []


def test_slices_and_amount_of_an_offset(stack: Stack) -> None:
    for hu, run in ((20, 1), (50, 3), (-100, 1), (1024, 1)):
        volume, struck = offset(hu, run)(stack, np.random.default_rng(4))
        (found,) = told(stack, volume)
        assert (found.code, set(found.slices)) == ("W_SLICE_OFFSET", struck)
        assert found.amount == pytest.approx(hu, rel=0.2, abs=4)


def test_half_a_stack_is_told_by_its_smaller_part(stack: Stack) -> None:
    volume = stack.volume.copy()
    volume[:20] = np.clip(volume[:20] + 50.0, -1024, 3071)
    (found,) = told(stack, volume)
    assert (found.code, found.slices) == ("W_SLICE_OFFSET", tuple(range(20)))
    assert found.amount == pytest.approx(50, abs=5)


def test_slices_and_amount_of_a_shift(stack: Stack) -> None:
    volume, struck = shift(8)(stack, np.random.default_rng(5))
    (found,) = told(stack, volume)
    assert (found.code, set(found.slices)) == ("W_SLICE_SHIFT", struck)
    assert found.amount == pytest.approx(8, abs=3)


def test_a_sheared_stack_is_not_shifted(stack: Stack) -> None:
    sheared = stack.volume.copy()
    for z in range(len(sheared)):
        sheared[z] = np.roll(sheared[z], z // 3, axis=0)
    steady = np.stack([np.roll(plane, 2 * z, axis=0) for z, plane in enumerate(stack.volume)])
    assert not {"W_SLICE_SHIFT", "W_INTERLEAVED"} & {one.code for one in told(stack, steady)}
    assert "W_SLICE_SHIFT" in {one.code for one in told(stack, sheared)}


@pytest.mark.parametrize("change", [exchange(1), turn_round(3), turn_round(5)])
def test_order_names_the_slices(stack: Stack, change: object) -> None:
    for number in range(6):
        volume, struck = change(stack, np.random.default_rng(number))  # type: ignore[operator]
        found = [one for one in told(stack, volume) if one.code == "W_SLICE_ORDER"]
        assert set(found[0].slices) == struck


def test_a_slice_from_elsewhere_in_the_stack_is_out_of_order_and_no_foreign_one(
    stack: Stack,
) -> None:
    volume, struck = exchange(20)(stack, np.random.default_rng(1))
    found = {one.code: set(one.slices) for one in told(stack, volume)}
    assert found == {"W_SLICE_ORDER": struck}
    volume, struck = foreign()(stack, np.random.default_rng(1))
    assert {one.code: set(one.slices) for one in told(stack, volume)} == {"W_SLICE_FOREIGN": struck}


def test_doubles_are_told_wherever_they_stand(stack: Stack) -> None:
    for apart in (1, 30):
        volume, struck = double(apart)(stack, np.random.default_rng(2))
        doubles = [one for one in told(stack, volume) if one.code == "W_SLICE_DOUBLE"]
        assert [set(one.slices) for one in doubles] == [struck]


def test_a_double_that_is_stored_otherwise_is_one_too(stack: Stack) -> None:
    volume, (low, high) = double(1)(stack, np.random.default_rng(2))
    volume[low] = volume[low] + np.random.default_rng(0).integers(-1, 2, volume[low].shape)
    assert ("W_SLICE_DOUBLE", (low, high)) in {
        (one.code, one.slices) for one in told(stack, volume)
    }


def test_empty_slices_are_no_doubles() -> None:
    empty = np.full((9, 32, 32), -1024, dtype=np.int16)
    assert held_against_neighbours(empty, (1.0, 1.0), list(range(9)), [None] * 9) == []


def test_few_slices_say_no_more_than_that_they_are_double() -> None:
    few = anatomy(0, slices=5)
    assert told(few, few.volume[[0, 1, 2, 3, 3]])[0].code == "W_SLICE_DOUBLE"
    few.volume[2] += 100
    assert told(few, few.volume) == []
    assert held_against_neighbours(few.volume[:1], (1.0, 1.0), [0.0], ["a"]) == []


def test_noise_is_told_of_a_slice(stack: Stack) -> None:
    volume = stack.volume.copy()
    noise = np.random.default_rng(0).normal(0, 50, volume[30].shape)
    volume[30] = np.clip(volume[30] + noise * (volume[30] > -200), -1024, 3071)
    assert [(one.code, one.slices) for one in told(stack, volume)] == [("W_SLICE_NOISE", (30,))]


def test_two_stacks_in_one_are_told_as_such(stack: Stack) -> None:
    volume, _ = bodies(stack, np.random.default_rng(0))
    (found,) = told(stack, volume)
    assert found.code == "W_INTERLEAVED"
    assert len(found.slices) > 0.9 * len(volume)


def test_where_slices_are_missing_the_next_one_may_differ_more(stack: Stack) -> None:
    pixel = (stack.pixel_mm, stack.pixel_mm)
    for gap in range(6, 52, 3):
        left = [z for z in range(60) if z not in (gap, gap + 1)]
        volume, z_mm = stack.volume[left], [stack.z_mm[z] for z in left]
        assert held_against_neighbours(volume, pixel, z_mm, [str(z) for z in left]) == []


def test_it_costs_little() -> None:
    """A slice of 208 pixels takes some 3 ms to read."""
    large = anatomy(1, side=208)
    told(large, large.volume)
    begun = time.process_time()
    told(large, large.volume)
    assert (time.process_time() - begun) / len(large.volume) < 1e-3
