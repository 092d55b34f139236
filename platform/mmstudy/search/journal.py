"""The journal that Optuna keeps of a study, for its one driver; the 10,000th look costs what the
first one did.

Touched of Optuna's internals: the base class of its locks, and the trials that `JournalStorage` has
replayed; it replaces the record of a trial at every change, and never changes one that ended.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, TrialState

from mmstudy.errors import UsageError

__all__ = ["open_journal"]


def open_journal(path: Path | None) -> BaseStorage:
    """The journal at `path`, made or mended where needed; without a path, one in memory.

    The caller is its only writer: the engine holds the lock of the study.

    Raises:
        UsageError: a link, or no regular file: it could lead to a file of somebody else.
    """
    if path is None:
        return InMemoryStorage()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UsageError(
            f"{path} is a link or no regular file, so nothing is written to it. Look what it is, "
            "and delete it; the study then begins a journal anew."
        )
    if path.exists():
        _mend(path)
    return _Journal(JournalFileBackend(str(path), lock_obj=_OnlyWriter()))


def _mend(path: Path) -> None:
    """Cut off a line that a full disk or a kill left half-written: Optuna would not read on."""
    with path.open("rb+") as file:
        file.truncate(file.read().rfind(b"\n") + 1)


class _OnlyWriter(BaseJournalFileLock):
    """No lock, where Optuna's would make and delete a link at every report."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class _Journal(JournalStorage):
    """Optuna's, without going through trials that ended at every look; it keeps one study."""

    def __init__(self, backend: JournalFileBackend) -> None:
        self._seen: list[FrozenTrial] = []  # by number
        self._open: list[int] = []  # numbers of those that may still change, ascending
        super().__init__(backend)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """See Optuna."""
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
