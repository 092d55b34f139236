"""DrFuse (Yao et al., 2024): what image and table share, and what each has alone.

    table [b 7] -> a token per column -> transformer -> shared e_s, distinct e_d
    image       -> shared c_s, distinct c_d
    h = pool(e_s, c_s);  attention over (e_d, h, c_d) -> logit

Shared vectors are drawn together (JSD) and pooled, distinct ones are pushed away from them, and the
attention is ranked by how well each vector predicts alone. Here the original's time steps are
columns of the table, and its diseases are one.

Axes: b batch, c channels, e width of a vector.
"""

from __future__ import annotations

from copy import deepcopy
from math import log, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.combining import (
    at_least_float32,
    available,
    mean_probability,
    stream_loss,
)
from mmcaf.net.comparators.drfuse import DrfuseConfig, Jsd
from mmcaf.net.losses import Loss, binary_loss
from mmcaf.net.penet import PENetHead, PENetTrunk

__all__ = ["DrFuse", "jensen_shannon", "ranking_loss"]

_TRAIN = {"optimizer": "adamw", "lr": 1e-4, "weight_decay": 0.0, "epochs": 100, "batch_size": 16}


class DrFuse(Comparator):
    """Shared and distinct vectors of both modalities, and the attention that weighs them."""

    def __init__(self, config: DrfuseConfig) -> None:
        super().__init__()
        self.config = config
        self.reads: Reads = "pooled" if config.image == "light" else "middle"
        self.table = _TableVectors(config)
        self.image = _ImageVectors(config)
        dim = config.dim
        self.project = nn.Sequential(
            nn.Linear(dim, 2 * dim),
            nn.ReLU(),
            nn.Linear(2 * dim, dim),
            nn.ReLU(),
            nn.Linear(dim, dim),
        )
        self.attention = nn.Linear(dim, 3 * dim)  # query, key and value of a token
        self.head = nn.Linear(dim, 1)
        self.heads = nn.ModuleDict({name: nn.Linear(dim, 1) for name in _VECTORS})
        names = ("table", "image", "project", "attention", "head", "heads")
        self.steps = (Step("train", names, _TRAIN),)

    def answer(self, given: Inputs) -> Output:
        """`image` is pooled, or with image `full` the middle map."""
        of_table, table_alone = self.table(given.table)
        of_image, image_alone = self.image(given.image)
        of_table, of_image = self.project(of_table), self.project(of_image)
        pooled = mean_probability(of_image, of_table)
        shared = available(pooled, of_image, of_table, given.has_image, given.has_table)
        vectors = (table_alone, shared.to(table_alone.dtype), image_alone)
        there = torch.stack([given.has_table, torch.ones_like(given.has_table), given.has_image], 1)
        found, weight = self._attended(torch.stack(vectors, 1), there)
        parts = {
            name: self.heads[name](vector)[:, 0]
            for name, vector in zip(_VECTORS, vectors, strict=True)
        }
        parts |= {"weight": weight, "table_shared": of_table, "image_shared": of_image}
        parts |= {"table_alone": table_alone, "image_alone": image_alone}
        parts |= {"has_table": given.has_table, "has_image": given.has_image}
        return Output(self.head(found)[:, 0], parts)

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """The sum of all terms; a term of samples that are not there is 0."""
        return sum(self.terms(output, label, kind).values(), torch.zeros((), device=label.device))

    def terms(
        self, output: Output, label: Float[Tensor, " b"], kind: Loss = "bce"
    ) -> dict[str, Float[Tensor, ""]]:
        """Each term of the loss, times its weight."""
        parts, config = output.parts, self.config
        both = parts["has_table"] & parts["has_image"]
        terms = {"fused": binary_loss(output.logit, label, kind)}
        terms["shared"] = config.weight_shared * binary_loss(parts["shared"], label, kind)
        for name in ("table", "image"):
            alone = stream_loss(parts, label, kind, name)
            terms[name] = getattr(config, f"weight_{name}") * alone
            if both.any():
                likeness = F.cosine_similarity(
                    parts[f"{name}_shared"][both].float(), parts[f"{name}_alone"][both].float()
                )
                weight = getattr(config, f"weight_orthogonal_{name}")
                terms[f"orthogonal_{name}"] = weight * likeness.abs().mean()
        if both.any():
            shared = parts["table_shared"][both], parts["image_shared"][both]
            terms["jsd"] = config.weight_jsd * jensen_shannon(*shared, config.jsd)
            logits = torch.stack([parts[name][both] for name in _VECTORS], 1)
            ranking = ranking_loss(parts["weight"][both], logits, label[both])
            terms["ranking"] = config.weight_ranking * ranking
        return terms

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """With image `full`, both copies of the last stage begin as PENet's."""
        for stage in self.image.stages:
            stage.load_state_dict(trunk.stages[2].state_dict())

    def _attended(
        self, tokens: Float[Tensor, "b 3 e"], there: Bool[Tensor, "b 3"]
    ) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b 3"]]:
        """The tokens that are there, weighted; the query is their mean."""
        q, k, v = self.attention(tokens).float().chunk(3, -1)
        share = there / there.sum(1, keepdim=True)
        # [b, 3] @ [b, 3, e] -> [b, e]; then [b, e] with each key [b, 3, e] -> [b, 3]
        query = (share[:, :, None] * q).sum(1)
        scores = (k * query[:, None]).sum(-1) / sqrt(k.shape[-1])
        weight = scores.masked_fill(~there, -torch.inf).softmax(-1)
        return (weight[:, :, None] * v).sum(1), weight


