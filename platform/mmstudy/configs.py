"""From dotted settings to the real config classes of the model library.

A spec is checked by building these, so what is refused here is what training would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.net.config import ModelConfig

__all__ = ["SECTIONS", "TrialConfig", "build", "field_names", "known_paths", "nearest", "reason"]

SECTIONS: dict[str, Any] = {"data": DataConfig, "model": ModelConfig, "train": TrainConfig}


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """All that one trial is built from."""

    model: ModelConfig
    train: TrainConfig
    data: DataConfig

    def setting(self, path: str) -> Any:
        """The value at a dotted path, such as `train.lr`."""
        section, _, field = path.partition(".")
        return getattr(getattr(self, section), field)


def build(section: str, values: Mapping[str, Any]) -> Any:
    """A config object; lists become tuples and "1e-4" a number, by the types of the class.

    Raises:
        ValueError: what the class refuses, with the reasons.
    """
    if section == "model":
        # A preset brings defaults of its own, which what is written overrides.
        preset = ModelConfig.from_preset(values.get("preset", "paper"))
        values = {field: getattr(preset, field) for field in field_names("model")} | dict(values)
    try:
        return TypeAdapter(SECTIONS[section]).validate_python(dict(values))
    except ValidationError as error:
        raise ValueError("; ".join(reason(detail) for detail in error.errors())) from error


def field_names(section: str) -> list[str]:
    """The settings of a section."""
    return [field.name for field in fields(SECTIONS[section])]


def known_paths() -> list[str]:
    """Every dotted path there is."""
    return [f"{section}.{name}" for section in SECTIONS for name in field_names(section)]


def reason(detail: ErrorDetails) -> str:
    """Pydantic's fault in our words: what is wrong, the value got."""
    message = detail["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in detail["loc"] if isinstance(part, str))
    got = detail.get("input")
    told = detail["type"] in ("value_error", "missing") or isinstance(got, Mapping)
    return message if told else f"{where}: {message}, got {got!r}" if where else message


def nearest(name: str, known: Any) -> str:
    """A hint at the name that was probably meant; empty where none is near."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
