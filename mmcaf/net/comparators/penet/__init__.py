"""PENet alone: the trunk and its ASPP head."""

from __future__ import annotations

from typing import Literal

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import NetworkConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "PenetConfig"]


@settings
class PenetConfig(NetworkConfig):
    """PENet alone: the trunk and its ASPP head."""

    name: Literal["penet"] = "penet"


NETWORK = Network(
    config=PenetConfig,
    built_by=".network:PENet",
    reads="window",
    rows=(PaperRow(key="penet", title="PENet", table="2", place=2, published="PENet"),),
)
