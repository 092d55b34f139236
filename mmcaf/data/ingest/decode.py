"""Compressed pixels, decoded in a child process with a limit of memory and time.

A few kilobytes of JPEG 2000 or RLE can claim to be gigabytes, and decoders are C code fed with
untrusted bytes: whatever goes wrong there ends the child, and the slice gets a reason code.

python -m mmcaf.data.ingest.decode ROWS COLUMNS FILE... writes int16 HU of every file, after a byte
that is 1 if it could be read and 0, with nothing after it, if not.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmcaf.data.ingest.dicom import read_hu
from mmcaf.data.ingest.workers import in_groups
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
        left = group
        while left:
            found = _run(left, shape)
            yield from found
            left = left[len(found) :]
            if left:  # the child ended at the next one, which is at fault
                yield None
                left = left[1:]


def _run(paths: Sequence[Path], shape: tuple[int, int]) -> list[NDArray[np.int16] | None]:
    """Slices as far as the child came."""
    command = [sys.executable, "-P", "-m", "mmcaf.data.ingest.decode", *map(str, (*shape, *paths))]
    limit = _START_SECONDS + _SLICE_SECONDS * len(paths)
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)  # noqa: S603
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    size = 2 * shape[0] * shape[1]
    planes: list[NDArray[np.int16] | None] = []
    while output and len(planes) < len(paths):
        if output[:1] == b"\x00":
            planes.append(None)
            output = output[1:]
        elif len(output) > size:
            planes.append(np.frombuffer(output[1 : size + 1], dtype=np.int16).reshape(shape))
            output = output[size + 1 :]
        else:
            break
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
        sys.stdout.buffer.flush()  # what is done must not be lost with the child


if __name__ == "__main__":
    main()
