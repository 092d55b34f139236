"""A contrastive loss on both embeddings beside one linear head on them."""

from __future__ import annotations

from typing import Literal

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import FusionConfig, Weight
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "ClipFusionConfig"]


@settings
class ClipFusionConfig(FusionConfig):
    """A contrastive loss on both embeddings beside one linear head on them."""

    name: Literal["clip_fusion"] = "clip_fusion"
    weight_clip: Weight = 0.5  # of the contrastive loss beside the cross-entropy


NETWORK = Network(
    config=ClipFusionConfig,
    built_by=".network:ClipFusion",
    reads="embedding",
    unique=True,
    rows=(
        PaperRow(
            key="clip_fusion", title="clip_Fusion", table="3", place=2, published="clip_Fusion"
        ),
    ),
)
