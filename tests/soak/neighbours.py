"""How often faults of slices are found, and how often sound stacks are suspected.

python tests/soak/neighbours.py [TIMES]     or `make soak`

Each fault is planted TIMES (100) into each kind of stack, at seeded places; a hit is a finding of
any code, the second figure says how often the code names the fault. The phantom's vessels and noise
are new in every slice, its middle hardly changes and both its sides are alike: order, foreign
slices and mirror images cannot show there. Sound stacks: 300 phantoms of five sizes, 100 bodies of
`support.anatomy`, and the real sample, also with one and two of three slices left
out, and with padding for air.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from mmcaf.data.ingest.annotations import BOXES
from mmcaf.data.ingest.choose import build
from mmcaf.data.ingest.clinical import CLINICAL_SHEET
from mmcaf.data.ingest.dicom import read_hu
from mmcaf.data.ingest.index import scan
from mmcaf.data.ingest.voxels.neighbours import held_against_neighbours
from mmcaf.data.ingest.voxels.plausibility import oddities
from mmcaf.data.synthetic.phantom import FIELD_OF_VIEW_MM, SLICE_MM, draw_phantom
from mmcaf.data.volumes import resized
from support.anatomy import Hu, Stack, anatomy
from support.planted import FAULTS

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "lung-pet-ct-dx-sample"
SIZES = ((32, 14), (48, 12), (64, 24), (128, 25), (128, 40))  # side and slices of phantoms


def say(line: str) -> None:
    """Print it at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def phantom(seed: int, side: int, slices: int) -> Stack:
    """A clean synthetic patient."""
    random = np.random.default_rng(seed)
    case = {
        "ln_diameter_mm": random.normal(3.9, 0.4),
        "lateral_px": random.normal(80, 25),
        "solidity": random.normal(0, 1),
    }
    volume, _ = draw_phantom(case, side, slices, random)
    return Stack(volume, FIELD_OF_VIEW_MM / side, SLICE_MM)


def sample() -> Stack | None:
    """The real patient, where it is here."""
    if not SAMPLE.is_dir():
        return None
    files = scan([SAMPLE])
    built = build(files, pl.DataFrame(schema=BOXES), pl.DataFrame(schema=CLINICAL_SHEET))
    (chosen,) = built.chosen.values()
    slices = chosen.stack.slices
    shape = (int(slices["rows"][0]), int(slices["columns"][0]))
    full = np.stack([read_hu(SAMPLE / path, shape) for path in slices["path"]])
    pixel = float(slices["spacing_x_mm"][0]) * shape[0] / 208
    return Stack(resized(full, 208), pixel, chosen.stack.spacing_z_mm)


def thinned(stack: Stack, every: int) -> Iterator[Stack]:
    """The stack with slices left out, once from each of the first ones on."""
    for first in range(every):
        volume = stack.volume[first::every]
        yield Stack(volume, stack.pixel_mm, stack.step_mm * every)


def codes(stack: Stack, volume: Hu) -> dict[str, set[int]]:
    """Code -> slices that got it."""
    digests = [hashlib.blake2b(plane.tobytes()).hexdigest() for plane in volume]
    pixel = (stack.pixel_mm, stack.pixel_mm)
    found: dict[str, set[int]] = {}
    for one in held_against_neighbours(volume, pixel, stack.z_mm, digests):
        found.setdefault(one.code, set()).update(one.slices)
    return found


def alarms(name: str, stacks: Iterator[Stack]) -> int:
    """Print how many sound stacks are suspected, and of what."""
    count, wrong, seen = 0, 0, set()
    for stack in stacks:
        pixel = (stack.pixel_mm, stack.pixel_mm)
        told = {*codes(stack, stack.volume), *oddities(stack.volume, pixel, stack.z_mm)}
        count, wrong, seen = count + 1, wrong + bool(told), seen | told
    say(f"{name:40} {wrong:3} of {count:3}  {' '.join(sorted(seen))}")
    return wrong


def main() -> int:
    """Both tables; 1 where a sound stack is suspected."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    real = sample()
    say("sound stacks suspected")
    wrong = alarms("bodies", (anatomy(seed) for seed in range(100)))
    for side, slices in SIZES:
        stacks = (phantom(5_000 + seed, side, slices) for seed in range(60))
        wrong += alarms(f"phantoms of {slices} x {side} x {side}", stacks)
    for every in (1, 2, 3) if real else ():
        wrong += alarms(f"real sample, one slice in {every}", thinned(real, every))
    if real:
        padded = np.where(real.volume < -900, -1024, real.volume).astype(np.int16)
        wrong += alarms("real sample, air as padding", iter([replace(real, volume=padded)]))
    kinds = {"body": [anatomy(seed) for seed in range(8)]}
    for side, slices in ((128, 25), (48, 12)):
        kinds[f"phantom {slices} x {side}"] = [phantom(s, side, slices) for s in range(8)]
    if real:
        kinds |= {"real 5 mm": [real], "real 10 mm": list(thinned(real, 2))}
    say("\nfaults found, and called by their names, %")
    say(" " * 34 + "".join(f"{kind:>18}" for kind in kinds))
    for name, fault in FAULTS.items():
        line = f"{name:34}"
        for stacks in kinds.values():
            hits = named = 0
            for number in range(times):
                stack = stacks[number % len(stacks)]
                volume, _ = fault.change(stack, np.random.default_rng(number))
                told = codes(stack, volume)
                hits, named = hits + bool(told), named + bool(told.keys() & set(fault.codes))
            line += f"{100 * hits / times:12.0f} {100 * named / times:5.0f}"
        say(line)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
