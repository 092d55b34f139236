"""Where the cohorts lie that the user named, by their digests.

What a study says of the way to its cohort may be a stranger's word. What was named on a command
line is the user's, and is remembered in this program's own cache.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import msgspec

from mmcaf.data.cohort import Cohort
from mmcaf.errors import DataError
from mmcaf.files.atomic import write_json
from mmcaf.files.remote import cache_folder, origin
from mmcaf.files.untrusted import read_json

__all__ = ["known_cohort", "note_cohort"]


class _Known(msgspec.Struct, frozen=True):
    folder: str


def note_cohort(cohort: Cohort) -> None:
    """Remember where a cohort lies that the user named; one in a store is named by its address.

    Where the cache cannot be written nothing is remembered.
    """
    folder = cohort.folder.resolve()
    if origin(cohort.folder) is None and known_cohort(cohort.digest) != folder:
        with suppress(OSError):
            write_json(_place(cohort.digest), {"folder": str(folder)})


def known_cohort(digest: str) -> Path | None:
    """The folder of the cohort with that digest, if it was named once and is still there."""
    with suppress(OSError, DataError):
        folder = Path(read_json(_place(digest), _Known, remedy="").folder)
        return folder if folder.is_dir() else None
    return None


def _place(digest: str) -> Path:
    return cache_folder() / "cohorts" / f"{hashlib.sha256(digest.encode()).hexdigest()[:32]}.json"