_VECTORS = ("table", "shared", "image")  # in the order of the attention's tokens


class _TableVectors(nn.Module):
    """Seven tokens through one transformer layer, then one for each of the two vectors."""

    def __init__(self, config: DrfuseConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(7, config.dim).uniform_(-0.1, 0.1))
        self.bias = nn.Parameter(torch.empty(7, config.dim).uniform_(-0.1, 0.1))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.dim, config.heads, config.feed_forward, config.dropout, batch_first=True
            )
            for _ in range(3)
        )

    def forward(
        self, table: Float[Tensor, "b 7"]
    ) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b e"]]:
        """The shared vector before its projection, and the distinct one."""
        both, shared, alone = self.layers
        tokens = both(table[:, :, None] * self.weight + self.bias)
        return shared(tokens).mean(1), alone(tokens).mean(1)


class _ImageVectors(nn.Module):
    """A linear layer for each vector, with `full` on a copy of the trunk's last stage."""

    def __init__(self, config: DrfuseConfig) -> None:
        super().__init__()
        self.shared = nn.Linear(config.channels, config.dim)
        self.alone = nn.Linear(config.channels, config.dim)
        self.stages = nn.ModuleList()
        if config.image == "full":
            stage = PENetTrunk(config.trunk_config).stages[2]
            self.stages.extend([stage, deepcopy(stage)])

    def forward(
        self, image: Float[Tensor, "b c *dhw"]
    ) -> tuple[Float[Tensor, "b e"], Float[Tensor, "b e"]]:
        """The shared vector before its projection, and the distinct one."""
        pooled = [stage(image).mean((2, 3, 4)) for stage in self.stages] or [image, image]
        return self.shared(pooled[0]), self.alone(pooled[1])


def jensen_shannon(
    a: Float[Tensor, "b e"], b: Float[Tensor, "b e"], form: Jsd = "mean2"
) -> Float[Tensor, ""]:
    """How far apart the Bernoulli variables with logits `a` and `b` are, mean over the batch.

    `mean2` is the divergence, mean over the dimensions; `mean1` counts successes only; `sum1`,
    which the published code uses, adds them up, so that it grows with the width.
    """
    a, b = at_least_float32(a), at_least_float32(b)
    total = _one_sided(a, b)
    if form == "mean2":
        total = total + _one_sided(-a, -b)
    each = total.sum(1) if form == "sum1" else total.mean(1)
    return each.mean()


def _one_sided(a: Tensor, b: Tensor) -> Tensor:
    """With P, Q the probabilities and M their mean: (P ln(P/M) + Q ln(Q/M)) / 2."""
    log_p, log_q = F.logsigmoid(a), F.logsigmoid(b)
    log_m = torch.logaddexp(log_p, log_q) - log(2)
    return (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)) / 2


def ranking_loss(
    weight: Float[Tensor, "b 3"], logits: Float[Tensor, "b 3"], label: Float[Tensor, " b"]
) -> Float[Tensor, ""]:
    """How much the attention prefers the vector that predicts worse; mean over the three pairs.

    Within a pair, the mean over the samples that are in the wrong order. The predictions decide the
    order and are not moved.
    """
    target = label[:, None].expand_as(logits)
    losses = F.binary_cross_entropy_with_logits(
        logits.detach().float(), target.float(), reduction="none"
    )
    total = weight.new_zeros(())
    for i, j in ((0, 2), (1, 0), (1, 2)):
        better = torch.where(losses[:, i] < losses[:, j], 1.0, -1.0)
        wrong = F.relu(-better * (weight[:, i] - weight[:, j]))
        total = total + wrong.sum() / (wrong > 0).sum().clamp(min=1)
    return total / 3
