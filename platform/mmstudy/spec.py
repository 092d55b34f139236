"""The study spec: what a human writes, checked whole before anything runs.

Every fault is found at once and named by the path of its field, with the value got, what is
allowed and, for a misspelt name, the nearest right one. The sections `model`, `train` and `data`
and every value of the space are checked by building the real config classes from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.net.config import ModelConfig
from mmstudy.errors import UsageError
from mmstudy.space import Dimension

__all__ = [
    "StudySpec",
    "TrialConfig",
    "find_spec",
    "load_spec",
    "parse_spec",
    "resolved",
    "trial_config",
]

_SECTIONS: dict[str, Any] = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}
# Fields of the network on which it depends whether others have an effect.
_DECIDING = ("preset", "tokens", "attention", "tabular", "pyramid_scales")
_DIMENSION: TypeAdapter[Dimension] = TypeAdapter(Dimension)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TestSpec(_Section):
    """Patients set aside before the search begins."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    fraction: float = Field(gt=0, lt=0.9)
    seed: int = 0


class ProtocolSpec(_Section):
    """How cases are split into training and validation."""

    kind: Literal["holdout", "kfold", "paper43"] = "kfold"
    folds: int = Field(default=5, ge=2, le=20)
    repeats: int = Field(default=1, ge=1, le=100)  # of all folds, dealt anew each time
    fraction: float = Field(default=0.25, gt=0, lt=1)  # validation share of a hold-out
    seed: int = 0
    test: TestSpec | None = None


class SearchSpec(_Section):
    """Who proposes trials, and how many."""

    sampler: Literal["tpe", "random"] = "tpe"
    trials: int = Field(default=50, ge=1)
    seed: int = Field(default=0, ge=0)
    startup_trials: int = Field(default=8, ge=1)  # drawn at random before the sampler learns
    enqueue: tuple[dict[str, Any], ...] = ()


class PruningSpec(_Section):
    """Successive halving by epoch inside the first fold."""

    grace_epochs: int = Field(default=5, ge=1)
    reduction: int = Field(default=3, ge=2)


class ResourceSpec(_Section):
    """What one trial gets, and how many run at once."""

    gpu: float = Field(default=0.0, ge=0)
    cpu: int = Field(default=1, ge=1)
    concurrent: int | Literal["auto"] = "auto"


class LimitSpec(_Section):
    """When to give up."""

    failed_trials: int = Field(default=10, ge=0)
    hours: float | None = Field(default=None, gt=0)


class StudySpec(_Section):
    """One study; `model`, `train` and `data` hold what stays fixed, `space` what is varied."""

    question: str = Field(min_length=1)
    cohort: str | None = None
    protocol: ProtocolSpec = ProtocolSpec()
    data: dict[str, Any] = {}
    model: dict[str, Any] = {}
    train: dict[str, Any] = {}
    space: dict[str, Dimension] = {}
    search: SearchSpec = SearchSpec()
    pruning: PruningSpec | None = None
    resources: ResourceSpec = ResourceSpec()
    limits: LimitSpec = LimitSpec()

    def digest(self) -> str:
        """Identity of everything that decides what a trial computes or which trial comes next.

        The number of trials, resources and limits may change while a study goes on.
        """
        kept = self.model_dump(mode="json", exclude={"question", "cohort", "resources", "limits"})
        kept["search"].pop("trials")
        kept["cpu"] = self.resources.cpu  # sums depend on the number of threads
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """All that one trial is built from."""

    model: ModelConfig
    train: TrainConfig
    data: DataConfig


def find_spec(name: str) -> Path:
    """The file `name`, or the spec of that bare name in `search_spaces/`.

    Raises:
        UsageError: there is no such file; lists the ready spaces.
    """
    path = Path(name)
    if path.is_file():
        return path
    folders = [
        Path(__file__).parents[2] / "search_spaces",  # a checkout
        Path(__file__).parent / "_search_spaces",  # an installed wheel
    ]
    ready = {found.stem: found for folder in folders for found in sorted(folder.glob("*.yaml"))}
    if name in ready:
        return ready[name]
    raise UsageError(
        f"No spec file {name!r}, and no ready search space of that name; "
        f"ready are: {', '.join(sorted(ready)) or 'none'}.{_nearest(name, ready)}"
    )


