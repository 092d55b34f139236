"""Everything that can be wrong with a spec and that its field types alone do not tell.

Each check yields faults; none stops at the first one, and none trusts what another one has already
refused: a setting that is wrong is left out of all further checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from math import prod
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmcaf.config.settings import Fault, WrongSettings, retyped
from mmcaf.net.stage_rules import stage_faults
from mmstudy.spec.constraints import Constraint
from mmstudy.spec.effects import idle_in_all_trials
from mmstudy.spec.sections import (
    SECTIONS,
    TrialConfig,
    build,
    field_names,
    known_paths,
    nearest,
    network_name,
)
from mmstudy.spec.space import Choice, Dimension, in_order, wanted

__all__ = ["config_faults"]

_MOST_POINTS = 100_000  # of a grid: each is written out, and would be a trial
_DIMENSION: TypeAdapter[Dimension] = TypeAdapter(Dimension)
_CONDITIONAL_SAMPLERS = ("tpe", "random", "nsga2")
_SEVERAL_OBJECTIVES = ("tpe", "nsga2", "qmc", "random", "grid", "gp")

Sections = Mapping[str, dict[str, Any]]
Space = Mapping[str, Dimension]


def config_faults(raw: Mapping[str, Any], *, begun: bool = False) -> Iterator[Fault]:
    """Faults of the fixed sections, of every value of the space, of points and constraints.

    What is no mapping where one is needed, and what is no dimension, is told by `StudySpec`. A
    study that has begun keeps its dimensions, also those that cannot have an effect.
    """
    given = {name: _mapping(raw.get(name)) for name in SECTIONS}
    faults = {name: [*_section_faults(name, given[name])] for name in SECTIONS}
    yield from (fault.below(name) for name, of in faults.items() for fault in of)
    unsound = {name: _unsound(of) for name, of in faults.items()}
    sections = {name: _sound(name, given[name], unsound[name]) for name in SECTIONS}
    misfits = [] if unsound["model"] else _misfits(sections)
    yield from (f.below("train") for f in misfits if f.path[0] not in unsound["train"])
    space = _dimensions(_mapping(raw.get("space")))
    for path, dimension in space.items():
        yield from _dimension_faults(path, dimension, sections)
        if not (misfits or unsound["model"] or unsound["train"]):
            yield from _misfit_faults(path, dimension, sections)
    yield from _condition_faults(space)
    yield from _point_faults(raw, space)
    if not begun:
        yield from _effect_faults(space, sections)
    yield from _constraint_faults(raw, space, sections)
    yield from _sampler_faults(raw, space)


def _mapping(written: Any) -> dict[str, Any]:
    return dict(written) if isinstance(written, dict) else {}


def _dimensions(written: Mapping[Any, Any]) -> dict[str, Dimension]:
    space: dict[str, Dimension] = {}
    for path, text in written.items():
        with suppress(ValidationError):
            space[str(path)] = _DIMENSION.validate_python(text)
    return space


def _section_faults(name: str, given: Mapping[str, Any]) -> Iterator[Fault]:
    faults = _refusals(name, given)
    yield from faults
    yield from _retyped_faults(name, _sound(name, given, _unsound(faults)))
    if name == "model" and any(fault.path == ("name",) for fault in faults):
        known = field_names(name, network_name(given))
        for field in given:
            if field not in known:
                yield Fault((field,), f"no such setting.{nearest(str(field), known)}")


def _retyped_faults(name: str, sound: Mapping[str, Any]) -> Iterator[Fault]:
    with suppress(WrongSettings):  # told already
        built = build(name, sound)
        yield from retyped(type(built).__pydantic_fields__, sound, built)


def _unsound(faults: Iterable[Fault]) -> set[Any]:
    """The fields that faults of one section are about."""
    return {field for fault in faults for field in (*fault.path[:1], *fault.of)}


def _refusals(section: str, values: Mapping[str, Any]) -> tuple[Fault, ...]:
    try:
        build(section, values)
    except WrongSettings as error:
        return error.faults
    return ()


def _sound(name: str, given: Mapping[str, Any], unsound: set[Any]) -> dict[str, Any]:
    """What is right, and the network's name, right or wrong: it decides which settings exist."""
    kept = {"name"} if name == "model" else set()
    return {field: value for field, value in given.items() if field in kept or field not in unsound}


def _dimension_faults(path: str, dimension: Dimension, sections: Sections) -> Iterator[Fault]:
    section, _, field = path.partition(".")
    known = known_paths(network_name(sections["model"]))
    where = ("space", path)
    if path not in known:
        yield Fault(where, f"no such setting.{nearest(path, known)}")
        return
    if path == "model.name":
        words = "a study is of one network; `mmstudy benchmark` compares several"
        yield Fault(where, words)
        return
    for value in dimension.probes():
        for fault in _refusals(section, {**sections[section], field: value}):
            if field in (*fault.path[:1], *fault.of):
                words = fault.words if fault.path == (field,) else str(fault)
                yield Fault(where, f"the value {value!r} is refused: {words}")


def _misfits(sections: Sections) -> list[Fault]:
    """What of the training does not fit the network; nothing where either is wrong by itself."""
    try:
        model, train = build("model", sections["model"]), build("train", sections["train"])
    except WrongSettings:
        return []
    return list(stage_faults(model, train))


def _misfit_faults(path: str, dimension: Dimension, sections: Sections) -> Iterator[Fault]:
    """Values with which the training no longer fits the network."""
    section, _, field = path.partition(".")
    for value in dimension.probes() if section in ("model", "train") else ():
        changed = {**sections, section: {**sections[section], field: value}}
        for fault in _misfits(changed):
            words = f"the value {value!r} does not fit: {fault.below('train')}"
            yield Fault(("space", path), words)


