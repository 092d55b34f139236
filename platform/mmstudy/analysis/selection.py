"""What the best trial of a study was chosen among, and on whom: made once, asked by every sentence.

A trial counts where it had a value to be compared by: complete and pruned ones do. Infeasible ones
never ran, failed ones have no value, and adopted ones are another study's; that study is a source,
with all that was chosen there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmcaf.stats.estimates import Estimate
from mmstudy.analysis.looks import Looks, counted, looks_of
from mmstudy.errors import MMStudyError
from mmstudy.storage.about import About
from mmstudy.storage.schema import Source, State
from mmstudy.study import Study

__all__ = ["Selection", "selection_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How a study's best trial came to be it."""

    trial: int
    value: float  # of the search
    place: int  # by that value among the complete trials, from 1
    confirmed: Estimate | None  # over new splits and seeds
    rivals: int  # trials that were confirmed, this one among them
    complete: int  # trials that ran to their end
    trials: int  # that counted: complete and pruned ones
    epochs: int  # of the trial, one of which was chosen; 0 where its metrics are lost
    folds: int  # over which the value is the mean
    sources: tuple[Source, ...]  # studies that the search began from, and theirs
    points: int  # that the spec itself gave to be tried first
    unrecorded: bool  # it began from a study of which no record was kept
    chosen_on: int  # validation patients that served in a source's search as well
    tested_on: int  # test patients that served in a source's search
    looked_at: int  # test patients that were looked at in a source
    foreign: tuple[str, ...]  # sources whose cohort names patients by another key
    patients: int  # test patients
    looks: Looks

    @property
    def before(self) -> str | None:
        """What was chosen before this search began, such as: 20 trials of other."""
        if not self.sources:
            return "trials of another study, unrecorded" if self.unrecorded else None
        once = {(one.study, one.begun): one for one in self.sources}
        return " and ".join(f"{counted(s.trials, 'trial')} of {s.study}" for s in once.values())

    @property
    def inherits(self) -> bool:
        """Whether a choice on these validation patients came before the search."""
        return bool(self.chosen_on) or self.unrecorded

    @property
    def standing(self) -> str:
        """How the trial stands among those that counted, with what that does to its value."""
        after = f", begun from {self.before}" if self.before else ""
        if self.place > 1:
            return f"number {self.place} of {counted(self.complete, 'complete trial')}{after}"
        if self.trials > 1:
            return f"the best of {self.trials} trials{after} and so optimistic"
        return f"the only trial{after and ' here' + after + ' and so optimistic'}"

    @property
    def sentence(self) -> str:
        """The value of the best trial and what it is the best of."""
        told = f"Trial {self.trial} has the value {self.value:.3f} in the search, {self.standing}."
        if self.confirmed is None:
            return told
        of = "the only trial that was" if self.rivals == 1 else f"the best of {self.rivals} so"
        return f"{told} Over new splits and seeds it has {_shown(self.confirmed)}, {of} confirmed."

    @property
    def choice(self) -> str | None:
        """Why validation cases flatter the trial, as a clause; None where nothing was chosen."""
        if self.trials <= 1 and self.epochs == 1 and not self.inherits:
            return None
        how = "among" if self.confirmed is not None else "as the best of"
        after = f", after {self.before}" if self.inherits else ""
        epochs = counted(self.epochs, "epoch") if self.epochs else "an unknown number of epochs"
        return (
            f"ours was chosen {how} {counted(self.trials, 'trial')} and {epochs} on these very "
            f"patients{after}, so that a test would flatter it"
        )

    @property
    def served(self) -> str | None:
        """Why the test patients are no news to the search, as a clause; None where they are."""
        if self.tested_on:
            return (
                f"{self.tested_on} of the {self.patients} test patients served in a search that "
                f"this one began from ({self._names('searched')}), so that a test would flatter it"
            )
        if self.looked_at:
            return (
                f"{self.looked_at} of the {self.patients} test patients were looked at in a study "
                f"that this one began from ({self._names('looked')}), which makes them validation "
                "patients"
            )
        return None

    def untested(self, number: int) -> str | None:
        """Why a test on the test patients with trial `number` would not be valid, or None."""
        return self.served or self.looks.caution(number)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the search began from, and what is not known of that; sentences."""
        found = []
        for one in self.sources:
            way = "knew" if one.way == "warm_start" else "tried first"
            what = f"{way} {counted(one.taken, 'trial')} of {one.study}"
            if one.through is not None:
                what = f"began, through {one.through}, from {one.study}"
            found.append(
                f"The search {what}: {counted(one.trials, 'trial')} on "
                f"{counted(len(one.searched), 'patient')}."
            )
        if self.inherits:
            found.append(
                "What is expected (BBC-CV) is corrected for the choice that was made here, not for "
                "the one that was made there."
            )
        if self.foreign:
            found.append(
                f"The search of {' and '.join(self.foreign)} was on another cohort, which names "
                "its patients by a key of its own: whether patients of this study served there "
                "cannot be told, and nothing here corrects for it."
            )
        if self.unrecorded:
            found.append("The search began from another study, of which no record was kept.")
        if self.points:
            found.append(
                f"The spec itself gave {counted(self.points, 'point')} to be tried first; where "
                "they were chosen is not recorded, and nothing here corrects for it."
            )
        missing = [
            f"Looks of studies elsewhere may be missing. {why}" for why in self.looks.unknown
        ]
        return (*found, *missing)

    def _names(self, of: str) -> str:
        return ", ".join(dict.fromkeys(one.study for one in self.sources if getattr(one, of)))


def selection_of(study: Study, cohort: Path | str | None = None) -> Selection:
    """How the best trial of `study` came to be it.

    Args:
        study: with a complete trial.
        cohort: its cohort, if that was moved; beside it the looks of other studies are noted.

    Raises:
        MMStudyError: no trial is complete.
    """
    study, about = study.read(), study.about
    best = study.best_trial()
    if best is None:
        raise MMStudyError(f"{study.name} has no complete trial yet.")
    number, counts = int(best["number"]), study.counts()
    confirmed, test = study.confirmed(), {*about.split.test}
    own = {case for fold in about.split.folds for case in (*fold.train, *fold.val)}
    searched = {case for source in about.sources for case in source.searched}
    looked = {case for source in about.sources for case in source.looked}
    return Selection(
        trial=number,
        value=float(best["value"]),
        place=1 + study.highest(study.trials().height).index(number),
        confirmed=confirmed.get(number),
        rivals=len(confirmed),
        complete=counts[State.COMPLETE],
        trials=counts[State.COMPLETE] + counts[State.PRUNED],
        epochs=study.metrics(number).select(pl.col("epoch").n_unique()).item(),
        folds=study.folds,
        sources=about.sources,
        points=about.points,
        unrecorded=about.unrecorded,
        chosen_on=len(own & searched),
        tested_on=len(test & searched),
        looked_at=len(test & looked),
        foreign=tuple(dict.fromkeys(_foreign(about, own | test))),
        patients=len(test),
        looks=looks_of(study, cohort),
    )


def _foreign(about: About, cases: set[str]) -> Iterator[str]:
    """Sources of another cohort that shares no case: a cohort names its patients by its own key."""
    for one in about.sources:
        if one.cohort_digest != about.cohort_digest and cases.isdisjoint(one.searched):
            yield one.study


def _shown(found: Estimate) -> str:
    return f"{found.mean:.3f} [{found.low:.2f}, {found.high:.2f}] ({counted(found.n, 'fold')})"
