"""The journal held against the study's records, and written anew from them where they differ.

What is recorded is the truth: a trial with a row keeps its number, its params and its end, whatever
a journal says that was lost, cut, copied too early or written by somebody else. A new journal holds
what an unbroken one would, so that proposals go on. Of an old one only trials are taken over that
were never recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import CmaEsSampler, GridSampler, NSGAIISampler, QMCSampler
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from mmcaf.files.atomic import replacing
from mmstudy.errors import UsageError
from mmstudy.search import cmaes
from mmstudy.search.journal import Journal, MemoryLines, Storage
from mmstudy.search.samplers import (
    Encoder,
    decode,
    directions,
    distribution,
    encode,
    encoder,
    quiet,
    rungs,
    sampler,
)
from mmstudy.search.scoring import curve_of, objective_value, outcome
from mmstudy.spec.space import Choice
from mmstudy.spec.study_spec import StudySpec
from mmstudy.storage.parquet import params_of
from mmstudy.storage.schema import EpochRow, State, TrialRow

__all__ = [
    "ADOPTED",
    "LOST",
    "NAME",
    "Known",
    "adopted_trial",
    "disagreement",
    "rebuild_journal",
    "unrecorded",
]

ADOPTED = "from"
"""User attribute of trials that another study ran."""
NAME = "study"
"""Of the one study that a journal keeps."""
LOST = "lost"
"""User attribute of numbers of which nothing is known any more; nobody gets them again."""

_STATES = {
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAIL: TrialState.FAIL,
}


@dataclass(frozen=True, slots=True)
class Known:
    """A complete trial of another study that may be adopted."""

    source: str
    params: dict[str, Any]
    values: tuple[float, ...]


def disagreement(
    storage: Storage,
    spec: StudySpec,
    rows: Iterable[TrialRow],
    *,
    folds: int,
    epochs: Callable[[int], list[EpochRow]],
) -> str | None:
    """Why the journal cannot be gone on with, as a clause about it; None where it can.

    A trial may be further in the journal than in its row: that of a driver killed between the two.
    Its epochs then give the value that the journal knows.

    Args:
        storage: the journal, as far as it could be read.
        spec: of the study.
        rows: every recorded trial.
        folds: that every complete trial went through.
        epochs: what is recorded of a trial; asked for those whose end has no row.
    """
    if isinstance(storage, Journal) and storage.fault is not None:
        return storage.fault
    trials = _trials(storage)
    if trials is None:
        return "it holds no study" if any(True for _ in rows) else None
    (study,) = storage.get_all_studies()[:1]
    ways = [one.name.lower() for one in study.directions]
    if study.study_name != NAME or ways != directions(spec):
        return "it is of a study with other objectives"
    missing, encoded = [], encoder(spec.space)
    for row in rows:
        if row.number >= len(trials):
            missing.append(row.number)
        elif (fault := _differs(trials[row.number], row, spec, encoded)) is not None:
            return f"it {fault} trial {row.number}"
        elif row.state is State.RUNNING and trials[row.number].state is TrialState.COMPLETE:
            curve = curve_of(epochs(row.number))
            told = _auroc(spec, trials[row.number])
            if not curve or told not in (objective_value(curve, folds)[0], None):
                return f"it knows an end that nothing backs of trial {row.number}"
    return f"it ends before trial {min(missing)}" if missing else None


def unrecorded(
    storage: Storage, spec: StudySpec, recorded: Container[int]
) -> dict[int, dict[str, Any]]:
    """Params of trials that ended in the journal, but have no row: their rows were lost."""
    found = {}
    for trial in _trials(storage) or ():
        lost = trial.number not in recorded and trial.state.is_finished()
        ours = lost and not {ADOPTED, LOST} & trial.user_attrs.keys()
        if ours and _fits(spec, trial):
            found[trial.number] = {
                path: decode(spec.space[path], value) for path, value in trial.params.items()
            }
    return found


def rebuild_journal(
    path: Path,
    spec: StudySpec,
    rows: Mapping[int, TrialRow],
    epochs: Mapping[int, Sequence[EpochRow]],
    old: Storage,
    adopted: Sequence[Known] = (),
) -> None:
    """Write the journal `path` anew, whole or not at all.

    Args:
        path: the journal.
        spec: of the study.
        rows: every recorded trial, by number; one that runs is handed out again.
        epochs: of every recorded trial.
        old: the journal as far as it could be read, for trials that were never recorded.
        adopted: trials of another study that came first, where `old` does not know them.

    Raises:
        StorageError: it cannot be written; the old one is unchanged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    lines = _KeptLines()
    storage = JournalStorage(lines)
    study = optuna.create_study(storage=storage, study_name=NAME, directions=directions(spec))
    before = {number: adopted_trial(spec, known) for number, known in enumerate(adopted)}
    before |= {trial.number: trial for trial in _trials(old) or ()}
    encoded = encoder(spec.space)
    trials = [
        _recorded(spec, rows[number], epochs.get(number, ()), encoded)
        if number in rows
        else _unrecorded(spec, before.get(number))
        for number in range(max([*rows, *before], default=-1) + 1)
    ]
    with quiet():
        _mark(spec, trials)
        for trial in trials:
            study.add_trial(trial)
        _mark_study(spec, study, len(trials))
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines.kept)


