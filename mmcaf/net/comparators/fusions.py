"""Other fusions of the two embeddings MMCAF-Net fuses: one scale of attention, contrast, late.

Both see f [b e], what the frozen image side says, and g [b e], what the clinical encoder says.

Axes: b batch, e embedding.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.ablation_configs import (
    ClipFusionConfig,
    CrossAttentionConfig,
    LateFusionConfig,
)
from mmcaf.net.comparators.base import Comparator, Output, Reads, Step, filled, presence
from mmcaf.net.comparators.combining import (
    ContrastiveScale,
    available,
    contrastive_loss,
    mean_probability,
    stream_loss,
)
from mmcaf.net.comparators.single_modality import TABLE_ALONE
from mmcaf.net.losses import Loss, binary_loss
from mmcaf.net.msca import CrossAttention
from mmcaf.net.tabular import tabular_encoder

__all__ = ["ClipFusion", "CrossAttentionFusion", "LateFusion"]


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

    def forward(
        self,
        image: Float[Tensor, "b e"],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """See `Comparator`; a missing embedding is the mean of the norm, 0 after it."""
        has_image, has_table = presence(table, has_image, has_table)
        f = _normed(self.image_norm, filled(image, has_image), has_image)
        g = _normed(self.table_norm, self.tabular(filled(table, has_table))[:, 0], has_table)
        a, b = self.attention(f[:, None], g[:, None])
        return Output(self.head((a[:, 0] + b[:, 0]) / 2)[:, 0])


class ClipFusion(Comparator):
    """One linear head on both embeddings, which a contrastive loss draws together."""

    reads: Reads = "embedding"
    steps = (
        # Two copies of one patient would be scored as strangers.
        Step("train", ("tabular", "head", "scale"), {**TABLE_ALONE, "oversample": False}),
    )

    def __init__(self, config: ClipFusionConfig) -> None:
        super().__init__()
        self.weight = config.weight_clip
        self.tabular = tabular_encoder(config.encoder)
        self.scale = ContrastiveScale()
        self.head = nn.Linear(2 * config.embedding_dim, 1)

    def forward(
        self,
        image: Float[Tensor, "b e"],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """See `Comparator`; a missing embedding is zeros."""
        has_image, has_table = presence(table, has_image, has_table)
        f, g = _embeddings(self.tabular, image, table, has_image, has_table)
        logit = self.head(torch.cat([f, g], 1))[:, 0]
        return Output(logit, {"image": f, "table": g, "paired": has_image & has_table})

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """Cross-entropy plus the weighted contrastive loss of samples with both modalities."""
        entropy, paired = binary_loss(output.logit, label, kind), output.parts["paired"]
        image, table = output.parts["image"][paired], output.parts["table"][paired]
        return entropy + self.weight * contrastive_loss(image, table, self.scale())


class LateFusion(Comparator):
    """A head for either embedding and the mean of both probabilities, or one head on both."""

    reads: Reads = "embedding"

    def __init__(self, config: LateFusionConfig) -> None:
        super().__init__()
        self.average = config.form == "average"
        self.tabular = tabular_encoder(config.encoder)
        if self.average:
            self.image_head = nn.Linear(config.embedding_dim, 1)
            self.table_head = nn.Linear(config.embedding_dim, 1)
        else:
            self.head = nn.Linear(2 * config.embedding_dim, 1)
        heads = ("image_head", "table_head") if self.average else ("head",)
        self.steps = (Step("train", ("tabular", *heads), TABLE_ALONE),)

    def forward(
        self,
        image: Float[Tensor, "b e"],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """See `Comparator`; on both embeddings, a missing one is zeros."""
        has_image, has_table = presence(table, has_image, has_table)
        f, g = _embeddings(self.tabular, image, table, has_image, has_table)
        if not self.average:
            return Output(self.head(torch.cat([f, g], 1))[:, 0])
        a, b = self.image_head(f)[:, 0], self.table_head(g)[:, 0]
        logit = available(mean_probability(a, b), a, b, has_image, has_table)
        return Output(
            logit, {"image": a, "table": b, "has_image": has_image, "has_table": has_table}
        )

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """Of two heads, the sum of both, each where its modality is there."""
        if not self.average:
            return binary_loss(output.logit, label, kind)
        return stream_loss(output.parts, label, kind, "image", "table")


def _embeddings(
    tabular: nn.Module,
    image: Float[Tensor, "b e"],
    table: Float[Tensor, "b 7"],
    has_image: Bool[Tensor, " b"],
    has_table: Bool[Tensor, " b"],
) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b e"]]:
    """Image and table embedding, zeros where there is none."""
    of_table = tabular(filled(table, has_table))[:, 0]
    return filled(image, has_image), filled(of_table, has_table)


def _normed(
    norm: nn.BatchNorm1d, x: Float[Tensor, "b e"], has: Bool[Tensor, " b"]
) -> Float[Tensor, "b e"]:
    """Batch norm over the samples that are there; zeros for the others."""
    if has.all():
        out: Tensor = norm(x)
        return out
    there = norm(x[has]) if has.any() else x[:0]
    return torch.zeros_like(x, dtype=there.dtype).masked_scatter(has[:, None], there)
