"""Faults of slices, planted into a volume; and the code or codes that name each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from support.anatomy import Hu, Stack

Chance = np.random.Generator
Change = Callable[[Stack, Chance], tuple[Hu, set[int]]]

OFFSET, SHIFT, FOREIGN = "W_SLICE_OFFSET", "W_SLICE_SHIFT", "W_SLICE_FOREIGN"
ORDER, DOUBLE, INTERLEAVED = "W_SLICE_ORDER", "W_SLICE_DOUBLE", "W_INTERLEAVED"


@dataclass(frozen=True)
class Planted:
    """How a fault is planted, giving the volume and the slices struck; and how it is called."""

    change: Change
    codes: tuple[str, ...]


def _hu(values: NDArray[np.float64] | NDArray[np.float32]) -> Hu:
    return np.clip(np.rint(values), -1024, 3071).astype(np.int16)


def _warped(plane: Hu, turn: NDArray[np.float64]) -> Hu:
    rim = float(np.median(plane[:3, :3]))
    size = (plane.shape[1], plane.shape[0])
    return _hu(cv2.warpAffine(plane.astype(np.float32), turn, size, borderValue=rim))


def _each(volume: Hu, slices: Iterable[int], change: Callable[[Hu], Hu]) -> tuple[Hu, set[int]]:
    changed, struck = volume.copy(), set(slices)
    for z in struck:
        changed[z] = change(volume[z])
    return changed, struck


def _some(stack: Stack, chance: Chance, run: int) -> range:
    """A run of slices anywhere; 0 stands for an end of the stack."""
    count = len(stack.volume)
    if run:
        first = int(chance.integers(0, count - run + 1))
        return range(first, first + run)
    cut = int(chance.integers(1, count))
    return range(cut) if chance.random() < 0.5 else range(cut, count)


def offset(hu: float, run: int = 1) -> Change:
    """Brighter by so many HU."""
    return lambda stack, chance: _each(
        stack.volume, _some(stack, chance, run), lambda plane: _hu(plane + float(hu))
    )


def slope(times: float, zero: float) -> Change:
    """One slice scaled about a HU."""
    return lambda stack, chance: _each(
        stack.volume, _some(stack, chance, 1), lambda plane: _hu((plane - zero) * times + zero)
    )


def shift(mm: float, run: int = 1) -> Change:
    """Moved in the plane, in any direction."""

    def change(stack: Stack, chance: Chance) -> tuple[Hu, set[int]]:
        angle = chance.uniform(0, 2 * np.pi)
        x, y = mm / stack.pixel_mm * np.cos(angle), mm / stack.pixel_mm * np.sin(angle)
        turn = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
        return _each(stack.volume, _some(stack, chance, run), lambda plane: _warped(plane, turn))

    return change


def mirror(axis: int, run: int = 1) -> Change:
    """Left to right, or up to down."""
    return lambda stack, chance: _each(
        stack.volume, _some(stack, chance, run), lambda plane: np.flip(plane, axis)
    )


def foreign(run: int = 1) -> Change:
    """Of a body of another size."""

    def change(stack: Stack, chance: Chance) -> tuple[Hu, set[int]]:
        turn = _zoom(stack, chance)
        return _each(stack.volume, _some(stack, chance, run), lambda plane: _warped(plane, turn))

    return change


def _zoom(stack: Stack, chance: Chance) -> NDArray[np.float64]:
    times, centre = float(chance.choice([0.85, 0.9, 1.12])), stack.volume.shape[1] / 2 - 0.5
    return np.array([[times, 0, centre * (1 - times)], [0, times, centre * (1 - times)]])


def exchange(apart: int) -> Change:
    """Two slices change places."""

    def change(stack: Stack, chance: Chance) -> tuple[Hu, set[int]]:
        volume = stack.volume.copy()
        z = int(chance.integers(0, len(volume) - apart))
        volume[[z, z + apart]] = volume[[z + apart, z]]
        return volume, {z, z + apart}

    return change


def turn_round(run: int) -> Change:
    """A run of slices the other way round."""

    def change(stack: Stack, chance: Chance) -> tuple[Hu, set[int]]:
        volume, where = stack.volume.copy(), _some(stack, chance, run)
        volume[list(where)] = stack.volume[list(where)][::-1]
        return volume, set(where)

    return change


def double(apart: int) -> Change:
    """A slice in the place of another one too."""

    def change(stack: Stack, chance: Chance) -> tuple[Hu, set[int]]:
        volume = stack.volume.copy()
        z = int(chance.integers(0, len(volume) - apart))
        volume[z] = volume[z + apart]
        return volume, {z, z + apart}

    return change


def phases(hu: float) -> Change:
    """Every second slice with brighter soft tissue."""

    def bright(plane: Hu) -> Hu:
        return _hu(np.where((plane > -200) & (plane < 300), plane + hu, plane))

    return lambda stack, _: _each(stack.volume, range(1, len(stack.volume), 2), bright)


def bodies(stack: Stack, chance: Chance) -> tuple[Hu, set[int]]:
    """Every second slice of another body."""
    turn = _zoom(stack, chance)
    every_second = range(1, len(stack.volume), 2)
    return _each(stack.volume, every_second, lambda plane: _warped(plane, turn))


FAULTS = {
    **{f"offset of {hu:+} HU": Planted(offset(hu), (OFFSET,)) for hu in (20, -20, 50, -50, 100)},
    "offset of +1024 HU": Planted(offset(1024), (OFFSET,)),
    "offset of -1024 HU": Planted(offset(-1024), (OFFSET, FOREIGN)),
    "offset of +50 HU, three slices": Planted(offset(50, 3), (OFFSET,)),
    "offset of +50 HU, an end": Planted(offset(50, 0), (OFFSET,)),
    "offset of +1024 HU, an end": Planted(offset(1024, 0), (OFFSET,)),
    "slope 1.1 of stored values": Planted(slope(1.1, -1024), (OFFSET, FOREIGN)),
    "slope 0.9 of HU": Planted(slope(0.9, 0), (OFFSET, FOREIGN)),
    "two slices exchanged": Planted(exchange(1), (ORDER,)),
    "two slices exchanged, 5 apart": Planted(exchange(5), (ORDER,)),
    "four slices turned round": Planted(turn_round(4), (ORDER,)),
    "a slice twice": Planted(double(1), (DOUBLE,)),
    "a slice twice, 7 apart": Planted(double(7), (DOUBLE,)),
    **{f"shift of {mm} mm": Planted(shift(mm), (SHIFT, FOREIGN)) for mm in (5, 8, 15, 40)},
    "shift of 5 mm, an end": Planted(shift(5, 0), (SHIFT, FOREIGN)),
    "shift of 15 mm, an end": Planted(shift(15, 0), (SHIFT, FOREIGN)),
    "a slice mirrored left to right": Planted(mirror(1), (FOREIGN,)),
    "a slice mirrored up to down": Planted(mirror(0), (FOREIGN,)),
    "an end mirrored left to right": Planted(mirror(1, 0), (FOREIGN,)),
    "a slice of another body": Planted(foreign(), (FOREIGN, ORDER, SHIFT)),
    "an end of another body": Planted(foreign(0), (FOREIGN, ORDER, SHIFT, INTERLEAVED)),
    "two phases 25 HU apart take turns": Planted(phases(25), (INTERLEAVED,)),
    "two bodies take turns": Planted(bodies, (INTERLEAVED,)),
}
