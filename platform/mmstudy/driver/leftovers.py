"""Temporary files that a killed driver, or a trial of one, has left in a study."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from mmcaf.files.atomic import is_temporary
from mmstudy.errors import MMStudyError
from mmstudy.storage.paths import StudyPaths

__all__ = ["sweep"]

_OLD_SECONDS = 3600
"""Trials of a killed driver may be at work for some seconds more."""


def sweep(paths: StudyPaths, running: Iterable[int]) -> list[Path]:
    """Delete them; what was deleted. Only who holds the study's lock may call this.

    Deleted is what has a name that `mmcaf.files.atomic` gives, and was not written to for an hour.
    No link is followed. What cannot be looked into or deleted stays.

    Args:
        paths: of the study.
        running: trials that were not ended: only these have files of their own that are written.
    """
    return [path for path in _temporary(paths, running) if _deleted(path)]


def _temporary(paths: StudyPaths, running: Iterable[int]) -> Iterator[Path]:
    tables = (paths.trials, paths.metrics, paths.predictions, paths.segments, paths.confirmations)
    own = (paths.trial_artifacts(number) for number in running)
    for folder in (paths.root, *tables, paths.quarantine, paths.shared, *own):
        with suppress(MMStudyError):
            yield from (path for path in paths.files(folder, ".*") if is_temporary(path.name))


def _deleted(path: Path) -> bool:
    try:
        # Whatever the clocks say, and those of a network file system.
        if abs(time.time() - path.lstat().st_mtime) < _OLD_SECONDS:
            return False
        path.unlink()
    except OSError:  # another has deleted it, or it is a folder
        return False
    return True
