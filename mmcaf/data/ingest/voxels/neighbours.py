"""The slices of a stack prove each other: each is held against those beside it.

Two slices that lie side by side in a body differ little, and more the further apart they lie. The
one measure is their difference (`differences`); its level, its shift and its size each have one
limit, and so has noise:

| finding | what it says |
|---|---|
| W_SLICE_OFFSET | the level: from one slice to the next air or tissue jumps by so many HU |
| W_SLICE_SHIFT | the shift: the picture jumps in the plane by so many mm |
| W_SLICE_FOREIGN | the size: a slice is less like its neighbours than they are like each other, |
| | or more like its neighbour's mirror image |
| W_SLICE_ORDER | the size: the slices would be more alike in another order |
| W_INTERLEAVED | six steps in a row jump: two acquisitions or two bodies take turns |
| W_SLICE_NOISE | a slice is much noisier or smoother than its neighbours |
| W_SLICE_DOUBLE | the same pixels stand at two positions |

A step is judged by how far it is from the median of the steps around it: a sheared stack, a body
that drifts or thick slices are nothing odd. No header is asked, and nothing is mended or left out.
The limits lie above what clean phantoms of every size and the real sample show, the sample also
with two of three slices left out; `tests/soak/neighbours.py` prints hits and false alarms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mmcaf.data.ingest.voxels.differences import REACH, Differences, differences, size_of

__all__ = ["Finding", "held_against_neighbours"]

OFFSET, SHIFT, FOREIGN = "W_SLICE_OFFSET", "W_SLICE_SHIFT", "W_SLICE_FOREIGN"
ORDER, DOUBLE, NOISE = "W_SLICE_ORDER", "W_SLICE_DOUBLE", "W_SLICE_NOISE"
INTERLEAVED = "W_INTERLEAVED"

_FEWEST = 8  # slices, to know what is usual between them
_LEVEL_HU, _LEVEL_OF_SPREAD = 14.0, 0.35  # at least, and of the spread of half of the blocks
_SHIFT_MM, _SHIFT_OF_STEP = 3.5, 0.42  # at least, and of the way along z; half a pixel, too
_SIZE = 2.2  # times the median of the steps around
_ODD = 2.4  # a slice's two steps, times the step past it; 2 where all is noise
_ORDER = 1.3  # times as alike in another order
_ELSEWHERE = 0.6  # of its difference from its neighbours, at another place
_MIRRORED = 1.2  # times more like the mirror image
_NOISY = 2.5  # times the noise around
_SAME = 0.1  # of the stack's median step
_SHIFTED = 0.75  # of its size, once the picture is moved back
_IN_A_ROW = 6  # steps that jump, to be two stacks in one

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Finding:
    """Slices of a stack (numbered from 0, foot to head) that their neighbours contradict."""

    code: str
    slices: tuple[int, ...]
    amount: float  # HU of an offset, mm of a shift, else how many times the limit's unit


def held_against_neighbours(
    volume: NDArray[np.int16],
    pixel_mm: tuple[float, float],
    z_mm: Sequence[float],
    digests: Sequence[str | None],
) -> list[Finding]:
    """What the slices say of each other, one finding per code and amount; none of a sound stack.

    Args:
        volume: HU, [slices, rows, columns], foot to head; the cached size is enough.
        pixel_mm: size of its pixels, y and x.
        z_mm: positions of the slices.
        digests: of each slice's pixels in full size; None for one that has nothing on it.
    """
    doubles = list(_doubles(digests))
    if len(volume) < _FEWEST:
        return doubles
    found = differences(volume, pixel_mm)
    doubles += _nearly_doubles(found, {z for one in doubles for z in one.slices})
    jumps = _jumps(found, np.diff(z_mm), max(pixel_mm))
    turns = list(_in_turns(jumps))
    moved = list(_reversed(found)) if not turns else []
    for one in (*doubles, *turns, *moved):
        jumps.forget(one.slices)
    rest = [part for one in jumps.findings() for part in _misplaced(one, found)]
    named = [*doubles, *turns, *moved, *rest]
    return [*named, *_noisy(found, {z for one in named for z in one.slices})]


@dataclass(slots=True, eq=False)
class _Jumps:
    """Per step from one slice to the next: the code it would give, and how far it jumps."""

    codes: list[str | None]
    amounts: dict[str, Floats]

    def forget(self, slices: Sequence[int]) -> None:
        """What leads to these slices and away from them is explained."""
        for step in {step for z in slices for step in (z - 1, z)}:
            if 0 <= step < len(self.codes):
                self.codes[step] = None

    def findings(self) -> Iterator[Finding]:
        """Jumps part the stack; every other part is odd, whichever are fewer slices in all."""
        for code in (OFFSET, SHIFT, FOREIGN):
            steps = [step for step, of in enumerate(self.codes) if of == code]
            if steps:
                borders = [0, *(step + 1 for step in steps), len(self.codes) + 1]
                parts = [range(*pair) for pair in pairwise(borders)]
                even, odd = ([z for part in of for z in part] for of in (parts[::2], parts[1::2]))
                into_odd = np.resize([1.0, -1.0], len(steps)) * self.amounts[code][steps]
                slices, into = (odd, into_odd) if len(odd) <= len(even) else (even, -into_odd)
                amount = into[np.abs(into).argmax()]
                yield _finding(code, slices, amount if code == OFFSET else abs(amount))


def _finding(code: str, slices: Sequence[int], amount: float) -> Finding:
    return Finding(code, tuple(slices), round(float(amount), 2))


def _jumps(found: Differences, gaps_mm: Floats, pixel_mm: float) -> _Jumps:
    wider = np.maximum(gaps_mm / np.median(gaps_mm), 1)  # where slices are missing
    (air, of_air), (tissue, of_tissue) = (_levels(*of) for of in (found.air_hu, found.tissue_hu))
    moved = np.hypot(*(found.shift_mm - _around(found.shift_mm)).T)
    of_shift = moved > np.maximum(max(_SHIFT_MM, pixel_mm / 2), _SHIFT_OF_STEP * gaps_mm)
    size, of_size = _sizes(found, wider)
    mirrored = found.apart[1] > _MIRRORED * np.maximum(found.mirrored, 1)
    both = of_air & of_tissue & (np.sign(air) == np.sign(tissue))
    codes: list[str | None] = [None] * len(air)
    for step in np.flatnonzero(of_air | of_tissue | of_shift | of_size | mirrored).tolist():
        if mirrored[step]:
            codes[step] = FOREIGN
        elif both[step] or not (of_shift[step] or of_size[step]):
            codes[step] = OFFSET
        elif not of_size[step] or (of_shift[step] and _is_shift(found, step)):
            codes[step] = SHIFT
        else:
            codes[step] = FOREIGN
    level = np.where(np.abs(tissue) >= np.abs(air), tissue, air)
    return _Jumps(codes, {OFFSET: level, SHIFT: moved, FOREIGN: size})


def _levels(level: Floats, spread: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Per step: its level against those around it; and whether it is more than they allow."""
    apart = level - _around(level)
    return apart, np.abs(apart) > np.maximum(_LEVEL_HU, _LEVEL_OF_SPREAD * spread)


