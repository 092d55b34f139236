"""The search space: what is varied, as values that cannot be wrong.

A dimension is written as one small mapping, `{float: [1.0e-5, 1.0e-1], log: true}`,
`{int: [1, 8], step: 1}` or `{choice: [[3], [2, 3], [1, 2, 3]]}`, under the dotted path it varies.
With `when: {model.tokens: grid}` it is part of a trial only where that other dimension has that
value, with `when: {model.pyramid_scales: {any: [[2, 3], [1, 2, 3]]}}` where it has one of several;
elsewhere its setting stays what it is outside the space.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from mmcaf.config.settings import TOLD
from mmstudy.spec.written import Written

__all__ = ["Choice", "Dimension", "Floats", "Ints", "in_order", "is_active", "wanted"]


MOST_VALUES: Final = 10_000
"""Of one dimension that has steps or is listed; each is tried before a study begins."""


class _Dimension(Written):
    when: dict[str, Any] = {}  # path of another dimension -> value it must have, or {any: [...]}


class _Range(_Dimension):
    log: bool = False

    def _check_range(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"need low < high, got [{low}, {high}]")
        if self.log and low <= 0:
            raise ValueError(f"a log scale needs low > 0, got {low}")

    def _check_step(self, low: float, high: float, step: float) -> None:
        if self.log:
            raise ValueError(f"a log scale has no step, got step {step}")
        steps = (high - low) / step
        self._check_count(steps + 1)
        if abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
            raise ValueError(
                f"need steps that end at {high}, but {low} to {high} is {steps:.6g} steps of {step}"
            )

    def _check_count(self, values: float) -> None:
        if not values < MOST_VALUES + 0.5:
            raise ValueError(f"need {MOST_VALUES} values at most, got {values:.6g}; widen the step")


class Floats(_Range):
    """Real numbers from `low` to `high`, both included, in steps of `step` if given."""

    bounds: tuple[float, float] = Field(alias="float")
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        self._check_range(*self.bounds)
        if self.step is not None:
            self._check_step(*self.bounds, self.step)
        return self

    def probes(self) -> tuple[Any, ...]:
        """Values that must build a valid config for all others to do so."""
        return self.bounds

    def count(self) -> int:
        """How many values there are; 0 where they cannot be counted."""
        low, high = self.bounds
        return 0 if self.step is None else round((high - low) / self.step) + 1

    def grid(self) -> tuple[Any, ...]:
        """Every value, where they can be counted; empty where they cannot."""
        return tuple(self.bounds[0] + i * (self.step or 0.0) for i in range(self.count()))

    def contains(self, value: object) -> bool:
        """Whether an enqueued point may have this value."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.step is not None:
            return any(abs(value - point) < 1e-9 * self.step for point in self.grid())
        return self.bounds[0] <= value <= self.bounds[1]

    def __str__(self) -> str:
        step = f" in steps of {self.step:g}" if self.step else ""
        return f"[{self.bounds[0]:g}, {self.bounds[1]:g}]{' log' if self.log else ''}{step}"


class Ints(_Range):
    """Whole numbers from `low` to `high`, both included, in steps of `step`."""

    bounds: tuple[int, int] = Field(alias="int")
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        self._check_range(*self.bounds)
        if self.step != 1:
            self._check_step(*self.bounds, self.step)
        self._check_count(self.count())
        return self

    def count(self) -> int:
        """How many values there are."""
        return (self.bounds[1] - self.bounds[0]) // self.step + 1

    def probes(self) -> tuple[Any, ...]:
        """All values; ranges of whole numbers are short."""
        return tuple(range(self.bounds[0], self.bounds[1] + 1, self.step))

    def grid(self) -> tuple[Any, ...]:
        """Every value."""
        return self.probes()

    def contains(self, value: object) -> bool:
        """Whether an enqueued point may have this value."""
        return type(value) is int and value in range(self.bounds[0], self.bounds[1] + 1, self.step)

    def __str__(self) -> str:
        step = f" in steps of {self.step}" if self.step != 1 else ""
        return f"[{self.bounds[0]}, {self.bounds[1]}]{' log' if self.log else ''}{step}"


class Choice(_Dimension):
    """One of several values, which may be lists."""

    options: tuple[Any, ...] = Field(alias="choice", min_length=2, max_length=1000)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for position, option in enumerate(self.options):
            if option in self.options[:position]:
                raise ValueError(f"the option {option!r} is listed twice")
        return self

    def count(self) -> int:
        """How many options there are."""
        return len(self.options)

    def probes(self) -> tuple[Any, ...]:
        """Every option."""
        return self.options

    def grid(self) -> tuple[Any, ...]:
        """Every option."""
        return self.options

    def contains(self, value: object) -> bool:
        """Whether an enqueued point may have this value."""
        return value in self.options

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.options))


def is_active(dimension: Dimension, params: Mapping[str, Any]) -> bool:
    """Whether `dimension` is part of a trial whose other params are `params`."""
    return all(
        path in params and params[path] in wanted(want) for path, want in dimension.when.items()
    )


def wanted(written: Any) -> list[Any]:
    """The values that fulfil one condition as written."""
    several = isinstance(written, dict) and [*written] == ["any"]
    return [*written["any"]] if several else [written]


def in_order(space: Mapping[str, Dimension]) -> Iterator[tuple[str, Dimension]]:
    """The dimensions as written, but each after those its `when` looks at.

    Raises:
        ValueError: conditions that wait for each other, or for what is not in the space.
    """
    left, given = dict(space), set[str]()
    while left:
        ready = [path for path, dimension in left.items() if dimension.when.keys() <= given]
        if not ready:
            raise ValueError(f"the conditions of {', '.join(left)} can never be decided")
        for path in ready:
            yield path, left.pop(path)
            given.add(path)


def _kind(written: Any) -> Literal["float", "int", "choice"] | None:
    if isinstance(written, Floats):
        return "float"
    if isinstance(written, Ints):
        return "int"
    if isinstance(written, Choice):
        return "choice"
    kinds: tuple[Literal["float", "int", "choice"], ...] = ("float", "int", "choice")
    if isinstance(written, dict):
        return next((kind for kind in kinds if kind in written), None)
    return None


Dimension = Annotated[
    Annotated[Floats, Tag("float")]
    | Annotated[Ints, Tag("int")]
    | Annotated[Choice, Tag("choice")],
    Discriminator(
        _kind,
        custom_error_type=TOLD,
        custom_error_message="need one of the keys float, int or choice",
    ),
]
