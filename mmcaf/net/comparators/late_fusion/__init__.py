"""Mean of two probabilities, or one linear head on both embeddings."""

from __future__ import annotations

from typing import Literal

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import FusionConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "LateFusionConfig"]

LateForm = Literal["average", "concat"]


@settings
class LateFusionConfig(FusionConfig):
    """Mean of two probabilities, or one linear head on both embeddings."""

    name: Literal["late_fusion"] = "late_fusion"
    form: LateForm = "average"


NETWORK = Network(
    config=LateFusionConfig,
    built_by=".network:LateFusion",
    reads="embedding",
    rows=(
        PaperRow(
            key="late_fusion", title="Late_Fusion", table="3", place=3, published="Late_Fusion"
        ),
    ),
)
