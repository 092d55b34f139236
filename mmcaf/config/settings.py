"""Frozen config classes that say what each field may be, and name every wrong one in words.

A field's type and its pydantic `Field` are the only place where its bounds stand: they decide what
is accepted, they are the JSON schema, and the sentence for a wrong value is made from them.

    @settings
    class PondConfig(Settings):
        depth: Annotated[int, Field(ge=1, le=9)] = 3
        fish: Literal["carp", "pike"] = "carp"

    PondConfig(depth=12, fish="cod")   # ValueError, two lines:
                                       # depth: need a whole number from 1 to 9, got 12
                                       # fish: need one of carp, pike, got 'cod'
    read(PondConfig, {"depth": 4.0})   # from YAML: a whole number may have a point

In Python values must have the right type, but a list stands for a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass as plain_dataclass
from difflib import get_close_matches
from functools import cache, wraps
from typing import Any, TypeVar, dataclass_transform

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_core import (
    ArgsKwargs,
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    core_schema,
)

from mmcaf.config.words import allowed_words

__all__ = [
    "TOLD",
    "Fault",
    "Rule",
    "Settings",
    "WrongSettings",
    "as_error",
    "faults_of",
    "in_words",
    "nearest",
    "read",
    "retyped",
    "settings",
]

T = TypeVar("T")
_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_LONGEST_SHOWN = 200  # signs
TOLD = "told"
"""The type of an error of pydantic's that has its words already."""


@plain_dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, where it is, and which other fields had to do with it."""

    path: tuple[str | int, ...]  # of the field; a number is a place in a list
    words: str  # such as: need a whole number from 1 to 9, got 12
    of: tuple[str, ...] = ()  # fields of the same config that a rule has looked at besides

    def below(self, *parents: str | int) -> Fault:
        """The fault as seen from above."""
        return Fault((*parents, *self.path), self.words, self.of)

    def __str__(self) -> str:
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        return f"{where.removeprefix('.')}: {self.words}" if where else self.words


class WrongSettings(ValueError):
    """Some fields are wrong; `faults` has each of them, and the message one line for each."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


@plain_dataclass(frozen=True, slots=True)
class Rule:
    """What a field's type cannot state, beside the type in `Annotated`.

    Args:
        allowed: words for what is allowed, after "need".
        holds: whether a value of the right type keeps the rule.
        why: the reason for it.
    """

    allowed: str
    holds: Callable[[Any], bool]
    why: str = ""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._kept, handler(source))

    def _kept(self, value: Any) -> Any:
        if not self.holds(value):
            raise ValueError(self.allowed)
        return value


class Settings:
    """Base of all config classes."""

    __slots__ = ()

    def conflicts(self) -> Iterator[Fault]:
        """Faults of fields that are right by themselves but not together.

        A rule is not asked where a field it looks at, in `Fault.path` or `Fault.of`, is wrong.
        """
        return iter(())


S = TypeVar("S", bound=Settings)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def settings(cls: type[S]) -> type[S]:
    """Make a subclass of `Settings` a frozen dataclass with keyword arguments.

    Building one raises `WrongSettings`, a ValueError that names every wrong field.
    """

    def checked(_: Any, given: Any, build: Any) -> Any:
        return _checked(made, given, build)  # `slots` makes a new class: not the one given here

    of_pydantic: Any = model_validator(mode="wrap")(classmethod(checked))  # type: ignore[arg-type]
    cls._checked = of_pydantic  # type: ignore[attr-defined]
    make: Any = dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
    made: type[S] = make(cls)
    accept = made.__init__

    @wraps(accept)
    def __init__(self: Any, **given: Any) -> None:  # noqa: N807
        try:
            accept(self, **given)
        except ValidationError as error:
            raise WrongSettings(faults_of(error)) from None

    made.__init__ = __init__  # type: ignore[method-assign]
    return made


def _checked(cls: type[S], given: Any, build: ModelWrapValidatorHandler[S]) -> S:
    """What pydantic builds, or all faults of it: those of fields, then those between fields."""
    if isinstance(given, cls):
        return given
    values = _values(given)
    faults = list[Fault]()
    try:
        built: S | None = build(_arguments(given, values))
    except ValidationError as error:
        faults = [*_told(cls.__pydantic_fields__, values, error)]  # type: ignore[attr-defined]
        built = _without(values, faults, build)
    wrong = {fault.path[0] for fault in faults if fault.path}
    if built is not None:
        faults += [f for f in built.conflicts() if not wrong & {f.path[0], *f.of}]
    if faults or built is None:
        raise as_error(cls, faults)
    return built


