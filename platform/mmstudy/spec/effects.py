"""What cannot act: dimensions without effect in any trial, and settings given for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from mmcaf.config.settings import WrongSettings
from mmcaf.net.effects import without_effect
from mmstudy.spec.sections import SECTIONS, build
from mmstudy.spec.space import Choice, Dimension, in_order, is_active, wanted

if TYPE_CHECKING:
    from mmstudy.spec.study_spec import StudySpec

__all__ = ["given_for_nothing", "idle_in_all_trials"]

_MOST_TRIALS = 5000  # looked at to see what has an effect
_DECIDING: tuple[str, ...] = ("train.optimizer", "train.momentum", "train.schedule", "train.epochs")
_DECIDING += ("train.warmup_epochs", "train.stages", "train.oversample", "train.frozen_draws")
_DECIDING += ("data.window", "data.location")  # as has every choice of the network's
_PRESET = "model.preset decides the tokens alone, and model.tokens is given; leave one of them out"


def idle_in_all_trials(
    space: Mapping[str, Dimension],
    sections: Mapping[str, Mapping[str, Any]],
    asked: Iterable[str] | None = None,
) -> dict[str, str]:
    """The settings in `asked` that change nothing in any trial that has them, with the reason.

    Of a numeric dimension the ends stand for all its values. Nothing is said of a space with too
    many combinations to look through, nor of trials whose configs are refused.

    Args:
        space: what is searched.
        sections: what is fixed.
        asked: dotted paths; those of the space, unless given.
    """
    waiting = {*(space if asked is None else asked)}
    found: dict[str, str] = {}
    tried = _looked_at(space)
    for params in _trials(space):
        changed = _with(sections, params)
        with suppress(WrongSettings, ValueError, TypeError):  # told by the dimension itself
            model, train, data = (build(name, changed[name]) for name in ("model", "train", "data"))
            reasons = without_effect(model, train, data)
            if model.name == "mmcaf_net" and "tokens" in changed["model"]:
                reasons["model.preset"] = _PRESET
            for path in [*waiting]:
                if path in tried and path not in params:
                    continue  # no part of this trial
                if path in reasons:
                    found.setdefault(path, reasons[path])
                else:
                    waiting.discard(path)
            if not waiting:
                break
    order = space if asked is None else asked
    return {path: found[path] for path in order if path in waiting and path in found}


def given_for_nothing(spec: StudySpec) -> list[str]:
    """A sentence for each setting that the spec fixes and that changes nothing in any trial.

    A setting that has its default is left out: a study keeps every default in its spec.
    """
    sections = {name: getattr(spec, name) for name in SECTIONS}
    plain = {name: build(name, _named(name, sections)) for name in SECTIONS}
    given = [
        f"{name}.{field}"
        for name in SECTIONS
        for field in sections[name]
        if field != "name"
        and getattr(build(name, sections[name]), field) != getattr(plain[name], field)
        and f"{name}.{field}" not in spec.space
    ]
    idle = idle_in_all_trials(spec.space, sections, given)
    return [f"{path} has no effect here: {why}." for path, why in idle.items()]


def _named(section: str, sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Nothing but the network's name, which a section cannot be built without."""
    name = sections[section].get("name") if section == "model" else None
    return {} if name is None else {"name": name}


def _looked_at(space: Mapping[str, Dimension]) -> set[str]:
    """The dimensions whose values are tried, and those that depend on one."""
    decided = {path for path in space if path.startswith("model.") or path in _DECIDING}
    decided |= {path for path, dimension in space.items() if dimension.when}
    return decided | {other for dimension in space.values() for other in dimension.when}


def _trials(space: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    """Params of trials that differ in what decides over the effect of others."""
    try:
        ordered = dict(in_order(space))
    except ValueError:
        return  # told already
    options = {path: _options(path, space) for path in ordered if path in _looked_at(space)}
    if prod(map(len, options.values())) > _MOST_TRIALS:
        return
    for values in product(*options.values()):
        params: dict[str, Any] = {}
        for path, value in zip(options, values, strict=True):
            if is_active(ordered[path], params):
                params[path] = value
        yield params


def _options(path: str, space: Mapping[str, Dimension]) -> list[Any]:
    """The values of a dimension that stand for all: options, or ends and what others wait for."""
    dimension = space[path]
    if isinstance(dimension, Choice):
        return [*dimension.options]
    values = [*dimension.bounds]
    for other in space.values():
        values += [one for one in wanted(other.when.get(path)) if path in other.when]
    return [*dict.fromkeys(values)]


def _with(
    sections: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    changed = {name: dict(values) for name, values in sections.items()}
    for path, value in params.items():
        section, _, field = path.partition(".")
        changed[section][field] = value
    return changed
