"""PENet and the pyramid, without the table."""

from __future__ import annotations

from typing import Literal

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import ImageSideConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "PenetMscaConfig"]


@settings
class PenetMscaConfig(ImageSideConfig):
    """PENet and the pyramid, without the table."""

    name: Literal["penet_msca"] = "penet_msca"


NETWORK = Network(
    config=PenetMscaConfig,
    built_by=".network:PENetMSCA",
    reads="window",
    rows=(
        PaperRow(
            key="penet_msca", title="PENet+E3D-MSCA", table="2", place=3, published="PENet+E3D-MSCA"
        ),
        PaperRow(
            key="penet_msca_drop",
            title="PENet+E3D-MSCA+drop",
            table="2",
            place=4,
            published="PENet+E3D-MSCA+drop",
        ),
    ),
)
