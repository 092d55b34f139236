"""Who looked at a study's test patients: the study itself, others of its root, and any other study
that left a note beside the cohort.

A look is told by when it was and by its trial, so that copies of a study count once. The order of
looks does not matter: whoever may choose among seven results shows the best of seven.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mmcaf.errors import DataError
from mmcaf.files.look_notes import Look, looks_folder, noted_looks
from mmcaf.files.remote import origin, place
from mmstudy.errors import MMStudyError
from mmstudy.storage.about import cohort_place
from mmstudy.storage.folder import StudyFolder
from mmstudy.study import Study, found_studies, open_study

__all__ = ["Looks", "counted", "look_files", "looks_of"]

_NAMED = 3  # studies that a sentence names


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Every look at the test patients of a study that is known of."""

    own: tuple[int, ...]  # the trial of each look of the study, in order
    elsewhere: tuple[Look, ...] = ()  # of other studies, at any of its test patients
    seen: int = 0  # test patients that others looked at
    patients: int = 0  # test patients
    unknown: tuple[str, ...] = ()  # why looks of other roots may be missing, sentences

    @property
    def count(self) -> int:
        """How often the test patients were looked at."""
        return len(self.own) + len(self.elsewhere)

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the other studies that looked, in order."""
        return tuple(sorted({look.study for look in self.elsewhere}))

    @property
    def sentence(self) -> str:
        """How often, and by how many studies."""
        if not self.elsewhere:
            return f"The test set has been looked at {counted(self.count, 'time')}."
        studies = counted(len(self.others) + bool(self.own), "study", "studies")
        return (
            f"The test set has been looked at {counted(self.count, 'time')}, in {studies}; with "
            f"{self._elsewhere()}."
        )

    def caution(self, number: int) -> str | None:
        """Why the test set is none for trial `number`, as a clause; None where it is one."""
        trials, parts = len({*self.own} - {number}), []
        if trials:
            parts.append(counted(trials, "other trial"))
        if self.elsewhere:
            parts.append(self._elsewhere())
        if not parts:
            return None
        return (
            f"the test set was also looked at with {' and '.join(parts)}, which makes it a "
            "validation set"
        )

    def _elsewhere(self) -> str:
        """Such as: 6 trials of 6 other studies (a, b, c, ...)."""
        trials = len({(look.study, look.trial) for look in self.elsewhere})
        names = ", ".join(self.others[:_NAMED]) + (", ..." if len(self.others) > _NAMED else "")
        part = "" if self.seen == self.patients else f", at {self.seen} of {self.patients} patients"
        studies = counted(len(self.others), "other study", "other studies")
        return f"{counted(trials, 'trial')} of {studies} ({names}{part})"


def looks_of(study: Study, cohort: Path | str | None = None) -> Looks:
    """Who looked at the test patients of `study`.

    Args:
        study: with or without a look of its own.
        cohort: its cohort, if that was moved; beside it other studies leave their notes.
    """
    test, own = frozenset(study.about.split.test), study.evaluations()
    if not test:
        return Looks(own=())
    mine = {_key(look) for look in _looks_in(study)}
    noted, unknown = _noted(study, cohort)
    beside, unread = _in_root(study)
    found = {_key(look): look for look in (*noted, *beside)}
    elsewhere = tuple(
        look for key, look in sorted(found.items()) if key not in mine and test & {*look.cases}
    )
    return Looks(
        own=tuple(own["number"]),
        elsewhere=elsewhere,
        seen=len(test & {case for look in elsewhere for case in look.cases}),
        patients=len(test),
        unknown=(*unknown, *unread),
    )


def look_files(study: Study) -> list[Path]:
    """What `looks_of` depends on besides the study itself: whoever keeps its answer looks here."""
    root = study.folder.root.resolve()
    found = [StudyFolder(root.parent / name).evaluations for name in _names(root.parent)]
    with suppress(MMStudyError, DataError):
        found.append(looks_folder(cohort_place(study.about, study.folder)))
    return [path for path in found if path.exists() and path.parent != root]


def counted(count: int, what: str, several: str | None = None) -> str:
    """A number with its noun.

    >>> counted(1, "trial"), counted(2, "trial"), counted(2, "study", "studies")
    ('1 trial', '2 trials', '2 studies')
    """
    return f"{count} {what}" if count == 1 else f"{count} {several or what + 's'}"


def _key(look: Look) -> tuple[datetime, int]:
    return datetime.fromisoformat(look.written), look.trial


def _looks_in(study: Study) -> Iterator[Look]:
    for number, written in study.evaluations().select("number", "written").iter_rows():
        yield study.look(number, written)


def _in_root(study: Study) -> tuple[list[Look], tuple[str, ...]]:
    """The looks of the other studies that lie beside this one, and which cannot be read."""
    found, unread = list[Look](), list[str]()
    for name, other in _beside(study.folder):
        try:
            found += () if other is None else _looks_in(other)
        except (MMStudyError, DataError, OSError):
            other = None
        if other is None:
            unread.append(name)
    if not unread:
        return found, ()
    names = ", ".join(unread[:_NAMED]) + (", ..." if len(unread) > _NAMED else "")
    return found, (f"Those of {names}, beside this study, cannot be read.",)


def _beside(folder: StudyFolder) -> Iterator[tuple[str, Study | None]]:
    """The other studies of a root that looked at their test sets, by name; None: one that cannot be
    opened."""
    own = folder.root.resolve()
    if folder.stored:
        others = (one.study for one in found_studies(folder.root.parent))
        named = ((one.name, one) for one in others if one is not None)
        yield from (one for one in named if one[0] != folder.name)
        return
    for name in _names(own.parent):
        if name != own.name and StudyFolder(own.parent / name).evaluations.is_file():
            try:
                other = open_study(own.parent / name)
            except (MMStudyError, DataError, OSError):
                other = None
            yield name, other


def _names(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return sorted(one.name for one in entries if one.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _noted(study: Study, cohort: Path | str | None) -> tuple[Sequence[Look], tuple[str, ...]]:
    """The notes beside the cohort, and why some or all of them cannot be read."""
    try:
        if cohort is not None:
            folder = place(str(cohort), "cohort")
        else:
            folder = cohort_place(study.about, study.folder)
        if origin(folder) is not None:
            return (), ("Its cohort lies in a store, which keeps no notes of looks.",)
        if not folder.is_dir():
            return (), ("Its cohort is not where it lay; give it with --cohort.",)
        found, damaged = noted_looks(folder)
    except (MMStudyError, DataError) as error:
        return (), (str(error),)
    rest = len(damaged) - 1
    more = [f"{counted(rest, 'further note')} cannot be read either."] if rest > 0 else []
    return found, (*damaged[:1], *more)
