"""Everything that can be wrong with a spec and that its field types alone do not tell.

Each check yields sentences; none stops at the first fault, and none trusts what another one has
already refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from math import prod
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmcaf.net.registry import NETWORKS
from mmcaf.net.stage_rules import stage_faults
from mmstudy.spec.constraints import Constraint
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

_MOST_NETWORKS = 5000  # built to see what has an effect
_DIMENSION: TypeAdapter[Dimension] = TypeAdapter(Dimension)
_CONDITIONAL_SAMPLERS = ("tpe", "random", "nsga2")
_SEVERAL_OBJECTIVES = ("tpe", "nsga2", "qmc", "random", "grid", "gp")

Sections = Mapping[str, dict[str, Any]]
Space = Mapping[str, Dimension]


def config_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Faults of the fixed sections, of every value of the space, of points and constraints."""
    sections: dict[str, dict[str, Any]] = {}
    for name in SECTIONS:
        given = raw.get(name) or {}
        sections[name] = dict(given) if isinstance(given, dict) else {}
        known = field_names(name, network_name(sections[name]))
        for field in [field for field in sections[name] if field not in known]:
            yield f"{name}.{field}: no such setting.{nearest(str(field), known)}"
            sections[name].pop(field)
        try:
            build(name, sections[name])
        except (ValueError, TypeError) as error:
            yield f"{name}: {error}"
            kept = network_name(sections[name])
            sections[name] = {"name": kept} if kept in [*NETWORKS] and name == "model" else {}
    misfits = _misfits(sections)
    yield from (f"train: {fault}" for fault in misfits)
    written = raw.get("space") or {}
    if not isinstance(written, dict):
        return  # told by the spec's own validation
    space: dict[str, Dimension] = {}
    for path, text in written.items():
        with suppress(ValidationError):  # told by the spec's own validation
            space[str(path)] = _DIMENSION.validate_python(text)
    for path, dimension in space.items():
        yield from _dimension_faults(path, dimension, sections)
        if not misfits:
            yield from _misfit_faults(path, dimension, sections)
    yield from _condition_faults(space)
    yield from _point_faults(raw, written, space)
    yield from _effect_faults(space, sections)
    yield from _constraint_faults(raw, space, sections)
    yield from _sampler_faults(raw, space)


def _dimension_faults(path: str, dimension: Dimension, sections: Sections) -> Iterator[str]:
    section, _, field = path.partition(".")
    known = known_paths(network_name(sections["model"]))
    if path not in known:
        yield f"space.{path}: no such setting.{nearest(path, known)}"
        return
    if path == "model.name":
        yield f"space.{path}: a study is of one network; `mmstudy benchmark` compares several"
        return
    for value in dimension.probes():
        try:
            build(section, {**sections[section], field: value})
        except (ValueError, TypeError) as error:
            yield f"space.{path}: the value {value!r} is refused: {error}"


def _misfits(sections: Sections) -> list[str]:
    """What of the training does not fit the network; nothing where either is wrong by itself."""
    try:
        model, train = build("model", sections["model"]), build("train", sections["train"])
    except (ValueError, TypeError):
        return []
    return list(stage_faults(model, train))


def _misfit_faults(path: str, dimension: Dimension, sections: Sections) -> Iterator[str]:
    """Values with which the training no longer fits the network."""
    section, _, field = path.partition(".")
    for value in dimension.probes() if section in ("model", "train") else ():
        changed = {**sections, section: {**sections[section], field: value}}
        yield from (f"space.{path}: the value {value!r}: {why}" for why in _misfits(changed))


def _condition_faults(space: Space) -> Iterator[str]:
    faults = []
    for path, dimension in space.items():
        for other, want in dimension.when.items():
            where = f"space.{path}.when.{other}"
            if other not in space:
                faults.append(f"{where}: not in the space.{nearest(other, space)}")
            else:
                never = [one for one in wanted(want) if not space[other].contains(one)]
                faults += [f"{where}: never {one!r}, it is {space[other]}" for one in never]
    yield from faults
    if not faults:
        try:
            list(in_order(space))
        except ValueError as error:
            yield f"space: {error}"


