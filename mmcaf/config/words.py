"""What a type allows, in words, such as "a list of 3 whole numbers from 1 to 16"."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

__all__ = ["allowed_words"]

_NOUNS = {int: "whole number", float: "number", str: "text", Any: "value"}


def allowed_words(kind: Any, *bounds: Any) -> str:
    """What may stand where the type is `kind`, within `bounds`: the metadata of `Annotated`.

    `int` with `Field(ge=1, le=9)` is "a whole number from 1 to 9", and `Literal["sum", "concat"] |
    None` is "one of sum, concat, or null".
    """
    kind, bounds = _plain(kind, bounds)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        parts = [part for part in get_args(kind) if part is not NoneType]
        words = " or ".join(allowed_words(part, *bounds) for part in parts)
        return words if len(parts) == len(get_args(kind)) else f"{words}, or null"
    if origin is Literal:
        options = ", ".join(map(str, get_args(kind)))
        return f"one of {options}" if len(get_args(kind)) > 1 else options
    if kind is bool:
        return "true or false"
    if origin is tuple:
        return f"a list of {_items(get_args(kind), bounds)}"
    return f"a {_noun(origin or kind, bounds)}"


def _plain(kind: Any, bounds: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """The type without `Annotated`, and single bounds in place of those a `Field` holds."""
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        bounds = (*more, *bounds)
    return kind, tuple(one for bound in bounds for one in getattr(bound, "metadata", [bound]))


def _items(kinds: tuple[Any, ...], bounds: Sequence[Any]) -> str:
    low, high = _bound("min_length", bounds), _bound("max_length", bounds)
    count = f"{low} to {high} " if low and high else f"{low} or more " if low else ""
    if kinds[-1] is not Ellipsis:
        count = f"{len(kinds)} "
    kind, of_item = _plain(kinds[0], ())
    if get_origin(kind) is tuple:
        return f"{count}lists of {_items(get_args(kind), of_item)}"
    if get_origin(kind) is Literal:
        return f"{count or 'some '}of {', '.join(map(str, get_args(kind)))}"
    return count + _noun(kind, of_item, "s")


def _noun(kind: Any, bounds: Sequence[Any], plural: str = "") -> str:
    step = _bound("multiple_of", bounds)
    noun = f"multiple{plural} of {step}" if step else _NOUNS.get(kind, "mapping") + plural
    if kind is str and _bound("min_length", bounds):
        return f"{noun} that is not empty"
    return noun + (_range(bounds) if kind in (int, float) else "")


def _range(bounds: Sequence[Any]) -> str:
    ge, le, gt, lt = (_bound(name, bounds) for name in ("ge", "le", "gt", "lt"))
    if ge is not None and le is not None:
        return f" from {_figure(ge)} to {_figure(le)}"
    sides = (("of at least", ge), ("above", gt), ("of at most", le), ("below", lt))
    told = " and ".join(f"{words} {_figure(side)}" for words, side in sides if side is not None)
    return f" {told}" if told else ""


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _bound(name: str, bounds: Sequence[Any]) -> Any:
    return next((getattr(b, name) for b in bounds if getattr(b, name, None) is not None), None)