def _sizes(found: Differences, wider: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Per step: its size, in those around it; and whether it is none of a body."""
    one, two = found.apart[1], found.apart[2]
    least = max(0.6 * float(np.median(two)), 1.0)  # what a step is where next to nothing changes
    size = one / wider / np.maximum(_around(one / wider, 4), least)
    odd = np.pad((one[1:] + one[:-1]) / np.maximum(two, least) > _ODD, 1)  # per slice
    return size, (size > _SIZE) | odd[1:] | odd[:-1]


def _around(of: Floats, reach: int = 3) -> Floats:
    """At each place the median of up to `reach` values on either side, without its own."""
    rim = np.full((reach, *of.shape[1:]), np.nan)
    wide = np.concatenate([rim, of, rim])
    others = np.sort(
        [wide[at : at + len(of)] for at in range(2 * reach + 1) if at != reach], axis=0
    )
    count = np.isfinite(others).sum(axis=0)  # what is no number stands last
    middle = [np.clip(at, 0, 2 * reach - 1)[None] for at in ((count - 1) // 2, count // 2)]
    return np.asarray(np.mean([np.take_along_axis(others, at, axis=0)[0] for at in middle], axis=0))


def _is_shift(found: Differences, step: int) -> bool:
    """Whether the two slices fit much better when one is moved."""
    below, above = found.planes[step], found.planes[step + 1]
    (x, y), _ = cv2.phaseCorrelate(below, above)
    turn = np.array([[1, 0, -x], [0, 1, -y]])
    back = np.empty_like(above)
    cv2.warpAffine(above, turn, above.shape[::-1], dst=back, borderMode=cv2.BORDER_REPLICATE)
    size = size_of(back[None], below[None])[0]
    return bool(size < _SHIFTED * found.apart[1][step])


def _in_turns(jumps: _Jumps) -> Iterator[Finding]:
    begin = 0
    for jumped, group in groupby(jumps.codes, key=lambda code: code is not None):
        codes = list(group)
        end = begin + len(codes)
        if jumped and len(codes) >= _IN_A_ROW:
            yield _finding(INTERLEAVED, range(begin, end + 1), len(codes))
        begin = end


def _reversed(found: Differences) -> Iterator[Finding]:
    """Runs of two to five slices that would fit better the other way round."""
    one = found.apart[1]
    tries: list[tuple[float, int, int]] = []
    for length in range(2, REACH + 1):
        far = found.apart[length]
        inner = (one[:-length] + one[length:]) / np.maximum(far[:-1] + far[1:], 1)
        tries += [(ratio, z, length) for z, ratio in enumerate(inner, 1) if ratio > _ORDER]
        ends = ((0, one[length - 1], far[0]), (len(one) + 1 - length, one[-length], far[-1]))
        for z, now, then in ends:  # a slice that fits nowhere is no question of order
            if now > _ORDER * max(then, one[z : z + length - 1].max()):
                tries.append((now / max(then, 1), z, length))
    taken: set[int] = set()
    for ratio, z, length in sorted(tries, reverse=True):
        slices = range(z, z + length)
        if not taken & set(slices):
            taken |= {*slices, z - 1, z + length}
            yield _finding(ORDER, slices, ratio)


def _misplaced(one: Finding, found: Differences) -> Iterator[Finding]:
    """Of slices that do not fit where they are: those that fit elsewhere, and the others."""
    if one.code != FOREIGN:
        yield one
        return
    places = [z for z in one.slices if _fits_elsewhere(found, z)]
    others = [z for z in one.slices if z not in places]
    for code, slices in ((ORDER, places), (FOREIGN, others)):
        if slices:
            yield _finding(code, slices, one.amount)


def _fits_elsewhere(found: Differences, z: int) -> bool:
    sizes = size_of(found.planes, found.planes[z][None])
    here = min(found.apart[1][max(z - 1, 0) : z + 1])
    sizes[max(z - 1, 0) : z + 2] = np.inf
    return bool(sizes.min() < _ELSEWHERE * here)


def _doubles(digests: Sequence[str | None]) -> Iterator[Finding]:
    places = defaultdict(list)
    for z, digest in enumerate(digests):
        places[digest].append(z)
    for digest, slices in places.items():
        if digest is not None and len(slices) > 1:
            yield _finding(DOUBLE, slices, len(slices))


def _nearly_doubles(found: Differences, known: set[int]) -> Iterator[Finding]:
    """The same picture twice, stored in another way."""
    one = found.apart[1]
    for z in np.flatnonzero(one < _SAME * np.median(one)).tolist():
        seen = found.planes[z].std() > 1  # something is on it
        if seen and (z not in known or z + 1 not in known):
            yield _finding(DOUBLE, (z, z + 1), 2)


def _noisy(found: Differences, known: set[int]) -> Iterator[Finding]:
    level = np.log(found.noise + 1)
    if np.isfinite(level).sum() < _FEWEST:
        return
    apart = level - _around(level)
    odd = np.flatnonzero(np.abs(apart) > np.log(_NOISY)).tolist()
    slices = [z for z in odd if z not in known]
    if slices:
        yield _finding(NOISE, slices, np.exp(np.nanmax(np.abs(apart))))
