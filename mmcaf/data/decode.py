"""Compressed pixels, decoded in a child process with a limit of memory and time.

A few kilobytes of JPEG 2000 or RLE can claim to be gigabytes, and decoders are C code fed with
untrusted bytes: whatever goes wrong there ends the child, and the slice gets a reason code.

python -m mmcaf.data.decode ROWS COLUMNS FILE... writes int16 HU of every file, after a byte that is
1 if it could be read and 0, with nothing after it, if not.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmcaf.data.dicom import read_hu
from mmcaf.data.workers import in_groups
from mmcaf.errors import DataError

__all__ = ["read_hu_apart"]

_EXTRA_BYTES = 512 * 2**20  # over what the child has once it is loaded
_AT_ONCE = 16  # slices a child decodes
_START_SECONDS, _SLICE_SECONDS = 30.0, 2.0


def read_hu_apart(
    paths: Sequence[Path], shape: tuple[int, int]
) -> Iterator[NDArray[np.int16] | None]:
    """Every slice as `dicom.read_hu` gives it, or None where it cannot be decoded."""
    for group in in_groups(paths, _AT_ONCE):
        found = _run(group, shape)
        if len(group) > 1 and any(plane is None for plane in found):
            # One bad slice may have ended the child before the others were read.
            for path in group:
                yield from _run([path], shape)
        else:
            yield from found


def _run(paths: Sequence[Path], shape: tuple[int, int]) -> list[NDArray[np.int16] | None]:
    command = [sys.executable, "-m", "mmcaf.data.decode", *map(str, (*shape, *paths))]
    limit = _START_SECONDS + _SLICE_SECONDS * len(paths)
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return [None] * len(paths)
    size = 2 * shape[0] * shape[1]
    left = done.stdout
    planes: list[NDArray[np.int16] | None] = []
    for _ in paths:
        good, left = left[:1] == b"\x01" and len(left) > size, left[1:]
        if not good:
            planes.append(None)
            continue
        planes.append(np.frombuffer(left[:size], dtype=np.int16).reshape(shape))
        left = left[size:]
    return planes


def _limit_memory() -> None:
    pages = Path("/proc/self/statm")
    if pages.exists():  # elsewhere only time is limited
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + _EXTRA_BYTES, now + _EXTRA_BYTES))


def main() -> None:
    """The child."""
    rows, columns, *names = sys.argv[1:]
    _limit_memory()
    for name in names:
        try:
            plane = read_hu(Path(name), (int(rows), int(columns)))
        except (DataError, MemoryError):
            sys.stdout.buffer.write(b"\x00")
        else:
            sys.stdout.buffer.write(b"\x01" + plane.tobytes())


if __name__ == "__main__":
    main()
