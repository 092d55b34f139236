"""The search space: what is varied, as values that cannot be wrong.

A dimension is written as one small mapping, `{float: [1.0e-5, 1.0e-1], log: true}`,
`{int: [1, 8]}` or `{choice: [[3], [2, 3], [1, 2, 3]]}`, under the dotted path it varies.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

__all__ = ["Choice", "Dimension", "Floats", "Ints"]


class _Dimension(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _Range(_Dimension):
    log: bool = False

    def _check_range(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"need low < high, got [{low}, {high}]")
        if self.log and low <= 0:
            raise ValueError(f"a log scale needs low > 0, got {low}")


class Floats(_Range):
    """Real numbers from `low` to `high`, both included."""

    bounds: tuple[float, float] = Field(alias="float")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        self._check_range(*self.bounds)
        return self

    def probes(self) -> tuple[Any, ...]:
        """Values that must build a valid config for all others to do so."""
        return self.bounds

    def contains(self, value: object) -> bool:
        """Whether an enqueued point may have this value."""
        return isinstance(value, int | float) and self.bounds[0] <= value <= self.bounds[1]

    def __str__(self) -> str:
        return f"[{self.bounds[0]:g}, {self.bounds[1]:g}]{' log' if self.log else ''}"


class Ints(_Range):
    """Whole numbers from `low` to `high`, both included, in steps of `step`."""

    bounds: tuple[int, int] = Field(alias="int")
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        self._check_range(*self.bounds)
        if self.log and self.step != 1:
            raise ValueError(f"a log scale has no step, got step {self.step}")
        return self

    def probes(self) -> tuple[Any, ...]:
        """All values; ranges of whole numbers are short."""
        return tuple(range(self.bounds[0], self.bounds[1] + 1, self.step))

    def contains(self, value: object) -> bool:
        """Whether an enqueued point may have this value."""
        return isinstance(value, int) and value in self.probes()

    def __str__(self) -> str:
        return f"[{self.bounds[0]}, {self.bounds[1]}]{' log' if self.log else ''}"


class Choice(_Dimension):
    """One of several values, which may be lists."""

    options: tuple[Any, ...] = Field(alias="choice", min_length=2)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for position, option in enumerate(self.options):
            if option in self.options[:position]:
                raise ValueError(f"the option {option!r} is listed twice")
        return self

    def probes(self) -> tuple[Any, ...]:
        """Every option."""
        return self.options

    def contains(self, value: object) -> bool:
        """Whether an enqueued point may have this value."""
        return value in self.options

    def __str__(self) -> str:
        return "one of " + ", ".join(map(str, self.options))


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
        custom_error_type="dimension",
        custom_error_message="need one of the keys float, int or choice",
    ),
]
