"""The journal that Optuna keeps of a study, for its one driver; the 10,000th look costs what the
first one did.

The study's records are the truth, the journal is what the sampler knows of them. So a journal that
cannot be read to its end is opened as far as it goes, and says what is wrong with it:
`mmstudy.search.rebuild` then writes a new one from the records.

Touched of Optuna's internals: the trials that `JournalStorage` has replayed; it replaces the record
of a trial at every change, and never changes one that ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError, file_mode, make_folder, sync_folder
from mmcaf.files.untrusted import read_bytes
from mmstudy.errors import UsageError

__all__ = ["Journal", "MemoryLines", "Storage", "open_journal"]

Storage = BaseStorage

_MOST_BYTES = 1 << 33  # 10,000 trials of 100 epochs are some hundred megabytes


def open_journal(path: Path | None) -> Storage:
    """The journal at `path`, as far as it can be read; without a path, one in memory.

    The caller is its only writer: the engine holds the lock of the study. Nothing is written before
    the first change.

    Raises:
        UsageError: a link, or no regular file: it could lead to a file of somebody else.
    """
    if path is None:
        return InMemoryStorage()
    lines = _FileLines(path)
    try:
        return Journal(lines, lines.fault)
    except Exception as error:
        fault = f"its line {lines.given} is no step of a study ({type(error).__name__})"
        return Journal(_FileLines(path, lines.given - 1), fault)


class Journal(JournalStorage):
    """Optuna's, without going through trials that ended at every look; it keeps one study.

    Attributes:
        fault: why it has to be written anew, as a clause about it; None where it is whole.
    """

    def __init__(self, backend: BaseJournalBackend, fault: str | None = None) -> None:
        self._seen: list[FrozenTrial] = []  # by number
        self._open: list[int] = []  # numbers of those that may still change, ascending
        self.fault = fault
        super().__init__(backend)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """The trials of the study, by number; as they are kept, not copies, unless asked for."""
        if deepcopy:
            return super().get_all_trials(study_id, deepcopy, states)
        with self._thread_lock:
            self._sync_with_backend()
            self._look(study_id)
            if states is None:
                return [*self._seen]
            looked = [self._seen[number] for number in self._open]
            if any(state in states for state in TrialState if state.is_finished()):
                looked = self._seen
            return [trial for trial in looked if trial.state in states]

    def _look(self, study_id: int) -> None:
        """Bring what was seen up to date."""
        replayed = self._replay_result
        ids = replayed._study_id_to_trial_ids[study_id]
        self._open += range(len(self._seen), len(ids))
        self._seen += [replayed._trials[trial_id] for trial_id in ids[len(self._seen) :]]
        for number in self._open:
            self._seen[number] = replayed._trials[ids[number]]
        self._open = [number for number in self._open if not self._seen[number].state.is_finished()]


class MemoryLines(BaseJournalBackend):
    """The lines of a journal, those in memory that were not read yet; for one reader and writer."""

    def __init__(self) -> None:
        self._first = 0  # number of the first line in memory
        self._lines: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines from that number on."""
        lines = self._lines[log_number_from - self._first :]
        self._first, self._lines = log_number_from + len(lines), []
        return iter(lines)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines."""
        self._lines += logs


class _FileLines(MemoryLines):
    """The lines of the file `path`; at most the first `most`.

    A last line that a full disk or a kill left half-written is passed over, and cut off before the
    next one is written.
    """

    def __init__(self, path: Path, most: int | None = None) -> None:
        super().__init__()
        content = _content(path)
        self._bytes = content.rfind(b"\n") + 1
        self._path, self._unread, self._most = path, content[: self._bytes], most
        self.given = 0  # lines that were read from the file
        self.fault: str | None = None
        if content and not self._bytes:
            self.fault = "it is cut off in its first line"
        if path.exists() and path.stat().st_uid != os.geteuid():
            self.fault = "it belongs to another user"

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines from that number on."""
        unread, self._unread = BytesIO(self._unread), b""
        for line in islice(unread, self._most):
            self.given = self._first = self.given + 1
            yield json.loads(line)
        yield from super().read_logs(max(log_number_from, self._first))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines, then flush them to disk.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        try:
            make_folder(self._path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(self._path, flags, file_mode()), "wb") as file:
                file.truncate(self._bytes)
                file.seek(self._bytes)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if not self._bytes:  # it may be new
                sync_folder(self._path.parent)
        except OSError as error:
            raise StorageError(
                error.errno, f"Cannot write {self._path}: {error.strerror}. Free some space."
            ) from error
        self._bytes += len(text)
        super().append_logs(logs)


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, most=_MOST_BYTES)
    except FileNotFoundError:
        return b""
    except DataError as error:
        raise UsageError(str(error)) from error
