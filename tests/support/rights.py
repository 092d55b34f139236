"""Rights as an ordinary user has them, also where the tests run as root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["open_folder", "ordinary_user"]

_NOBODY = 65534


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into, as `tmp_path` is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Within, this process may do only what its modes say; root becomes nobody for the time."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