def read(cls: type[T], written: Mapping[str, Any]) -> T:
    """The config that `written` describes: as YAML gives it, or as a record of a trial does.

    Text that says a number is read as one, as records of earlier versions need it; `retyped` finds
    it.

    Raises:
        WrongSettings: names every wrong field.
    """
    try:
        adapter = _adapter(cls)  # type: ignore[arg-type]  # a class is hashable
        built: T = adapter.validate_python(written, strict=False)
    except ValidationError as error:
        raise WrongSettings(faults_of(error)) from None
    return built


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def faults_of(error: ValidationError) -> Iterator[Fault]:
    """The faults that a class of settings, or one whose errors went through `in_words`, found."""
    return map(_fault, error.errors(include_url=False))


def in_words(
    cls: type, fields: Mapping[str, FieldInfo], given: Any, error: ValidationError
) -> ValidationError:
    """The same error with each wrong field named once and in words.

    Args:
        cls: the class that was to be built.
        fields: its fields.
        given: what it was to be built from.
        error: what pydantic says.
    """
    values = given if isinstance(given, Mapping) else {}
    return as_error(cls, _told(fields, values, error))


def retyped(
    fields: Mapping[str, FieldInfo], written: Mapping[str, Any], built: Any
) -> Iterator[Fault]:
    """Fields that are text or truth as written, and became another kind of value when read.

    `'5'` is no number and `true` is not 1: whoever writes so means something else, or quotes by
    mistake.

    Args:
        fields: of the class of `built`.
        written: what it was read from.
        built: the object.
    """
    for name, info in fields.items():
        key = info.alias or name
        if key in written and _changes(written[key], getattr(built, name)):
            yield Fault((key,), _refusal(info, True, written[key]))


def _changes(written: Any, built: Any) -> bool:
    if isinstance(written, Mapping):  # of a part that is a config; a mapping stays as it is
        parts = ((value, getattr(built, str(key), value)) for key, value in written.items())
        return not isinstance(built, Mapping) and any(_changes(*part) for part in parts)
    if isinstance(written, list | tuple):
        return isinstance(built, list | tuple) and any(map(_changes, written, built))
    return any(isinstance(written, kind) != isinstance(built, kind) for kind in (bool, str))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was probably meant; empty where none is near."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _values(given: Any) -> dict[str, Any]:
    written = (given.kwargs or {}) if isinstance(given, ArgsKwargs) else given
    if not isinstance(written, Mapping):
        return {}
    return {name: _as_tuples(value) for name, value in written.items()}


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _arguments(given: Any, values: dict[str, Any]) -> Any:
    if isinstance(given, ArgsKwargs):
        return ArgsKwargs((), values)
    return values if isinstance(given, Mapping) else given


def _without(values: dict[str, Any], faults: list[Fault], build: Callable[[Any], T]) -> T | None:
    """What is built where the wrong fields are not given; None where they are needed."""
    wrong = {fault.path[0] for fault in faults if fault.path}
    try:
        return build(ArgsKwargs((), {k: v for k, v in values.items() if k not in wrong}))
    except ValidationError:
        return None


def as_error(cls: type, faults: Iterable[Fault]) -> ValidationError:
    """An error of pydantic's that says these faults of `cls`."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(TOLD, "{words}", {"words": fault.words, "of": fault.of}),
            loc=fault.path,
            input=None,
        )
        for fault in faults
    ]
    return ValidationError.from_exception_data(cls.__name__, lines)


def _told(
    fields: Mapping[str, FieldInfo], values: Mapping[str, Any], error: ValidationError
) -> Iterator[Fault]:
    """Each wrong field once, in the order of the errors."""
    known = {info.alias or name: info for name, info in fields.items()}
    seen = set[str]()
    for detail in error.errors(include_url=False):
        where, kind = detail["loc"], detail["type"]
        if kind == TOLD or (kind == "value_error" and len(where) > 1):  # of a part of it
            yield _fault(detail)
        elif not where:
            yield Fault((), _of_the_whole(detail))
        elif (name := str(where[0])) not in seen and kind != "default_factory_not_called":
            seen.add(name)
            if name not in known:
                words = f"no such setting.{nearest(name, known) or _listed(known)}"
            else:
                words = _refusal(known[name], name in values, values.get(name))
            yield Fault((name,), words)


def _fault(detail: ErrorDetails) -> Fault:
    words = detail["msg"].removeprefix("Value error, ")
    return Fault(detail["loc"], words, tuple(detail.get("ctx", {}).get("of", ())))


def _of_the_whole(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return _fault(detail).words
    return f"need a mapping of settings, got {_shown(detail['input'])}"


def _shown(value: Any) -> str:
    """A wrong value in a sentence; a long one is cut."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _listed(known: Iterable[str]) -> str:
    return f" Known: {', '.join(known)}."


def _refusal(info: FieldInfo, given: bool, value: Any) -> str:
    rule = next((part for part in info.metadata if isinstance(part, Rule)), None)
    allowed = rule.allowed if rule else allowed_words(info.annotation, *info.metadata)
    if not given:
        return f"missing; need {allowed}"
    return f"need {allowed}, got {_shown(value)}" + (f": {rule.why}" if rule and rule.why else "")
