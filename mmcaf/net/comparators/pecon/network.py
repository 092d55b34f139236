"""PECon (Sanjeev et al., 2023): contrastive alignment, then a classifier for each modality.

    v [b c]     -> MLP -> 128 \\  aligned by a contrastive loss; then a linear classifier each,
    table [b 7] -> MLP -> 128 /   trained on the mean of both logits

The published code trains on the mean logit but scores by the mean probability; `late` chooses.

Axes: b batch, c channels, e embedding.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Step
from mmcaf.net.comparators.combining import (
    ContrastiveScale,
    available,
    contrastive_loss,
    mean_probability,
)
from mmcaf.net.comparators.pecon import PeconConfig
from mmcaf.net.losses import Loss, binary_loss

__all__ = ["PECon"]

_ALIGN = {
    "optimizer": "sgd",
    "lr": 0.03,
    "momentum": 0.0,
    "dampening": 0.0,
    "weight_decay": 0.0,
    "epochs": 150,
    "batch_size": 32,
    "oversample": False,  # two copies of one patient would be scored as strangers
}
_CLASSIFY = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.0, "epochs": 50, "batch_size": 16}


class PECon(Comparator):
    """Two embeddings and their classifiers."""

    reads = "pooled"
    steps = (
        Step("align", ("image", "table", "scale"), _ALIGN),
        Step("classify", ("image", "table", "image_head", "table_head"), _CLASSIFY),
    )

    def __init__(self, config: PeconConfig) -> None:
        super().__init__()
        self.config = config
        wide, narrow = config.hidden
        self.image = nn.Sequential(
            nn.Linear(config.channels, wide),
            nn.ReLU(),
            nn.Dropout(config.image_dropout),
            nn.Linear(wide, narrow),
            nn.ReLU(),
            nn.Linear(narrow, config.embedding_dim),
        )
        self.table = nn.Sequential(
            nn.Linear(7, config.table_hidden),
            nn.ReLU(),
            nn.Dropout(config.table_dropout),
            nn.Linear(config.table_hidden, config.embedding_dim),
        )
        self.scale = ContrastiveScale()
        self.image_head = nn.Linear(config.embedding_dim, 2)
        self.table_head = nn.Linear(config.embedding_dim, 2)
        for module in (*self.image, *self.table, self.image_head):
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def answer(self, given: Inputs) -> Output:
        """`image` is pooled."""
        of_image = self.image(given.image)
        of_table = self.table(given.table)
        a, b = _odds(self.image_head(of_image)), _odds(self.table_head(of_table))
        mean = available((a + b) / 2, a, b, given.has_image, given.has_table)
        logit = mean
        if self.config.late == "prob":
            logit = available(mean_probability(a, b), a, b, given.has_image, given.has_table)
        return Output(
            logit,
            {
                "image": of_image,
                "table": of_table,
                "mean_logit": mean,
                "paired": given.has_image & given.has_table,
            },
        )

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """Of `align`, the contrastive loss of samples with both modalities."""
        if step == "classify":
            return binary_loss(output.parts["mean_logit"], label, kind)
        paired = output.parts["paired"]
        image, table = output.parts["image"][paired], output.parts["table"][paired]
        classes = label[paired] if self.config.target == "sup" else None
        return contrastive_loss(image, table, self.scale(), classes)


def _odds(scores: Float[Tensor, "b 2"]) -> Float[Tensor, " b"]:
    """The logit of the second of two classes."""
    return scores[:, 1] - scores[:, 0]
