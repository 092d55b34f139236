"""What the dashboard's pages read, by the functions they read it with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import loading
from frame import FAULTS

from mmstudy.storage.explanations import load
from mmstudy.study import Study

__all__ = ["read"]


def read(root: str) -> int:
    """Read all that the pages of a root show; what they would tell of faults goes to stderr."""
    faults: list[str] = []

    def tried(look: Any) -> Any:
        try:
            return look()
        except FAULTS as error:
            faults.append(str(error))
            return None

    tried(partial(loading.benchmark, Path(root)))
    for one in loading.found(Path(root)):
        if one.study is None:
            faults.append(str(one.fault))
            continue
        for look in _looks(one.study):
            tried(look)
    sys.stderr.write("\n".join(faults))
    return 1 if faults else 0


def _looks(study: Study) -> Iterator[Any]:
    yield from (study.live, study.importances, study.probe, study.confirmed, study.evaluations)
    yield partial(loading.trials, study)
    yield partial(loading.means, study)
    yield partial(loading.comparison, study, expected=False)
    yield partial(loading.slices, study, study.about.split.folds[0].val[0], "lung", 2)
    for number in (4, 6):
        yield partial(loading.epochs_of, study, [number])
    yield partial(loading.hard, study, (4,))
    yield partial(loading.diagnosis, study, 4)
    yield partial(_explanations, study, 4)


def _explanations(study: Study, number: int) -> None:
    found = load(study.folder, number)
    for case in found.cases if found is not None else ():
        if case.cam is not None:
            found.picture(study.folder, case.case)
            found.map(study.folder, case.case)
