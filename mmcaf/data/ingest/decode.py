"""Compressed pixels, decoded in a child process with a limit of memory and time.

A few kilobytes of JPEG 2000 or RLE can claim to be gigabytes, and decoders are C code fed with
untrusted bytes: whatever goes wrong there ends the child, and the slice gets a reason code. So does
a slice of which a decoder complained: it goes on after "Corrupt JPEG data", and gives something.

python -m mmcaf.data.ingest.decode ROWS COLUMNS FILE... writes int16 HU of every file after a byte:
1, or 2 where unused bits held something foreign. Where a file cannot be read, 0 stands alone.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mmcaf.data.ingest.dicom import read_plane
from mmcaf.data.ingest.values.stored import Plane
from mmcaf.data.ingest.workers import in_groups
from mmcaf.errors import DataError

__all__ = ["read_planes_apart"]

_EXTRA_BYTES = 512 * 2**20  # over what the child has once it is loaded
_AT_ONCE = 16  # slices a child decodes
_FAILED, _READ, _FOREIGN = b"\x00", b"\x01", b"\x02"
_START_SECONDS, _SLICE_SECONDS = 30.0, 2.0


def read_planes_apart(paths: Sequence[Path], shape: tuple[int, int]) -> Iterator[Plane | None]:
    """Every slice as `dicom.read_plane` gives it, or None where it cannot be decoded."""
    for group in in_groups(paths, _AT_ONCE):
        left = group
        while left:
            found = _run(left, shape)
            yield from found
            left = left[len(found) :]
            if left:  # the child ended at the next one, which is at fault
                yield None
                left = left[1:]


def _run(paths: Sequence[Path], shape: tuple[int, int]) -> list[Plane | None]:
    """Slices as far as the child came."""
    command = [sys.executable, "-P", "-m", "mmcaf.data.ingest.decode", *map(str, (*shape, *paths))]
    limit = _START_SECONDS + _SLICE_SECONDS * len(paths)
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)  # noqa: S603
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    size = 2 * shape[0] * shape[1]
    planes: list[Plane | None] = []
    while output and len(planes) < len(paths):
        state = output[:1]
        if state == _FAILED:
            planes.append(None)
            output = output[1:]
        elif len(output) > size:
            hu = np.frombuffer(output[1 : size + 1], dtype=np.int16).reshape(shape)
            planes.append(Plane(hu, foreign_bits=state == _FOREIGN))
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
    with tempfile.TemporaryFile() as complaints:
        os.dup2(complaints.fileno(), sys.stderr.fileno())  # decoders write to it past Python
        for name in names:
            sys.stdout.buffer.write(_answer(Path(name), (int(rows), int(columns)), complaints))
            sys.stdout.buffer.flush()  # what is done must not be lost with the child


def _answer(path: Path, shape: tuple[int, int], complaints: BinaryIO) -> bytes:
    before = os.fstat(complaints.fileno()).st_size
    try:
        plane = read_plane(path, shape)
    except (DataError, MemoryError):
        return _FAILED
    if os.fstat(complaints.fileno()).st_size > before:
        return _FAILED
    return (_FOREIGN if plane.foreign_bits else _READ) + plane.hu.tobytes()


if __name__ == "__main__":
    main()