def load_spec(path: Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read a YAML spec, apply `path=value` overrides, check everything.

    Raises:
        UsageError: lists every fault.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the spec {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"The spec {path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"The spec {path} must be a mapping, got {type(raw).__name__}.")
    for override in overrides:
        _set(raw, override)
    return parse_spec(raw, source=path.name)


def parse_spec(raw: Mapping[str, Any], *, source: str = "spec") -> StudySpec:
    """Check a spec that is already a mapping; see `load_spec`."""
    faults: list[str] = []
    spec = None
    try:
        spec = StudySpec.model_validate(raw)
    except ValidationError as error:
        faults += [_describe(detail) for detail in error.errors()]
    faults += _config_faults(raw)
    if faults or spec is None:
        count = f"{len(faults)} fault{'s' * (len(faults) != 1)}"
        raise UsageError(*faults, heading=f"{source} has {count}:")
    return spec


def trial_config(spec: StudySpec, params: Mapping[str, Any]) -> TrialConfig:
    """The configs of a trial with `params` (dotted path -> value).

    Raises:
        ValueError: a combination of params that the config classes refuse.
    """
    sections = {name: dict(getattr(spec, name)) for name in _SECTIONS}
    for path, value in params.items():
        section, _, field = path.partition(".")
        sections[section][field] = value
    return TrialConfig(**{name: _build(name, values) for name, values in sections.items()})


def _build(section: str, values: Mapping[str, Any]) -> Any:
    """A config object; lists become tuples and "1e-4" a number, by the types of the class."""
    if section == "model":
        # A preset brings defaults of its own, which what is written overrides.
        preset = ModelConfig.from_preset(values.get("preset", "paper"))
        values = {field: getattr(preset, field) for field in _names("model")} | dict(values)
    try:
        return TypeAdapter(_SECTIONS[section]).validate_python(dict(values))
    except ValidationError as error:
        raise ValueError("; ".join(_reason(detail) for detail in error.errors())) from error


def _names(section: str) -> list[str]:
    return [field.name for field in fields(_SECTIONS[section])]


def _config_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Faults of the fixed sections and of every value of the space, built for real."""
    sections: dict[str, dict[str, Any]] = {}
    for name in _SECTIONS:
        given = raw.get(name) or {}
        sections[name] = dict(given) if isinstance(given, dict) else {}
        unknown = [field for field in sections[name] if field not in _names(name)]
        for field in unknown:
            yield f"{name}.{field}: no such setting.{_nearest(str(field), _names(name))}"
            sections[name].pop(field)
        try:
            _build(name, sections[name])
        except (ValueError, TypeError) as error:
            yield f"{name}: {error}"
            sections[name] = {}
    space = raw.get("space") or {}
    if isinstance(space, dict):
        for path, written in space.items():
            yield from _dimension_faults(str(path), written, sections)
        yield from _enqueue_faults(raw, space)
        yield from _effect_faults(space, sections)
    yield from _channel_faults(space if isinstance(space, dict) else {}, sections["data"])


def _dimension_faults(
    path: str, written: Any, sections: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    section, _, field = path.partition(".")
    known = [f"{name}.{option}" for name in _SECTIONS for option in _names(name)]
    if path not in known:
        yield f"space.{path}: no such setting.{_nearest(path, known)}"
        return
    try:
        dimension = _DIMENSION.validate_python(written)
    except ValidationError:
        return  # told by the spec's own validation
    for value in dimension.probes():
        try:
            _build(section, {**sections[section], field: value})
        except (ValueError, TypeError) as error:
            yield f"space.{path}: the value {value!r} is refused: {error}"


def _enqueue_faults(raw: Mapping[str, Any], space: Mapping[str, Any]) -> Iterator[str]:
    search = raw.get("search")
    points = search.get("enqueue", ()) if isinstance(search, dict) else ()
    for position, point in enumerate(points or ()):
        for path, value in point.items() if isinstance(point, dict) else ():
            where = f"search.enqueue[{position}].{path}"
            if path not in space:
                yield f"{where}: not in the space.{_nearest(str(path), space)}"
                continue
            try:
                dimension = _DIMENSION.validate_python(space[path])
            except ValidationError:
                continue
            if not dimension.contains(value):
                yield f"{where}: {value!r} lies outside the space, {dimension}"


def _effect_faults(
    space: Mapping[str, Any], sections: Mapping[str, dict[str, Any]]
) -> Iterator[str]:
    """A dimension that changes nothing, whatever the other dimensions choose."""
    options = {
        path.removeprefix("model."): written.get("choice", ())
        for path, written in space.items()
        if path.startswith("model.") and isinstance(written, dict)
    }
    deciding = [name for name in _DECIDING if options.get(name)]
    reasons = []
    for values in product(*(options[name] for name in deciding)):
        chosen = sections["model"] | dict(zip(deciding, values, strict=True))
        with suppress(ValueError, TypeError):  # a wrong option is reported by its own dimension
            reasons.append(cast("ModelConfig", _build("model", chosen)).without_effect())
    for name in options:
        if reasons and all(name in reason for reason in reasons):
            yield f"space.model.{name}: cannot have an effect: {reasons[0][name]}"


def _channel_faults(space: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    """Three HU windows make batches of three channels, which no network here takes yet."""
    written = space.get("data.hu")
    options = written.get("choice", ()) if isinstance(written, dict) else ()
    for value in (data.get("hu"), *options):
        with suppress(ValueError, TypeError):  # a wrong window is reported by its own section
            if value is not None and len(_build("data", {**data, "hu": value}).windows_hu) > 1:
                yield f"data.hu: {value!r} makes several channels; the network takes one window."


def _set(raw: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise UsageError(f"--set needs path=value, got {override!r}.")
    keys = path.split(".")
    if keys[0] == "space" and len(keys) > 2:  # a dimension's name has a dot of its own
        keys = ["space", ".".join(keys[1:3]), *keys[3:]]
    node = raw
    for key in keys[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise UsageError(f"--set {override!r}: {key} is a value, it has no parts.")
    try:
        node[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {override!r}: the value is not valid YAML: {error}") from error


def _describe(detail: ErrorDetails) -> str:
    parts = [str(part) for part in detail["loc"]]
    if parts[:1] == ["space"]:  # drop the name of the kind that the union adds
        parts = [p for i, p in enumerate(parts) if i != 2 or p not in ("float", "int", "choice")]
    path = ".".join(parts)
    if detail["type"] == "extra_forbidden":
        return f"{path}: no such setting.{_nearest(parts[-1], _siblings(parts[:-1]))}"
    return f"{path}: {_reason(detail)}"


def _reason(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in detail["loc"] if isinstance(part, str))
    got = detail.get("input")
    told = detail["type"] in ("value_error", "missing") or isinstance(got, Mapping)
    return message if told else f"{where}: {message}, got {got!r}" if where else message


def _siblings(parents: Sequence[str]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "protocol": ProtocolSpec,
        "test": TestSpec,
        "search": SearchSpec,
        "pruning": PruningSpec,
        "resources": ResourceSpec,
        "limits": LimitSpec,
    }
    model = sections.get(parents[-1]) if parents else StudySpec
    return list(model.model_fields) if model else []


def _nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def resolved(spec: StudySpec) -> dict[str, Any]:
    """The spec with every default written out, as kept in `study.json`."""
    whole = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    for section in _SECTIONS:
        whole[section] = asdict(_build(section, getattr(spec, section)))
    return whole
