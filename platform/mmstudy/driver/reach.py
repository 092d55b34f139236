"""What a searched setting can move, measured before the search: its extremes beside another seed.

Every dimension is set to its two extremes, all others being held at one base point, and a network
is trained at either by the code that trains a trial, on the first fold of the study. How far the
two differ on the fold's validation patients stands beside how far two seeds differ at the base
point. A search over a setting that moves less than a seed does mostly finds noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Any

import msgspec
import numpy as np

from mmcaf.data.node_cache import make_volumes
from mmcaf.data.splits import Split
from mmcaf.data.volumes import VolumeSpec
from mmcaf.stats.movement import movement
from mmstudy.driver.contract import Runner
from mmstudy.driver.drive import Plan, adapted
from mmstudy.errors import Interrupted, MMStudyError, UsageError
from mmstudy.spec.space import Choice, Dimension, in_order, is_active, wanted
from mmstudy.spec.study_spec import StudySpec, trial_config
from mmstudy.storage.about import read_about
from mmstudy.storage.lock import driver_lock
from mmstudy.storage.origin import Origin
from mmstudy.storage.schema import Probe, ProbeRow, ProbeRun
from mmstudy.trial.compute import TrialPlan, derive_seed, plan_trial, stages_seed, train

__all__ = ["MOST_SEEDS", "base_point", "extremes", "origin_of", "probe"]

MOST_SEEDS = 100
"""Of one probe."""

_LOGIT_CLAMP = 1e-7  # keeps the logit of a saturated probability finite

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two extremes of a dimension, and the base point beside which they stand, as params."""

    path: str
    base: dict[str, Any]
    low: dict[str, Any]
    high: dict[str, Any]


