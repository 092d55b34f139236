"""A contrastive loss on both embeddings beside one linear head on them.

f [b e] is what the frozen image side says, g [b e] what the clinical encoder says.

Axes: b batch, e embedding.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import TABLE_ALONE, Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.clip_fusion import ClipFusionConfig
from mmcaf.net.comparators.combining import ContrastiveScale, contrastive_loss, embeddings
from mmcaf.net.losses import Loss, binary_loss
from mmcaf.net.tabular import tabular_encoder

__all__ = ["ClipFusion"]


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

    def answer(self, given: Inputs) -> Output:
        """A missing embedding is zeros."""
        f, g = embeddings(self.tabular, given)
        logit = self.head(torch.cat([f, g], 1))[:, 0]
        return Output(logit, {"image": f, "table": g, "paired": given.has_image & given.has_table})

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """Cross-entropy plus the weighted contrastive loss of samples with both modalities."""
        entropy, paired = binary_loss(output.logit, label, kind), output.parts["paired"]
        image, table = output.parts["image"][paired], output.parts["table"][paired]
        return entropy + self.weight * contrastive_loss(image, table, self.scale())