class _KeptLines(MemoryLines):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.kept += logs
        super().append_logs(logs)


def adopted_trial(spec: StudySpec, known: Known) -> FrozenTrial:
    """A trial of another study as Optuna keeps it."""
    return optuna.create_trial(
        values=list(known.values),
        params={path: encode(spec.space[path], value) for path, value in known.params.items()},
        distributions={path: distribution(spec.space[path]) for path in known.params},
        user_attrs={ADOPTED: known.source},
    )


def _trials(storage: Storage) -> list[FrozenTrial] | None:
    studies = storage.get_all_studies()
    if not studies:
        return None
    return storage.get_all_trials(studies[0]._study_id, deepcopy=False)


def _differs(trial: FrozenTrial, row: TrialRow, spec: StudySpec, encoded: Encoder) -> str | None:
    state = _STATES[row.state]
    if row.state is not State.RUNNING and trial.state is not state:
        return "does not know the end of"
    if trial.state is TrialState.WAITING or _params(spec, row, encoded) != trial.params:
        return "has other params for"
    if row.state is State.COMPLETE and _auroc(spec, trial) not in (row.value, None):
        return "has another value for"
    return None


def _auroc(spec: StudySpec, trial: FrozenTrial) -> float | None:
    """The value that a row keeps of a complete trial; None where the search is for others."""
    if trial.values is None or "auroc" not in spec.search.objectives:
        return None
    value: float = trial.values[spec.search.objectives.index("auroc")]
    return value


def _params(spec: StudySpec, row: TrialRow, encoded: Encoder) -> dict[str, Any] | None:
    """As Optuna keeps them; None where they are not of this space."""
    params = params_of(row.params, row.number)
    if not params.keys() <= spec.space.keys():
        return None
    return encoded(params)


def _recorded(
    spec: StudySpec, row: TrialRow, epochs: Sequence[EpochRow], encoded: Encoder
) -> FrozenTrial:
    """A recorded trial as Optuna keeps it."""
    params = _params(spec, row, encoded)
    if params is None:
        raise UsageError(
            f"Trial {row.number} has params that are not of the study's space: {row.params}. Its "
            "file is of another study; copy the right one there."
        )
    reported = _reported(spec, epochs)
    values = None
    if row.state is State.COMPLETE and row.value is not None:
        found = [outcome(name, row.value, [*epochs]) for name in spec.search.objectives]
        values = [0.0 if value is None else value for value in found]
    elif row.state is State.PRUNED and reported:
        values = [reported[max(reported)]]
    return optuna.create_trial(
        state=_STATES[row.state],
        values=values,
        params=params,
        distributions={path: distribution(spec.space[path]) for path in params},
        intermediate_values=reported,
        system_attrs=_rungs(spec, reported),
    )


