"""A study in an object store: its local copies, and what goes there and back.

Only `mmstudy.storage.folder` calls this. Files are stored in the order that also makes a study
folder safe: what the sampler knows, then the trial's row; metrics, then the checkpoint, then the
report. `pull` fetches only what has changed. On a study folder that is no copy, all of this does
nothing.

Optuna's journal grows without end and is kept in parts of a fixed size, of which only the last is
stored again.
"""

from __future__ import annotations

import time
from pathlib import Path

from mmcaf.files.atomic import StorageError, file_mode, locked, make_folder, replacing
from mmcaf.files.remote import Remote, origin
from mmcaf.files.untrusted import open_regular
from mmstudy.storage.paths import StudyPaths

__all__ = [
    "fetch",
    "hand_over",
    "publish",
    "publish_journal",
    "publish_stages",
    "pull",
    "pull_folder",
    "pull_journal",
    "pull_stages",
    "pull_studies",
    "withdraw",
]

_TABLES = ("trials", "metrics", "predictions", "confirmations")
_LAST = ("segments", "")  # after the small files: see `mmstudy.storage.segments`
_NOTES = ("manifest.json", "study.json", "importance.json", "probe.json")
_PULL_EVERY_SECONDS = 2.0
_PART_BYTES = 1 << 20
_JOURNAL = "journal"
_stored: dict[Path, int] = {}  # of each journal this process writes: bytes that are stored


def pull_studies(root: Path) -> None:
    """Make a folder for each study of the root that `root` is a copy of."""
    remote = origin(root)
    if remote is None:
        return
    found = remote.folders()
    for name in found:
        make_folder(root / name)
    for folder in root.iterdir():
        if folder.is_dir() and folder.name not in found:
            (folder / "study.json").unlink(missing_ok=True)  # deleted there


def pull(paths: StudyPaths, *, at_once: bool = False) -> None:
    """Bring tables and study.json of a copy up to date, unless that was done a moment ago.

    Raises:
        DataError: the store cannot be reached.
    """
    remote, stamp = origin(paths.root), paths.root / ".pulled"
    if remote is None or (not at_once and _age(stamp) < _PULL_EVERY_SECONDS):
        return
    with locked(stamp):
        if at_once or _age(stamp) >= _PULL_EVERY_SECONDS:  # another process may have been first
            _pull(remote, paths.root)
            stamp.touch(file_mode())


def _pull(remote: Remote, root: Path) -> None:
    gone: list[Path] = []
    for folder in (*_TABLES, *_LAST):
        listed = remote.listed(folder)
        wanted = [(name, root / name, mark) for name, mark in listed.items()]
        changed = [one for one in wanted if _mark(one[1]) != one[2]]
        remote.get_all([one for one in changed if one[0].endswith(".parquet")])
        # After the segments that the manifest names.
        remote.get_all([one for one in changed if one[1].name in _NOTES])
        here = (root / folder).glob("*.parquet") if (root / folder).is_dir() else ()
        kept = [*here, *(root / folder / note for note in _NOTES)]
        gone += [path for path in kept if path.relative_to(root).as_posix() not in listed]
    for path in gone:  # last, when what replaces them is there
        path.unlink(missing_ok=True)


def pull_folder(paths: StudyPaths, folder: Path) -> None:
    """Bring every file of one folder of a copy up to date; what the store lacks is deleted.

    Raises:
        DataError: the store cannot be reached.
    """
    remote = origin(paths.root)
    if remote is None:
        return
    with locked(paths.root / ".pulled"):
        listed = remote.listed(_name(paths, folder))
        wanted = [(name, paths.root / name, mark) for name, mark in listed.items()]
        remote.get_all([one for one in wanted if _mark(one[1]) != one[2]])
        for file in folder.iterdir() if folder.is_dir() else ():
            if not file.name.startswith(".") and _name(paths, file) not in listed:
                file.unlink()


def fetch(paths: StudyPaths, *files: Path) -> None:
    """Bring single files of a copy up to date; those that the store does not have are deleted."""
    remote = origin(paths.root)
    if remote is None:
        return
    there = remote.get_all([(_name(paths, file), file, None) for file in files])
    for file, found in zip(files, there, strict=True):
        if not found:
            file.unlink(missing_ok=True)


def publish(paths: StudyPaths, *files: Path) -> None:
    """Store files of a copy, in this order.

    Raises:
        StorageError: one cannot be stored.
    """
    remote = origin(paths.root)
    if remote is not None:
        for file in files:
            remote.put(_name(paths, file), file)


def hand_over(paths: StudyPaths, file: Path) -> None:
    """Store a large file and, if this is a copy, keep none here; `fetch` brings it back."""
    publish(paths, file)
    if origin(paths.root) is not None:
        file.unlink()


def withdraw(paths: StudyPaths, *files: Path) -> None:
    """Delete files of a copy, here and in the store; on a study folder, here."""
    remote = origin(paths.root)
    for file in files:
        if remote is not None:
            remote.delete(_name(paths, file))
        file.unlink(missing_ok=True)


def publish_journal(paths: StudyPaths) -> None:
    """Store what was added to the journal since the last time."""
    remote = origin(paths.root)
    if remote is None or not paths.journal.exists():
        return
    size, start = paths.journal.stat().st_size, _stored.get(paths.journal, 0)
    with open_regular(paths.journal) as file:
        for part in range(start // _PART_BYTES, -(-size // _PART_BYTES)):
            file.seek(part * _PART_BYTES)
            remote.write(f"{_JOURNAL}/{part:06d}", file.read(_PART_BYTES))
    _stored[paths.journal] = size


def pull_journal(paths: StudyPaths) -> None:
    """Put the journal of a copy together from its parts; without any, there is none.

    Raises:
        StorageError: a part is missing.
    """
    remote = origin(paths.root)
    if remote is None:
        return
    _stored.pop(paths.journal, None)
    paths.journal.unlink(missing_ok=True)
    parts = sorted(remote.listed(_JOURNAL))
    if parts != [f"{_JOURNAL}/{part:06d}" for part in range(len(parts))]:
        raise StorageError(None, f"{remote.address} lacks parts of its journal; it has {parts}.")
    if parts:
        content = b"".join(remote.read(part) or b"" for part in parts)
        with replacing(paths.journal) as beside:
            beside.write_bytes(content)


def pull_stages(paths: StudyPaths) -> None:
    """Fetch what stages of training have learnt on other machines; their tokens are made anew."""
    remote = origin(paths.root)
    if remote is not None:
        listed = remote.listed(_name(paths, paths.shared))
        there = [(name, paths.root / name, mark) for name, mark in listed.items()]
        remote.get_all([one for one in there if not one[1].exists()])


def publish_stages(paths: StudyPaths) -> None:
    """Store what stages of training have learnt here; what another machine stored first stays."""
    remote = origin(paths.root)
    if remote is None or not paths.shared.is_dir():
        return
    known = remote.listed(_name(paths, paths.shared))
    for file in paths.shared.glob("*.safetensors"):
        if not file.stem.endswith("-last") and _name(paths, file) not in known:
            remote.put(_name(paths, file), file)


def _name(paths: StudyPaths, file: Path) -> str:
    return file.relative_to(paths.root).as_posix()


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _age(stamp: Path) -> float:
    mark = _mark(stamp)
    return time.time() - mark[1] / 1e9 if mark else float("inf")
