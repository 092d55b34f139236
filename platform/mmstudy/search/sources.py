"""Studies that a search begins from: which may be, and what is kept of them.

A warm start knows another study's trials, `enqueue: {from: ...}` tries its best ones first. Either
way the params were chosen on that study's patients. So one rule holds for both: a source whose
search saw test patients of this study is refused, and what was taken from whom is recorded. Only
the user's own spec names a source. A record of one, in whatever folder, is data and leads nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from mmcaf.data.splits import Split
from mmstudy.errors import UsageError
from mmstudy.search.rebuild import Known
from mmstudy.spec.sections import TrialConfig, network_name
from mmstudy.spec.space import in_order, is_active
from mmstudy.spec.study_spec import FromStudy, StudySpec, trial_config
from mmstudy.storage.about import About, read_about
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.parquet import params_of
from mmstudy.storage.schema import Source, State
from mmstudy.study import Study

__all__ = ["as_params", "begun_from", "proposable", "refuse_seen", "with_points"]


def begun_from(spec: StudySpec, split: Split, known: Sequence[Known] = ()) -> tuple[Source, ...]:
    """A record of each study that `spec` names to begin from, and of those that they began from.

    Args:
        spec: of the study that begins.
        split: its folds and test set.
        known: what `known_trials` took from its warm start.

    Raises:
        UsageError: the search of a source saw a test patient, or no trial of it fits the space.
    """
    found: list[Source] = []
    if spec.search.warm_start is not None:
        warm = StudyFolder.at(spec.search.warm_start)
        found += _recorded(warm, Source(study=warm.name, way="warm_start", trials=0), len(known))
    if isinstance(spec.search.enqueue, FromStudy):
        folder = StudyFolder.at(spec.search.enqueue.folder)
        points = _best_points(spec, folder, spec.search.enqueue.top, split)
        source = Source(study=folder.name, way="enqueue", trials=0, points=points)
        found += _recorded(folder, source, len(points))
    # A study that is begun from both ways brings its own sources once, or each generation would
    # have twice as many as the one before.
    return tuple(one for place, one in enumerate(found) if one not in found[:place])


def with_points(spec: StudySpec, sources: Sequence[Source]) -> StudySpec:
    """`spec` with the points to try first that were recorded of its sources.

    Of a record only points within the space are believed.
    """
    if not isinstance(spec.search.enqueue, FromStudy):
        return spec
    points = [point for source in sources if source.through is None for point in source.points]
    inside = tuple(
        point
        for point in points
        if all(path in spec.space and spec.space[path].contains(v) for path, v in point.items())
    )
    search = spec.search.model_copy(update={"enqueue": inside})
    return spec.model_copy(update={"search": search})


def refuse_seen(setting: str, about: About, split: Split) -> None:
    """Refuse a source whose search, or that of a study it began from, saw a test patient.

    Args:
        setting: the setting that names the source, for the fault.
        about: of the source.
        split: of the study that begins.

    Raises:
        UsageError: says whose search, and how many patients.
    """
    own = {case for fold in about.split.folds for case in (*fold.train, *fold.val)}
    searches = {about.name: own}
    for source in about.sources:
        searches[f"{source.study}, which {about.name} began from"] = {*source.searched}
    for whose, cases in searches.items():
        if seen := len(cases.intersection(split.test)):
            raise UsageError(
                f"{setting}: {seen} of the {len(split.test)} test patients of this study served in "
                f"the search of {whose}: what was chosen there is no news to them, and no test on "
                f"them would be valid. Set aside the same patients as there (protocol), or begin "
                "without that study."
            )


def proposable(spec: StudySpec, config: TrialConfig) -> dict[str, Any] | None:
    """The params with which `spec` would propose what is searched of `config`; None where it never
    would: outside its space, or against its constraints."""
    params = as_params(spec, config)
    try:
        if params is not None:
            trial_config(spec, params)
    except ValueError:  # a constraint, or settings that are fixed here and do not go with these
        return None
    return params


def as_params(spec: StudySpec, config: TrialConfig) -> dict[str, Any] | None:
    """The searched settings of `config`; None where the space of `spec` has none such."""
    params: dict[str, Any] = {}
    if network_name(spec.model) != config.model.name:
        return None
    for path, dimension in in_order(spec.space):
        if is_active(dimension, params):
            value = config.setting(path)
            value = [*value] if isinstance(value, tuple) else value
            if not dimension.contains(value):
                return None
            params[path] = value
    return params


def _best_points(
    spec: StudySpec, folder: StudyFolder, top: int, split: Split
) -> tuple[dict[str, Any], ...]:
    """The params of the `top` best trials in `folder` that fit the space, the best first."""
    folder.refresh()
    about = read_about(folder)
    refuse_seen("search.enqueue", about, split)
    before, found, rows = about.spec, list[dict[str, Any]](), FolderLedger(folder).trials()
    params = {row.number: row.params for row in rows if row.state is State.COMPLETE}
    trials = Study(folder, about).trials()
    for number in trials.filter(state=State.COMPLETE)["number"].to_list():
        config = trial_config(before, params_of(params[number], number))
        point = proposable(spec, config)
        if point is not None and point not in found:
            found.append(point)
    if not found:
        raise UsageError(
            f"search.enqueue: none of the {len(params)} complete trials of {folder.address} lies "
            "in this space: it needs the same network, and every searched setting within its "
            "range. Widen the space, or leave out enqueue."
        )
    return tuple(found[:top])


def _recorded(folder: StudyFolder, source: Source, taken: int) -> list[Source]:
    """The record of a source as it is now, and behind it those of its own sources."""
    about = read_about(folder)
    study = Study(folder, about)
    counts, split = study.counts(), about.split
    whole = replace(
        source,
        begun=about.created,
        cohort_digest=about.cohort_digest,
        trials=counts[State.COMPLETE] + counts[State.PRUNED],
        taken=taken,
        searched=tuple(sorted({c for fold in split.folds for c in (*fold.train, *fold.val)})),
        looked=tuple(sorted(split.test)) if study.evaluations().height else (),
    )
    return [whole, *(replace(one, through=about.name, points=()) for one in about.sources)]