def _condition_faults(space: Space) -> Iterator[Fault]:
    faults = []
    for path, dimension in space.items():
        for other, want in dimension.when.items():
            where = ("space", path, "when", other)
            if other not in space:
                faults.append(Fault(where, f"not in the space.{nearest(other, space)}"))
            else:
                never = [one for one in wanted(want) if not space[other].contains(one)]
                told = [f"never {one!r}, it is {space[other]}" for one in never]
                faults += [Fault(where, words) for words in told]
    yield from faults
    if not faults:
        try:
            list(in_order(space))
        except ValueError as error:
            yield Fault(("space",), str(error))


def _point_faults(raw: Mapping[str, Any], space: Space) -> Iterator[Fault]:
    points, written = _mapping(raw.get("search")).get("enqueue"), _mapping(raw.get("space"))
    for position, point in enumerate(points if isinstance(points, list | tuple) else ()):
        for path, value in _mapping(point).items():
            where = ("search", "enqueue", position, str(path))
            if path not in written:
                yield Fault(where, f"not in the space.{nearest(str(path), written)}")
            elif path in space and not space[path].contains(value):
                yield Fault(where, f"{value!r} lies outside the space, {space[path]}")


def _effect_faults(space: Space, sections: Sections) -> Iterator[Fault]:
    """A dimension, or a token grid, that changes nothing whatever the other dimensions choose."""
    reasons = idle_in_all_trials(space, sections)
    yield from (
        Fault(("space", path), f"cannot have an effect: {why}") for path, why in reasons.items()
    )
    grid = "model.token_grid"
    if grid in space and grid not in reasons:
        for value in space[grid].probes():
            fixed = {**sections, "model": {**sections["model"], "token_grid": value}}
            others = {path: of for path, of in space.items() if path != grid}
            if why := idle_in_all_trials(others, fixed, asked=(grid,)).get(grid):
                yield Fault(("space", grid), f"the value {value!r} cannot have an effect: {why}")


def _constraint_faults(raw: Mapping[str, Any], space: Space, sections: Sections) -> Iterator[Fault]:
    texts = raw.get("constraints") or ()
    for position, text in enumerate(texts if isinstance(texts, list | tuple) else ()):
        where = ("constraints", position)
        try:
            constraint = Constraint.parse(str(text))
        except ValueError as error:
            yield Fault(where, str(error))
            continue
        known = known_paths(network_name(sections["model"]))
        unknown = [path for path in constraint.paths if path not in known]
        for path in unknown:
            yield Fault(where, f"no such setting {path}.{nearest(path, known)}")
        if not unknown and not set(constraint.paths) & space.keys():
            yield Fault(where, f"{text!r} looks at nothing that is searched")
        elif not unknown:
            try:
                constraint.holds(_built(sections).setting)
            except ValueError:
                continue  # told already
            except (TypeError, IndexError) as error:
                yield Fault(where, str(error))


def _built(sections: Sections) -> TrialConfig:
    return TrialConfig(**{name: build(name, values) for name, values in sections.items()})


def _sampler_faults(raw: Mapping[str, Any], space: Space) -> Iterator[Fault]:
    search, where = _mapping(raw.get("search")), ("search", "sampler")
    sampler = search.get("sampler", "tpe")
    objectives = search.get("objectives") or ("auroc",)
    several = isinstance(objectives, list | tuple) and len(objectives) > 1
    if any(dimension.when for dimension in space.values()) and sampler not in _CONDITIONAL_SAMPLERS:
        allowed = ", ".join(_CONDITIONAL_SAMPLERS)
        yield Fault(where, f"{sampler} knows no conditions (when: ...); use one of {allowed}")
    numeric = [path for path, dimension in space.items() if not isinstance(dimension, Choice)]
    if sampler == "cmaes" and len(numeric) < 2:
        yield Fault(where, "cmaes needs two or more float or int dimensions; use tpe")
    if sampler == "grid":
        yield from _grid_faults(space, search)
    if several and sampler not in _SEVERAL_OBJECTIVES:
        allowed = ", ".join(_SEVERAL_OBJECTIVES)
        yield Fault(where, f"{sampler} has one objective; use one of {allowed}")
    if several and raw.get("pruning"):
        yield Fault(
            ("pruning",),
            "with several objectives no trial can be stopped early, because none can be called "
            "worse before it ends; leave out pruning, or keep one of search.objectives",
        )


def _grid_faults(space: Space, search: Mapping[str, Any]) -> Iterator[Fault]:
    if search.get("enqueue") or search.get("warm_start"):
        words = "a grid visits every point; leave out enqueue and warm_start"
        yield Fault(("search", "sampler"), words)
    endless = [path for path, dimension in space.items() if not dimension.count()]
    if endless:
        words = "a grid needs a step; or use another sampler"
        yield from (Fault(("space", path), words) for path in endless)
        return
    points = prod(dimension.count() for dimension in space.values())
    trials = search.get("trials", 50)
    if points > _MOST_POINTS:
        words = f"a grid has {_MOST_POINTS} points at most, this one has {points:.6g}; widen the "
        yield Fault(("search", "sampler"), words + "steps, search less, or use another sampler")
    elif isinstance(trials, int) and trials > points:
        words = f"the grid has {points} points, got {trials}; ask for {points} at most"
        yield Fault(("search", "trials"), words)
