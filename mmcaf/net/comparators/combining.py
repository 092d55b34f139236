"""What several methods combine modalities by: late averages, and a contrastive loss.

Axes: b batch, e embedding.
"""

from __future__ import annotations

from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Inputs, filled
from mmcaf.net.losses import Loss, binary_loss

__all__ = [
    "ContrastiveScale",
    "at_least_float32",
    "available",
    "contrastive_loss",
    "embeddings",
    "mean_probability",
    "stream_loss",
]

_START, _LARGEST = log(1 / 0.07), log(100)


def at_least_float32(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """For logarithms and exponentials, whatever a network computed in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def mean_probability(
    a: Float[Tensor, "*n"], b: Float[Tensor, "*n"], weight: float = 0.5
) -> Float[Tensor, "*n"]:
    """The logit of `weight` times the probability of `a` plus the rest times that of `b`.

    With equal weights that is DrFuse's logit pooling, log(2 e^(a+b) + e^a + e^b) - log(2 + e^a +
    e^b); computed from logarithms throughout, so it is finite for any logits.
    """
    if weight in (0.0, 1.0):
        return a if weight else b
    a, b = at_least_float32(a), at_least_float32(b)
    yes = torch.logaddexp(log(weight) + F.logsigmoid(a), log(1 - weight) + F.logsigmoid(b))
    no = torch.logaddexp(log(weight) + F.logsigmoid(-a), log(1 - weight) + F.logsigmoid(-b))
    return yes - no


def available(
    both: Float[Tensor, " *n"],
    image: Float[Tensor, " *n"],
    table: Float[Tensor, " *n"],
    has_image: Bool[Tensor, " b"],
    has_table: Bool[Tensor, " b"],
) -> Float[Tensor, " *n"]:
    """`both` where a sample has both modalities, else what the one it has says."""
    shape = (-1, *[1] * (both.ndim - 1))
    has_image, has_table = has_image.view(shape), has_table.view(shape)
    alone = torch.where(has_image, image.to(both.dtype), table.to(both.dtype))
    return torch.where(has_image & has_table, both, alone)


def stream_loss(
    parts: dict[str, Tensor], label: Float[Tensor, " b"], kind: Loss, *names: str
) -> Float[Tensor, ""]:
    """The losses of the logits called `names`, added up, each over the samples it is there for.

    A name begins with its modality, whose presence is in `has_image` or `has_table`.
    """
    total = label.new_zeros(())
    for name in names:
        has = parts[f"has_{name.partition('_')[0]}"]
        if has.any():
            total = total + binary_loss(parts[name][has], label[has], kind)
    return total


class ContrastiveScale(nn.Module):
    """The learnable factor of the similarities, 14.3 at first and kept within 1 and 100."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(_START))

    def forward(self) -> Float[Tensor, ""]:
        """The factor; a step that left the bounds is taken back here."""
        with torch.no_grad():
            self.log_scale.clamp_(0, _LARGEST)
        return self.log_scale.exp()


def contrastive_loss(
    a: Float[Tensor, "b e"],
    b: Float[Tensor, "b e"],
    scale: Float[Tensor, ""],
    label: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """How badly each embedding finds its partner among all of the other modality, both ways.

    Without labels the partner is the same sample (Radford et al. 2021); with labels every sample of
    the same class is one (Khosla et al. 2020). Needs no unit length: directions are compared.
    """
    if len(a) == 0:  # nothing to compare, and nothing to learn from it
        return (a.sum() + b.sum()).float() * 0
    a, b = (F.normalize(at_least_float32(x), dim=1) for x in (a, b))
    if label is None:
        partner = torch.eye(len(a), device=a.device, dtype=a.dtype)
    else:
        partner = (label[:, None] == label).to(a.dtype)
    share = partner / partner.sum(1, keepdim=True)
    similarity = scale * a @ b.T
    one_way = -(share * similarity.log_softmax(1)).sum(1).mean()
    other_way = -(share * similarity.T.log_softmax(1)).sum(1).mean()
    return (one_way + other_way) / 2


def embeddings(
    tabular: nn.Module, given: Inputs
) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b e"]]:
    """Image and table embedding, zeros where there is none."""
    return given.image, filled(tabular(given.table)[:, 0], given.has_table)
