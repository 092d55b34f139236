"""One chosen stack -> its cached volume, and a file of facts beside it.

The facts are written after the volume, so a volume without facts was interrupted and is made again.
Slices are read one by one: what is held is the cached size, never the whole stack in full size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmcaf.data.ingest.choose import Chosen
from mmcaf.data.ingest.decode import read_planes_apart
from mmcaf.data.ingest.dicom import read_plane
from mmcaf.data.ingest.discovery import located
from mmcaf.data.ingest.values.stored import Plane
from mmcaf.data.ingest.voxels.neighbours import held_against_neighbours
from mmcaf.data.ingest.voxels.plausibility import hu_statistics, oddities
from mmcaf.data.verification import volume_digest
from mmcaf.data.volumes import open_volume, resized, write_volume
from mmcaf.errors import CohortError, DataError
from mmcaf.files.atomic import write_json
from mmcaf.files.untrusted import read_json

__all__ = ["StackTask", "cache_stack", "known_facts", "stack_task"]

_READING = 2  # raised where the same file gives other HU than before
_JUDGED = {"findings", "oddities"}  # facts that older versions lack


@dataclass(frozen=True, slots=True)
class StackTask:
    """What a worker needs to cache one stack."""

    volume: Path  # where the volume goes; the facts go beside it
    files: tuple[Path, ...]  # foot to head
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]  # y, x, of the files' pixels
    compressed: bool
    z_mm: tuple[float, ...]
    boxes: tuple[tuple[int, float, float, float, float], ...]  # z, x_min, y_min, x_max, y_max
    in_plane_px: int

    @property
    def facts(self) -> Path:
        """The file of facts beside the volume."""
        return self.volume.with_suffix(".json")


def stack_task(chosen: Chosen, sources: list[Path], folder: Path, in_plane_px: int) -> StackTask:
    """The task of a chosen stack; its volume in `folder` is named by all that decides it."""
    slices = chosen.stack.slices
    identity = slices.select("sop_uid", "bytes", "mtime_ns").rows()
    boxes = tuple(chosen.boxes.rows())
    text = json.dumps([_READING, identity, chosen.stack.z_mm.tolist(), boxes])
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    first = slices.row(0, named=True)
    return StackTask(
        volume=folder / f"{name}.npy",
        files=tuple(
            located(sources[s], path) for s, path in slices.select("source", "path").iter_rows()
        ),
        shape=(first["rows"], first["columns"]),
        spacing_mm=(first["spacing_y_mm"], first["spacing_x_mm"]),
        compressed=bool(slices["compressed"].any()),
        z_mm=tuple(chosen.stack.z_mm.tolist()),
        boxes=boxes,
        in_plane_px=in_plane_px,
    )


def known_facts(task: StackTask) -> dict[str, Any] | None:
    """The facts of a volume that is complete already, and still what they say; else None."""
    try:
        facts = read_json(task.facts, dict[str, Any], remedy="It is made again.")
        case, slices = task.volume.stem, len(task.files)
        volume = open_volume(task.volume, task.in_plane_px, case=case, slices=slices)
    except (OSError, DataError, CohortError):
        return None
    whole = facts.keys() >= _JUDGED and volume_digest(volume) == facts.get("sha256")
    return facts if whole else None


def cache_stack(task: StackTask) -> dict[str, Any]:
    """Write volume and facts; or, if slices cannot be decoded, only say which: `unreadable`."""
    side = task.in_plane_px
    volume = np.empty((len(task.files), side, side), dtype=np.int16)
    digests: list[str | None] = []
    inside: list[NDArray[np.int16]] = []
    unreadable: list[int] = []
    foreign_bits: list[int] = []
    for z, read in enumerate(_planes(task)):
        if read is None:
            unreadable.append(z)
            continue
        plane = read.hu
        foreign_bits += [z] * read.foreign_bits
        volume[z] = resized(plane[None], side)[0]
        digests.append(_slice_digest(plane))
        inside += [_core(plane, box) for box in task.boxes if box[0] == z]
    if unreadable:
        return {"unreadable": unreadable}
    write_volume(task.volume, volume)
    facts = {
        "shape": list(volume.shape),
        "sha256": volume_digest(volume),
        "z_mm": list(task.z_mm),
        **hu_statistics(volume),
        "lesion_hu": round(float(np.concatenate(inside).mean()), 2) if inside else None,
        "slice_digests": digests,
        "foreign_bits": foreign_bits,
        **_judged(task, volume, digests),
    }
    write_json(task.facts, facts)
    return facts


def _planes(task: StackTask) -> Iterator[Plane | None]:
    if task.compressed:
        yield from read_planes_apart(task.files, task.shape)
        return
    for path in task.files:
        try:
            yield read_plane(path, task.shape)
        except (DataError, FileNotFoundError, PermissionError):  # also gone or closed by now
            yield None
        except OSError as error:  # a read that fails does not name its file
            raise OSError(error.errno, error.strerror, str(path)) from error


def _slice_digest(plane: NDArray[np.int16]) -> str | None:
    """Digest of a slice's HU, to find one body under two names; None where all is one grey."""
    if plane.min() == plane.max():
        return None
    return hashlib.blake2b(np.ascontiguousarray(plane).data, digest_size=12).hexdigest()


def _core(plane: NDArray[np.int16], box: tuple[int, float, float, float, float]) -> Any:
    """Voxels of the middle half of a box: its corners are not lesion."""
    _, x0, y0, x1, y1 = box
    dx, dy = (x1 - x0) / 4, (y1 - y0) / 4
    left, top = int(x0 + dx), int(y0 + dy)
    right, bottom = max(int(x1 - dx), left + 1), max(int(y1 - dy), top + 1)
    return plane[top:bottom, left:right].ravel()


def _judged(
    task: StackTask, volume: NDArray[np.int16], digests: list[str | None]
) -> dict[str, list[Any]]:
    """What the slices say of each other, and what is odd about the stack."""
    pixels = zip(task.spacing_mm, task.shape, strict=True)
    y_mm, x_mm = (mm * count / task.in_plane_px for mm, count in pixels)
    found = held_against_neighbours(volume, (y_mm, x_mm), task.z_mm, digests)
    return {
        "findings": [
            {"reason": one.code, "slices": list(one.slices), "amount": one.amount} for one in found
        ],
        "oddities": oddities(volume, (y_mm, x_mm), task.z_mm),
    }
