"""Constraints between parameters: `train.warmup_epochs < train.epochs`.

A constraint is a comparison of two sides; a side is a number, a dotted path, an element of a list
such as `model.heads[0]`, or a product of these. Nothing is evaluated but this grammar.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

__all__ = ["Constraint"]

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_SPLIT = re.compile(r"(<=|>=|==|!=|<|>)")
_PATH = re.compile(r"([a-z_]+\.[a-z_0-9]+)(?:\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class _Term:
    """One factor: a number, or a setting by its path, of a list the element `index`."""

    number: float | None = None
    path: str | None = None
    index: int | None = None

    @classmethod
    def parse(cls, text: str) -> _Term:
        if found := _PATH.fullmatch(text):
            return cls(path=found[1], index=int(found[2]) if found[2] else None)
        try:
            return cls(number=float(text))
        except ValueError:
            raise ValueError(f"need a number or a path such as train.lr, got {text!r}") from None

    def value(self, settings: Callable[[str], Any]) -> Any:
        if self.path is None:
            return self.number
        found = settings(self.path)
        return found if self.index is None else found[self.index]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One comparison, as written in `text`."""

    text: str
    left: tuple[_Term, ...]
    operator: str
    right: tuple[_Term, ...]

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read `text`.

        Raises:
            ValueError: not a comparison of two products of numbers and paths.

        >>> Constraint.parse("train.lr * 10 <= 1").paths
        ('train.lr',)
        """
        parts = _SPLIT.split(text)
        if len(parts) != 3:
            allowed = " ".join(_OPERATORS)
            raise ValueError(f"need two sides and one of {allowed} between them, got {text!r}")
        sides = [
            tuple(_Term.parse(factor.strip()) for factor in side.split("*"))
            for side in (parts[0], parts[2])
        ]
        return cls(text, sides[0], parts[1], sides[1])

    @property
    def paths(self) -> tuple[str, ...]:
        """The settings it looks at."""
        return tuple(term.path for term in (*self.left, *self.right) if term.path)

    def holds(self, settings: Callable[[str], Any]) -> bool:
        """Whether it holds where `settings` gives the value of a path.

        Raises:
            TypeError: values that cannot be multiplied or compared; names them.
            IndexError: a list that is shorter than the index.
        """
        sides = []
        for terms in (self.left, self.right):
            values = [term.value(settings) for term in terms]
            if len(values) > 1 and not all(isinstance(v, int | float) for v in values):
                raise TypeError(f"need numbers to multiply in {self.text!r}, got {values!r}")
            sides.append(prod(values) if len(values) > 1 else values[0])
        return _OPERATORS[self.operator](*sides)
