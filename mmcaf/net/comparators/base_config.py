"""Fields of a comparator's config, each with what it may be, checked whole when it is built.

What a Literal or a bool may be, its type says; numbers and texts are declared with what is here.

No torch here: a study is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, get_args, get_type_hints

from mmcaf.net.config import ModelConfig

__all__ = ["NetworkConfig", "number", "text", "whole", "wholes"]

_WIDTHS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


def whole(default: int | None, low: int, high: int) -> Any:
    """A whole number; None where that is the default."""
    return _checked(
        default,
        lambda v: (v is None and default is None) or (type(v) is int and low <= v <= high),
        f"a whole number from {low} to {high}",
    )


def wholes(default: tuple[int, ...], low: int, high: int, *, length: int | None = None) -> Any:
    """A list of whole numbers, of `length` where that is given."""

    def allowed(values: object) -> bool:
        return (
            isinstance(values, tuple)
            and all(type(v) is int and low <= v <= high for v in values)
            and length in (None, len(values))
        )

    count = "" if length is None else f"{length} "
    return _checked(default, allowed, f"a list of {count}whole numbers from {low} to {high}")


def number(default: float | None, low: float, high: float) -> Any:
    """A finite number; None where that is the default."""

    def allowed(value: object) -> bool:
        if value is None:
            return default is None
        return type(value) in (int, float) and isfinite(value) and low <= value <= high  # type: ignore[arg-type,operator]

    return _checked(default, allowed, f"a number from {low:g} to {high:g}")


def text(default: str | None) -> Any:
    """Any text that is not empty; None where that is the default."""
    return _checked(
        default, lambda v: (v is None and default is None) or (isinstance(v, str) and v), "a text"
    )


def _of_type(kind: Any) -> tuple[Callable[[object], bool], str]:
    """The rule of a bool or a Literal, or of one of these or None."""
    if kind is bool:
        return lambda v: isinstance(v, bool), "true or false"
    if bool in get_args(kind):
        return lambda v: v is None or isinstance(v, bool), "true, false or None"
    options = [option for part in get_args(kind) for option in get_args(part) or (part,)]
    known = [None if option is type(None) else option for option in options]
    return lambda v: v in known, f"one of {', '.join(str(option) for option in known)}"


def _checked(default: object, allowed: Callable[[object], Any], words: str) -> Any:
    return field(default=default, metadata={"rule": (allowed, words)})


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Base of the configs of comparators; lists (from YAML) become tuples.

    Raises:
        ValueError: some fields are wrong; the message has one line for each of them.
    """

    name: str
    width: float = _checked(
        1.0,
        lambda v: not isinstance(v, bool) and v in _WIDTHS,
        "one of 0.0625, 0.125, 0.25, 0.5, 1 (channels must stay divisible by their groups)",
    )  # of the trunk's channels, as `ModelConfig.width`

    def __post_init__(self) -> None:
        for known in fields(self):
            value = getattr(self, known.name)
            if isinstance(value, list):
                object.__setattr__(self, known.name, tuple(value))
        kinds = get_type_hints(type(self))
        faults = [
            f"Need {known.name} to be {words}, got {getattr(self, known.name)!r}."
            for known in fields(self)
            for allowed, words in [known.metadata.get("rule") or _of_type(kinds[known.name])]
            if not allowed(getattr(self, known.name))
        ]
        if faults := faults or self.conflicts():
            raise ValueError("\n".join(faults))
        object.__setattr__(self, "width", float(self.width))

    @property
    def trunk_config(self) -> ModelConfig:
        """What the shared trunk, and PENet's head on it, are built from."""
        return ModelConfig(preset="reference", width=self.width)

    @property
    def channels(self) -> int:
        """Channels of the trunk's deepest map: 1024 at full width."""
        return self.trunk_config.stage_channels[2]

    def conflicts(self) -> list[str]:
        """Faults of fields that are right by themselves but not together."""
        return []

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing in this network, each with the reason; never searched."""
        return {}
