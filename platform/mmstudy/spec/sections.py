"""From dotted settings to the real config classes of the model library.

A spec is checked by building these, so what is refused here is what training would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.config.settings import WrongSettings, nearest, read
from mmcaf.net.registry import config_class, usable_networks
from mmcaf.net.stage_rules import stage_faults

__all__ = [
    "MMCAF_NET",
    "SECTIONS",
    "TrialConfig",
    "build",
    "field_names",
    "known_paths",
    "nearest",
    "network_name",
    "section_class",
]

SECTIONS = ("data", "model", "train")
MMCAF_NET = "mmcaf_net"
"""The network of a spec that names none."""


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """All that one trial is built from."""

    model: Any  # the config of a network
    train: TrainConfig
    data: DataConfig

    def __post_init__(self) -> None:
        if faults := list(stage_faults(self.model, self.train)):
            raise WrongSettings(fault.below("train") for fault in faults)

    def setting(self, path: str) -> Any:
        """The value at a dotted path, such as `train.lr`."""
        section, _, field = path.partition(".")
        return getattr(getattr(self, section), field)


def build(section: str, values: Mapping[str, Any]) -> Any:
    """A config object; lists become tuples and "1e-4" a number, by the types of the class.

    Raises:
        WrongSettings: names every wrong field of the section.
    """
    network = network_name(values) if section == "model" else MMCAF_NET
    return read(section_class(section, network), values)


def network_name(values: Mapping[str, Any]) -> Any:
    """What the `model` section `values` says the network is, right or wrong."""
    return values.get("name", MMCAF_NET)


def section_class(section: str, network: Any = MMCAF_NET) -> type[Any]:
    """What a section is built into, where the network is `network`.

    Raises:
        WrongSettings: there is no such network.
    """
    if section == "model":
        return config_class(network)
    return DataConfig if section == "data" else TrainConfig


def field_names(section: str, network: Any = MMCAF_NET) -> list[str]:
    """The settings of a section; of a network that cannot be loaded, those of any."""
    try:
        kinds = [section_class(section, network)]
    except WrongSettings:
        kinds = [known.config for known in usable_networks()]
    return [*dict.fromkeys(field.name for kind in kinds for field in fields(kind))]


def known_paths(network: Any = MMCAF_NET) -> list[str]:
    """Every dotted path there is where the network is `network`."""
    return [f"{section}.{name}" for section in SECTIONS for name in field_names(section, network)]
