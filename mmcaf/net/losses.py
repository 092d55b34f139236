"""The loss of one logit against one label, in float32 whatever the network computed in."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Loss", "binary_loss", "focal_loss"]

Loss = Literal["bce", "focal"]


def focal_loss(
    logits: Float[Tensor, " b"], labels: Float[Tensor, " b"], gamma: float = 2.0
) -> Float[Tensor, ""]:
    """Binary focal loss (Lin et al. 2017, without class weights), mean over the batch."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    missed = -torch.expm1(-cross_entropy)  # 1 - probability of the true class
    return (missed**gamma * cross_entropy).mean()


def binary_loss(
    logits: Float[Tensor, " b"], labels: Float[Tensor, " b"], kind: Loss = "bce"
) -> Float[Tensor, ""]:
    """Mean binary cross-entropy, or with `focal` the focal loss with gamma 2."""
    if kind == "focal":
        return focal_loss(logits.float(), labels)
    return F.binary_cross_entropy_with_logits(logits.float(), labels)