def _point_faults(raw: Mapping[str, Any], written: Any, space: Space) -> Iterator[str]:
    search = raw.get("search")
    points = search.get("enqueue", ()) if isinstance(search, dict) else ()
    for position, point in enumerate(points or ()):
        for path, value in point.items() if isinstance(point, dict) else ():
            where = f"search.enqueue[{position}].{path}"
            if path not in written:
                yield f"{where}: not in the space.{nearest(str(path), written)}"
            elif path in space and not space[path].contains(value):
                yield f"{where}: {value!r} lies outside the space, {space[path]}"


def _effect_faults(space: Space, sections: Sections) -> Iterator[str]:
    """A dimension that changes nothing, whatever the other dimensions choose."""
    options = {
        path.removeprefix("model."): dimension.grid()
        for path, dimension in space.items()
        if path.startswith("model.")
    }
    deciding = [name for name in options if isinstance(space[f"model.{name}"], Choice)]
    if prod(len(options[name]) for name in deciding) > _MOST_NETWORKS:
        return
    reasons = []
    for values in product(*(options[name] for name in deciding)):
        chosen = sections["model"] | dict(zip(deciding, values, strict=True))
        with suppress(ValueError, TypeError):  # a wrong option is reported by its own dimension
            reasons.append(build("model", chosen).without_effect())
    for name in options:
        if reasons and all(name in reason for reason in reasons):
            yield f"space.model.{name}: cannot have an effect: {reasons[0][name]}"


def _constraint_faults(raw: Mapping[str, Any], space: Space, sections: Sections) -> Iterator[str]:
    texts = raw.get("constraints") or ()
    for position, text in enumerate(texts if isinstance(texts, list | tuple) else ()):
        where = f"constraints[{position}]"
        try:
            constraint = Constraint.parse(str(text))
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        known = known_paths(network_name(sections["model"]))
        unknown = [path for path in constraint.paths if path not in known]
        for path in unknown:
            yield f"{where}: no such setting {path}.{nearest(path, known)}"
        if not unknown and not set(constraint.paths) & space.keys():
            yield f"{where}: {text!r} looks at nothing that is searched"
        elif not unknown:
            try:
                constraint.holds(_built(sections).setting)
            except ValueError:
                continue  # told already
            except (TypeError, IndexError) as error:
                yield f"{where}: {error}"


def _built(sections: Sections) -> TrialConfig:
    return TrialConfig(**{name: build(name, values) for name, values in sections.items()})


def _sampler_faults(raw: Mapping[str, Any], space: Space) -> Iterator[str]:
    search = raw.get("search")
    search = search if isinstance(search, dict) else {}
    sampler = search.get("sampler", "tpe")
    objectives = search.get("objectives") or ("auroc",)
    conditional = [path for path, dimension in space.items() if dimension.when]
    if conditional and sampler not in _CONDITIONAL_SAMPLERS:
        allowed = ", ".join(_CONDITIONAL_SAMPLERS)
        yield f"search.sampler: {sampler} knows no conditions (when: ...); use one of {allowed}"
    numeric = [path for path, dimension in space.items() if not isinstance(dimension, Choice)]
    if sampler == "cmaes" and len(numeric) < 2:
        yield "search.sampler: cmaes needs two or more float or int dimensions; use tpe"
    if sampler == "grid":
        yield from _grid_faults(space, search.get("trials", 50))
        if search.get("enqueue") or search.get("warm_start"):
            yield "search.sampler: a grid visits every point; leave out enqueue and warm_start"
    if len(objectives) > 1 and sampler not in _SEVERAL_OBJECTIVES:
        allowed = ", ".join(_SEVERAL_OBJECTIVES)
        yield f"search.sampler: {sampler} has one objective; use one of {allowed}"
    if len(objectives) > 1 and raw.get("pruning"):
        yield (
            "pruning: with several objectives no trial can be stopped early, because none can be "
            "called worse before it ends; leave out pruning, or keep one of search.objectives"
        )


def _grid_faults(space: Space, trials: Any) -> Iterator[str]:
    for path, dimension in space.items():
        if not dimension.grid():
            yield f"space.{path}: a grid needs a step; or use another sampler"
            return
    points = prod(len(dimension.grid()) for dimension in space.values())
    if isinstance(trials, int) and trials > points:
        yield f"search.trials: the grid has {points} points, got {trials}; ask for {points} at most"
