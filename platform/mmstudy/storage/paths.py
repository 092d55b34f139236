"""Where everything of a study lies: every path is a property here, and nowhere else."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mmcaf.errors import DataError
from mmcaf.files.atomic import is_temporary
from mmcaf.files.untrusted import straight
from mmstudy.errors import MMStudyError

__all__ = ["StudyPaths"]

_SIBLING = re.compile(r"\.\./([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class StudyPaths:
    """The files of the study folder `root` (drawn in `docs/reference/study-folder.md`)."""

    root: Path

    @property
    def name(self) -> str:
        """The study's name is its folder's."""
        return self.root.name

    @property
    def study(self) -> Path:
        """Resolved spec, digests, folds and versions."""
        return self.root / "study.json"

    @property
    def journal(self) -> Path:
        """Optuna's journal: what the sampler knows."""
        return self.root / "optuna.journal"

    @property
    def lock(self) -> Path:
        """Held by the one driver that may write; names its host and process."""
        return self.root / "driver.lock"

    @property
    def stop(self) -> Path:
        """There while somebody asks the driver to stop; it may be another machine."""
        return self.root / "driver.stop"

    @property
    def trials(self) -> Path:
        """One Parquet file per trial, written by the driver."""
        return self.root / "trials"

    @property
    def metrics(self) -> Path:
        """One Parquet file per trial, written by the trial."""
        return self.root / "metrics"

    @property
    def predictions(self) -> Path:
        """One Parquet file per trial, written by the trial."""
        return self.root / "predictions"

    @property
    def artifacts(self) -> Path:
        """Checkpoints and logs, one folder per trial."""
        return self.root / "artifacts"

    @property
    def importance(self) -> Path:
        """Which settings the value depends on, as the driver saw it when it ended."""
        return self.root / "importance.json"

    @property
    def probe(self) -> Path:
        """How far each searched setting moves predictions, beside how far another seed does."""
        return self.root / "probe.json"

    @property
    def shared(self) -> Path:
        """Stages of training that trials share, and image tokens of frozen image sides."""
        return self.artifacts / "shared"

    def shared_with(self, link: str | None) -> Path:
        """Where the stages lie that studies of one root share; `link` is `../<folder>` or None.

        A link that leads anywhere else is not followed: the study keeps its own stages then, which
        are trained anew to the same numbers.

        Raises:
            DataError: its own folder for them is a link.
        """
        found = _SIBLING.fullmatch(link or "")
        if found is None or (self.root.parent / found[1]).is_symlink():
            return straight(self.shared / "any", self.root).parent
        return self.root.resolve().parent / found[1]

    @property
    def segments(self) -> Path:
        """Tables of many ended trials, and `manifest.json`, which says whose rows they hold."""
        return self.root / "segments"

    @property
    def manifest(self) -> Path:
        """Which segment holds the rows of which trials."""
        return self.segments / "manifest.json"

    @property
    def quarantine(self) -> Path:
        """Damaged files that were put aside, each beside a note that says why."""
        return self.root / "quarantine"

    @property
    def confirmations(self) -> Path:
        """One Parquet file per confirming run, written by its process."""
        return self.root / "confirmations"

    @property
    def evaluations(self) -> Path:
        """One row per look at the test set."""
        return self.root / "evaluations.parquet"

    def test_predictions(self, look: int) -> Path:
        """Every test case's probability, of one look at the test set."""
        return self.predictions / f"final-{look:03d}.test.parquet"

    def confirmation(self, number: int, run: int) -> Path:
        """One row per fold of one confirming run of a trial."""
        return self.confirmations / f"{number:05d}-{run:03d}.parquet"

    def confirmation_cases(self, number: int, run: int) -> Path:
        """Every validation case's probability, of one confirming run of a trial."""
        return self.predictions / f"confirmed-{number:05d}-{run:03d}.val.parquet"

    def trial(self, number: int) -> Path:
        """State, params and value of one trial."""
        return self.trials / f"{number:05d}.parquet"

    def trial_metrics(self, number: int) -> Path:
        """One row per fold and epoch."""
        return self.metrics / f"{number:05d}.parquet"

    def trial_predictions(self, number: int) -> Path:
        """One row per fold, epoch and validation case."""
        return self.predictions / f"{number:05d}.val.parquet"

    def trial_artifacts(self, number: int) -> Path:
        """Folder of one trial's checkpoints and log."""
        return self.artifacts / f"{number:05d}"

    def explanations(self, number: int) -> Path:
        """Folder of what one trial's networks look at (`mmstudy.storage.explanations`)."""
        return self.trial_artifacts(number) / "explanations"

    def checkpoint(self, number: int) -> Path:
        """What a living trial goes on from; large."""
        return self.trial_artifacts(number) / "last.safetensors"

    def network(self, number: int, fold: int) -> Path:
        """Weights of one fold at a trial's best epoch, kept once they were needed."""
        return self.trial_artifacts(number) / f"fold-{fold}.safetensors"

    def claim(self, number: int) -> Path:
        """Which attempt owns the trial's files."""
        return self.trial_artifacts(number) / "claim.json"

    def files(self, folder: Path, pattern: str) -> list[Path]:
        """What lies in a folder of the study under such a name, in order; nothing where there is
        no such folder.

        Raises:
            MMStudyError: a link lies in its place, or no folder, or it cannot be listed.
        """
        return sorted(folder / name for name in self._names(folder) if fnmatchcase(name, pattern))

    def has(self, path: Path) -> bool:
        """Whether anything lies at `path`, a file of the study, be it a link that leads nowhere.

        Raises:
            MMStudyError: its folder cannot be looked into.
        """
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _closed(path.parent, error) from error
        return True

    def foreign(self) -> str | None:
        """Why the folder is not one that a study alone has made, as a clause; None where it is.

        By names only, so also of a study that cannot be read.
        """
        try:
            names = {path.name for path in self.root.iterdir()}
        except OSError as error:
            return f"cannot be looked into: {error.strerror}"
        marks = (self.study, self.journal, self.trials, self.segments)
        tables = (self.metrics, self.predictions, self.confirmations, self.evaluations)
        others = (self.lock, self.stop, self.artifacts, self.quarantine)
        notes = (self.importance, self.probe)
        known = {path.name for path in (*marks, *tables, *others, *notes)}
        if not names & {path.name for path in marks}:
            return "is no study"
        strange = sorted(one for one in names - known if not is_temporary(one))
        return f"holds {strange[0]!r}, which is of no study" if strange else None

    def check_folders(self) -> None:
        """Refuse a study whose records cannot be looked through: none would seem to be there.

        Raises:
            MMStudyError: as `files` says; names the folder.
        """
        for folder in (self.trials, self.metrics, self.predictions, self.segments):
            self._names(folder)
        for folder in (self.confirmations, self.artifacts, self.quarantine):
            self._names(folder)

    def _names(self, folder: Path) -> list[str]:
        try:
            with os.scandir(straight(folder / "any", self.root).parent) as entries:
                return [entry.name for entry in entries]
        except FileNotFoundError:
            return []
        except DataError as error:
            raise MMStudyError(str(error)) from error
        except OSError as error:
            raise _closed(folder, error) from error


def _closed(folder: Path, error: OSError) -> MMStudyError:
    return MMStudyError(
        f"Cannot look into {folder}: {error.strerror}. Look whose it is; copy the study as your "
        "own."
    )