def probe(
    plan: Plan,
    runner: Runner,
    *,
    seeds: int = 5,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> Probe:
    """Measure what is missing of `seeds` trainings of every point; written after each of them.

    It lies in the folder that the study has, or will have when it begins.

    Args:
        plan: what `plan_study` has checked.
        runner: who would run the trials; says which hardware there is.
        seeds: of each point, 2 at least; 3 are needed for an interval.
        progress: told of every epoch.
        say: told what a user should know.

    Raises:
        UsageError: the space is empty, a driver runs the study, or a number is out of range.
        CohortError: a volume is not what was ingested.
        Interrupted: the user stopped it; the same call goes on from there.
    """
    if not 2 <= seeds <= MOST_SEEDS:
        raise UsageError(f"seeds must be from 2 to {MOST_SEEDS}, got {seeds}.")
    pairs = [*_pairs(plan.spec)]
    if not pairs:
        raise UsageError("The spec searches nothing: there is no setting to probe.")
    with driver_lock(plan.folder):
        plan.folder.refresh(at_once=True)
        _check_study(plan)
        for side in plan.in_plane_px:
            make_volumes(plan.cohort, VolumeSpec(side), progress)
        device = "cuda" if adapted(plan.spec.resources, runner, say).gpu else "cpu"
        record = _begun(plan, device, say)
        try:
            record = _measured(plan, record, pairs, seeds, progress)
        except KeyboardInterrupt as error:
            words = "Stopped. Trainings that are done are stored; the same command goes on."
            raise Interrupted(words) from error
    return record


def origin_of(plan: Plan) -> Origin:
    """Whose data a probe is of, and whether any of its windows is placed by annotations."""
    searched = plan.spec.space.get("data.location")
    places = {_config(plan.spec, {}).data.location, *(searched.grid() if searched else ())}
    oracle = "oracle" in places or plan.spec.model.get("name") == "lesion_box"
    return Origin(plan.cohort.synthetic, oracle)


def base_point(spec: StudySpec, forced: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Params at which other settings are held: the first enqueued point, else what the spec fixes,
    else the middle of the range; `forced` has the last word, and its conditions are met."""
    forced = _closed(spec, dict(forced or {}))
    params: dict[str, Any] = {}
    for path, dimension in in_order(spec.space):
        if is_active(dimension, params):
            params[path] = forced[path] if path in forced else _usual(spec, path)
    return params


def extremes(dimension: Dimension) -> tuple[Any, Any]:
    """The two ends of a dimension.

    Of a choice among numbers, or lists of them, those of the smallest and the largest sum; of
    words, the first and the last.
    """
    if not isinstance(dimension, Choice):
        return dimension.bounds
    first, last = dimension.options[0], dimension.options[-1]
    with suppress(TypeError):  # words have no sum
        low, high = (of(dimension.options, key=_sum) for of in (min, max))
        if _sum(low) < _sum(high):
            return low, high
    return first, last


def _sum(value: Any) -> float:
    if isinstance(value, list | tuple):
        return sum(map(_sum, value))
    if isinstance(value, int | float):
        return float(value)
    raise TypeError


def _closed(spec: StudySpec, forced: dict[str, Any]) -> dict[str, Any]:
    """`forced`, and what its conditions ask of other dimensions."""
    waiting = [*forced]
    while waiting:
        for other, want in spec.space[waiting.pop()].when.items():
            if other not in forced:
                usual, allowed = _usual(spec, other), wanted(want)
                forced[other] = usual if usual in allowed else allowed[0]
                waiting.append(other)
    return forced


def _usual(spec: StudySpec, path: str) -> Any:
    dimension = spec.space[path]
    for point in spec.search.points:
        if path in point:
            return point[path]
    fixed = _plain(trial_config(spec, {}, constrained=False).setting(path))
    if dimension.contains(fixed):
        return fixed
    if isinstance(dimension, Choice):
        return dimension.options[0]
    if values := dimension.grid():
        return values[len(values) // 2]
    low, high = dimension.bounds
    return sqrt(low * high) if dimension.log else (low + high) / 2


def _plain(value: Any) -> Any:
    """A setting as a spec writes it: its tuples as lists."""
    return [*map(_plain, value)] if isinstance(value, tuple) else value


def _pairs(spec: StudySpec) -> Iterator[_Pair]:
    for path, dimension in spec.space.items():
        usual = _usual(spec, path)
        ends = [base_point(spec, {path: value}) for value in extremes(dimension)]
        base = base_point(spec)
        yield _Pair(path, base if path in base else base_point(spec, {path: usual}), *ends)


def _check_study(plan: Plan) -> None:
    """Refuse a folder that holds a study of other patients, folds or spec; epochs may differ.

    Raises:
        UsageError: says which.
    """
    if not plan.folder.study.exists():
        return
    known = read_about(plan.folder)
    same = {
        "cohort": known.cohort_digest == plan.cohort.digest,
        "folds": known.split == plan.split,
        "spec": known.spec.digest(epochs=False) == plan.spec.digest(epochs=False),
    }
    if other := [name for name, holds in same.items() if not holds]:
        raise UsageError(
            f"{plan.folder.root} holds a study with another {' and '.join(other)}; choose another "
            "--name. Only train.epochs may differ."
        )


def _begun(plan: Plan, device: str, say: Callable[[str], None]) -> Probe:
    """The record to go on with: the stored one, if it is of this very plan and version."""
    base = base_point(plan.spec)
    fresh = Probe(
        version=1,
        spec=plan.spec.digest(epochs=False),
        cohort_digest=plan.cohort.digest,
        epochs=_config(plan.spec, base).train.epochs,
        n=len(plan.split.folds[0].val),
        device=device,
        threads=plan.spec.resources.cpu,
        base=json.dumps(base),
    )
    path = plan.folder.probe
    if not path.exists() and not path.is_symlink():
        return fresh
    try:
        stored = plan.folder.json(path, Probe)
    except MMStudyError as error:
        plan.folder.put_aside(path, str(error))
        return fresh
    whole = all(run.logits is None or len(run.logits) == fresh.n for run in stored.runs)
    if whole and msgspec.structs.replace(stored, runs=(), rows=()) == fresh:
        return stored
    say(
        f"{path.name} of {plan.folder.name} is of another spec, cohort, device or version; it is "
        "put aside and measured again."
    )
    plan.folder.put_aside(path, "measured of another spec, cohort, device or version")
    return fresh


def _measured(
    plan: Plan, record: Probe, pairs: list[_Pair], seeds: int, progress: Progress
) -> Probe:
    known = {(run.params, run.seed): run for run in record.runs}
    points = {json.dumps(of): of for pair in pairs for of in (pair.base, pair.low, pair.high)}
    # Seed by seed: what is stopped early has something to say of every setting.
    wanted_runs = [(text, seed) for seed in range(seeds) for text in points]
    missing = [key for key in wanted_runs if key not in known]
    lengths = {text: _length(plan.spec, of) for text, of in points.items()}
    total, done = sum(lengths[text] for text, _ in missing), 0
    for text, seed in missing:
        alive = partial(_told, progress, done, total)
        known[text, seed] = _trained(plan, record, text, seed, alive)
        done += lengths[text]
        progress("epochs", done, total)
        kept = {key: known[key] for key in [*wanted_runs, *known] if key in known}
        record = msgspec.structs.replace(record, runs=tuple(kept.values()))
        record = msgspec.structs.replace(record, rows=tuple(_row(pair, record) for pair in pairs))
        plan.folder.put_json(plan.folder.probe, msgspec.to_builtins(record))
    return record


def _told(progress: Progress, done: int, total: int, more: int) -> None:
    progress("epochs", done + more, total)


def _config(spec: StudySpec, params: Mapping[str, Any]) -> Any:
    return trial_config(spec, params, constrained=False)


def _length(spec: StudySpec, params: Mapping[str, Any]) -> int:
    try:
        return int(_config(spec, params).train.epochs)
    except ValueError:
        return 0


def _trained(
    plan: Plan, record: Probe, params: str, seed: int, alive: Callable[[int], None]
) -> ProbeRun:
    """One training, or why it gave nothing."""
    try:
        config = trial_config(plan.spec, json.loads(params))
    except ValueError as error:
        return ProbeRun(params=params, seed=seed, fault=f"no trial can be made of it: {error}")
    fold = Split(test=plan.split.test, folds=plan.split.folds[:1])
    trial = plan_trial(
        config,
        plan.cohort,
        fold,
        seed=derive_seed(plan.spec.search.seed, "probe", seed),
        shared_seed=stages_seed(plan.spec),
        shared=plan.folder.shared_with(None) if plan.shared is None else plan.shared,
        threads=record.threads,
        device=record.device,
    )
    try:
        logits = _logits(trial, alive)
    except FloatingPointError as error:
        return ProbeRun(params=params, seed=seed, fault=f"the training diverged: {error}")
    return ProbeRun(params=params, seed=seed, logits=tuple(logits.tolist()))


def _logits(trial: TrialPlan, alive: Callable[[int], None]) -> Any:
    """What the network says of every validation patient after its last epoch."""
    probability = np.zeros(0)
    for epoch in train(trial):
        if epoch is not None:
            alive(epoch.report.epoch)
            probability = epoch.report.predictions.probability
    p = np.clip(probability, _LOGIT_CLAMP, 1 - _LOGIT_CLAMP)
    return np.log(p) - np.log1p(-p)


def _row(pair: _Pair, record: Probe) -> ProbeRow:
    """What the runs say of one dimension."""
    told = {(run.params, run.seed): run for run in record.runs}
    row = ProbeRow(
        setting=pair.path,
        low=json.dumps(pair.low[pair.path]),
        high=json.dumps(pair.high[pair.path]),
    )
    found = [
        {
            run.seed: run.logits
            for run in told.values()
            if run.params == json.dumps(of) and run.logits
        }
        for of in (pair.base, pair.low, pair.high)
    ]
    base, low, high = found
    both = sorted(low.keys() & high.keys())
    if min(len(base), len(both)) < 2:
        texts = {json.dumps(of) for of in (pair.base, pair.low, pair.high)}
        faults = [run.fault for run in told.values() if run.fault and run.params in texts]
        why = faults[0] if faults else "fewer than two seeds are done"
        return msgspec.structs.replace(row, seeds=len(both), fault=why)
    of_low, of_high = (np.array([of[seed] for seed in both]) for of in (low, high))
    moved = movement(of_low, of_high, np.array([*base.values()]))
    return msgspec.structs.replace(
        row,
        moved=moved.moved,
        by_seed=moved.by_seed,
        share=_finite(moved.share.mean),
        share_low=_finite(moved.share.low),
        share_high=_finite(moved.share.high),
        steady=_finite(moved.steady.mean),
        steady_low=_finite(moved.steady.low),
        steady_high=_finite(moved.steady.high),
        seeds=len(both),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