def _unrecorded(spec: StudySpec, trial: FrozenTrial | None) -> FrozenTrial:
    """A number without a row: what the old journal says of it, or that it is lost."""
    if trial is not None and (trial.state is TrialState.WAITING or ADOPTED in trial.user_attrs):
        return trial
    if trial is not None and _fits(spec, trial):
        return optuna.create_trial(
            state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions
        )
    return optuna.create_trial(state=TrialState.FAIL, user_attrs={LOST: True})


def _fits(spec: StudySpec, trial: FrozenTrial) -> bool:
    """Whether the trial could have been proposed."""
    if not trial.params or not trial.params.keys() <= spec.space.keys():
        return False
    return trial.distributions == {path: distribution(spec.space[path]) for path in trial.params}


def _reported(spec: StudySpec, epochs: Sequence[EpochRow]) -> dict[int, float]:
    """What was told of the first fold, by epoch from 1; Optuna takes none with two objectives."""
    if len(spec.search.objectives) > 1:
        return {}
    first = ((row.epoch + 1, row.rates["auroc"]) for row in epochs if row.fold == 0)
    return {epoch: value for epoch, value in first if value is not None}


def _rungs(spec: StudySpec, reported: Mapping[int, float]) -> dict[str, float]:
    if spec.pruning is None:
        return {}
    return rungs(reported, spec.pruning.grace_epochs, spec.pruning.reduction)


def _mark(spec: StudySpec, trials: Sequence[FrozenTrial]) -> None:
    """Note in each trial what the sampler would have, had they run one after the other."""
    for point in spec.search.points:
        fixed = {path: encode(spec.space[path], value) for path, value in point.items()}
        for trial in trials:
            if "fixed_params" not in trial.system_attrs and fixed.items() <= trial.params.items():
                trial.system_attrs["fixed_params"] = fixed
                break
    complete = [n for n, trial in enumerate(trials) if trial.state is TrialState.COMPLETE]
    match sampler(spec, len(trials)):
        case CmaEsSampler():
            moving = [one for one in spec.space.values() if not isinstance(one, Choice)]
            size = sum(not distribution(one).single() for one in moving)
            population = 4 + floor(3 * log(size)) if size else len(trials)
            for n, marks in cmaes.marks(complete, population, spec.search.startup_trials).items():
                trials[n].system_attrs.update(marks)
        case GridSampler() as grid:
            _mark_grid(grid, trials)
        case NSGAIISampler() as genetic:
            for n, trial in enumerate(trials):
                generation = sum(one < n for one in complete) // (genetic.population_size or 1)
                trial.system_attrs[genetic._get_generation_key()] = generation


def _mark_grid(grid: GridSampler, trials: Sequence[FrozenTrial]) -> None:
    places = {tuple(point): place for place, point in enumerate(grid._all_grids)}
    for trial in trials:
        place = places.get(tuple(trial.params.get(name) for name in grid._param_names))
        if place is not None and "fixed_params" not in trial.system_attrs:
            trial.system_attrs.update(search_space=grid._search_space, grid_id=place)


def _mark_study(spec: StudySpec, study: optuna.Study, trials: int) -> None:
    """Where in its sequence a quasi-random sampler is; the first trial is none of it."""
    found = sampler(spec, trials)
    if not isinstance(found, QMCSampler) or trials < 2:
        return
    space = found.infer_relative_search_space(study, study.get_trials(deepcopy=False)[-1])
    before = study._storage.get_study_system_attrs(study._study_id).keys()
    found._find_sample_id(study, space)
    (name,) = study._storage.get_study_system_attrs(study._study_id).keys() - before
    study._storage.set_study_system_attr(study._study_id, name, trials - 2)
