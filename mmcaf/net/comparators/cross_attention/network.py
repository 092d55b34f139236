"""Cross-attention at a single width, in both directions.

f [b e] is what the frozen image side says, g [b e] what the clinical encoder says.

Axes: b batch, e embedding.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import TABLE_ALONE, Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.cross_attention import CrossAttentionConfig
from mmcaf.net.msca import CrossAttention
from mmcaf.net.tabular import tabular_encoder

__all__ = ["CrossAttentionFusion"]


class CrossAttentionFusion(Comparator):
    """Cross-attention in both directions at one width, the mean of both, one linear head."""

    reads: Reads = "embedding"
    steps = (
        Step("train", ("tabular", "image_norm", "table_norm", "attention", "head"), TABLE_ALONE),
    )

    def __init__(self, config: CrossAttentionConfig) -> None:
        super().__init__()
        width = config.embedding_dim
        self.tabular = tabular_encoder(config.encoder)
        self.image_norm, self.table_norm = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.attention = CrossAttention(width, config.heads, config.attention, by_head=True)
        self.head = nn.Linear(width, 1)

    def answer(self, given: Inputs) -> Output:
        """A missing embedding is the mean of the norm, 0 after it."""
        f = _normed(self.image_norm, given.image, given.has_image)
        g = _normed(self.table_norm, self.tabular(given.table)[:, 0], given.has_table)
        a, b = self.attention(f[:, None], g[:, None])
        return Output(self.head((a[:, 0] + b[:, 0]) / 2)[:, 0])


def _normed(
    norm: nn.BatchNorm1d, x: Float[Tensor, "b e"], has: Bool[Tensor, " b"]
) -> Float[Tensor, "b e"]:
    """Batch norm over the samples that are there; zeros for the others."""
    if has.all():
        out: Tensor = norm(x)
        return out
    there = norm(x[has]) if has.any() else x[:0]
    return torch.zeros_like(x, dtype=there.dtype).masked_scatter(has[:, None], there)
