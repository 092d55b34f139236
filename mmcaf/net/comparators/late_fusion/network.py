"""Mean of two probabilities, or one linear head on both embeddings.

f [b e] is what the frozen image side says, g [b e] what the clinical encoder says.

Axes: b batch, e embedding.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import TABLE_ALONE, Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.combining import available, embeddings, mean_probability, stream_loss
from mmcaf.net.comparators.late_fusion import LateFusionConfig
from mmcaf.net.losses import Loss, binary_loss
from mmcaf.net.tabular import tabular_encoder

__all__ = ["LateFusion"]


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

    def answer(self, given: Inputs) -> Output:
        """On both embeddings, a missing one is zeros."""
        f, g = embeddings(self.tabular, given)
        if not self.average:
            return Output(self.head(torch.cat([f, g], 1))[:, 0])
        a, b = self.image_head(f)[:, 0], self.table_head(g)[:, 0]
        logit = available(mean_probability(a, b), a, b, given.has_image, given.has_table)
        return Output(
            logit,
            {"image": a, "table": b, "has_image": given.has_image, "has_table": given.has_table},
        )

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """Of two heads, the sum of both, each where its modality is there."""
        if not self.average:
            return binary_loss(output.logit, label, kind)
        return stream_loss(output.parts, label, kind, "image", "table")
