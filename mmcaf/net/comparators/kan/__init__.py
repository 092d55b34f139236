"""The table alone, read by a KAN."""

from __future__ import annotations

from typing import Literal

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import NO_IMAGE, TableConfig
from mmcaf.net.config import KanGrid, KanHidden, KanOrder
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "KanConfig"]


@settings
class KanConfig(TableConfig):
    """The table alone, read by a KAN."""

    name: Literal["kan"] = "kan"
    kan_grid: KanGrid = 5
    kan_order: KanOrder = 3
    kan_hidden: KanHidden = ()  # widths between the 7 columns and the last

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing, each with the reason."""
        return {"width": NO_IMAGE}


NETWORK = Network(
    config=KanConfig,
    built_by=".network:TableAlone",
    reads="none",
    rows=(
        PaperRow(
            key="kan",
            title="KAN, table alone",
            table="readme",
            place=2,
            published="KAN table encoder",
        ),
    ),
)
