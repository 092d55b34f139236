"""A part of a spec as a human writes it: pydantic reads it, and its faults are told in words."""

from __future__ import annotations

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from mmcaf.config.settings import as_error, in_words, retyped

__all__ = ["Written"]


class Written(BaseModel):
    """Base of all parts: frozen, no setting that is unknown, each wrong one named once."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, given: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            built = build(given)
        except ValidationError as error:
            raise in_words(cls, cls.model_fields, given, error) from None
        written = given if isinstance(given, dict) else {}
        if faults := [*retyped(cls.model_fields, written, built)]:
            raise as_error(cls, faults)
        return built
