"""The preloaded library of `shim.c`, built once by the system's compiler."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["SOURCE", "build", "built"]

SOURCE = Path(__file__).with_name("shim.c")


def build() -> Path | None:
    """The library; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    mark = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.mkdtemp(prefix=f"soak-{mark}-")) / "shim.so"
    flags = ["-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [compiler, *flags, "-o", str(library), str(SOURCE), "-ldl", "-pthread"], check=True
    )
    return library


@contextmanager
def built() -> Iterator[Path]:
    """The library, as long as it is needed; a test is skipped where there is no compiler."""
    found = build()
    if found is None:
        pytest.skip("no C compiler: cc builds the library that cuts the power")
    yield found
    shutil.rmtree(found.parent)
