"""Cross-attention at a single width, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import Fault, settings
from mmcaf.net.comparators.base_config import FusionConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "CrossAttentionConfig"]

Attention = Literal["softmax", "linear"]


@settings
class CrossAttentionConfig(FusionConfig):
    """Cross-attention at a single width, in both directions."""

    name: Literal["cross_attention"] = "cross_attention"
    attention: Attention = "softmax"  # linear: the paper's equation
    heads: Annotated[int, Field(ge=1, le=1024)] = 4

    def conflicts(self) -> Iterator[Fault]:
        """The heads must divide the embedding."""
        if self.embedding_dim % self.heads:
            words = f"need a divisor of embedding_dim {self.embedding_dim}, got {self.heads!r}"
            yield Fault(("heads",), words, of=("embedding_dim",))

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing, with the reason: a softmax over one key is always 1."""
        found = FusionConfig.without_effect(self)
        if self.attention == "softmax":
            found["heads"] = "softmax over one token is always 1; set attention: linear"
        return found


NETWORK = Network(
    config=CrossAttentionConfig,
    built_by=".network:CrossAttentionFusion",
    reads="embedding",
    rows=(
        PaperRow(
            key="cross_attention",
            title="Cross-Attention",
            table="3",
            place=1,
            published="Cross-Attention",
        ),
    ),
)
