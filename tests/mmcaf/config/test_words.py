"""What a type allows, as a reader would say it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from mmcaf.config.words import allowed_words

Whole = Annotated[int, Field(ge=1, le=9)]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "true or false"),
        (int, "a whole number"),
        (Whole, "a whole number from 1 to 9"),
        (Annotated[int, Field(ge=1)], "a whole number of at least 1"),
        (Annotated[float, Field(gt=0, lt=0.5)], "a number above 0 and below 0.5"),
        (Annotated[float, Field(ge=1e-9, le=10)] | None, "a number from 1e-09 to 10, or null"),
        (Annotated[int, Field(ge=4, le=8, multiple_of=4)], "a multiple of 4 from 4 to 8"),
        (Literal["sum", "concat"], "one of sum, concat"),
        (Literal["sum"], "sum"),
        (Annotated[int, Field(ge=1, le=10_000_000)], "a whole number from 1 to 10000000"),
        (Literal["sum", "concat"] | None, "one of sum, concat, or null"),
        (int | Literal["auto"], "a whole number or auto"),
        (str, "a text"),
        (tuple[Whole, ...], "a list of whole numbers from 1 to 9"),
        (tuple[Whole, Whole], "a list of 2 whole numbers from 1 to 9"),
        (Annotated[tuple[Any, ...], Field(min_length=2)], "a list of 2 or more values"),
        (
            Annotated[tuple[Whole, ...], Field(min_length=1, max_length=3)],
            "a list of 1 to 3 whole numbers from 1 to 9",
        ),
        (
            Annotated[tuple[Literal["a", "b"], ...], Field(min_length=1)],
            "a list of 1 or more of a, b",
        ),
        (tuple[Literal["a", "b"], ...], "a list of some of a, b"),
        (tuple[tuple[float, float], ...], "a list of lists of 2 numbers"),
        (dict[str, Any], "a mapping"),
        (tuple[BaseModel, ...], "a list of mappings"),
    ],
)
def test_a_type_in_words(kind: Any, words: str) -> None:
    assert allowed_words(kind) == words
