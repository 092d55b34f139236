"""MSCA: cross-attention between image and table at three widths, and the fusion of the three.

The same attention module serves both directions of a scale: the query comes from one modality, key
and value from the other. What a scale attended to is carried on to the next narrower one.

With one token per modality and softmax, the softmax runs over a single key and is always 1: the
projections of query and key then get a gradient of exactly zero. `ModelConfig.heads_have_effect`
says so before anyone searches over it.

Axes: b batch, n image tokens, m clinical tokens, e width of a scale (24, 12, 6 as published).
"""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.config import Attention, BsfOut, ModelConfig

__all__ = ["CrossAttention", "MultiscaleAttention", "ScaleFusion"]


class CrossAttention(nn.Module):
    """Multi-head attention between two modalities, with a residual and no output projection.

    Scores are q k' / sqrt(e), or with `by_head` over the root of a head's own width. `softmax`
    normalises them over the keys; `linear` is the paper's Eq. (10), which uses them as they are.
    """

    def __init__(self, width: int, heads: int, kind: Attention, *, by_head: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.kind = kind
        self.scale = sqrt(width // heads if by_head else width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(
        self, image: Float[Tensor, "b n e"], table: Float[Tensor, "b m e"]
    ) -> tuple[Float[Tensor, "b n e"], Float[Tensor, "b m e"]]:
        """Each modality plus, for each of its tokens, what it found in the other."""
        n, tokens = image.shape[1], torch.cat([image, table], 1)
        q, k, v = (self._split(part(tokens)) for part in (self.query, self.key, self.value))
        of_image = self._found(q[:, :, :n], k[:, :, n:], v[:, :, n:])
        of_table = self._found(q[:, :, n:], k[:, :, :n], v[:, :, :n])
        return image + of_image, table + of_table

    def _found(
        self,
        q: Float[Tensor, "b heads own e1"],
        k: Float[Tensor, "b heads other e1"],
        v: Float[Tensor, "b heads other e1"],
    ) -> Float[Tensor, "b own e"]:
        scores = q @ k.transpose(2, 3) / self.scale
        if self.kind == "softmax":
            scores = scores.softmax(-1)
        # [b, heads, own, e/heads] -> [b, own, e]
        return (scores @ v).transpose(1, 2).flatten(2)

    def _split(self, x: Tensor) -> Tensor:
        """[b, n, e] -> [b, heads, n, e/heads]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class ScaleFusion(nn.Module):
    """BSF: a scale and the narrower one after it, each amplified where both agree.

    With a' and b' the two brought to the wider width and w = softmax(a' * b'), out is
    (a' + w*a') + (b' + w*b'), or with `concat` the two terms side by side.
    """

    def __init__(self, width: int, out: BsfOut = "sum") -> None:
        super().__init__()
        self.out = out
        self.wide = nn.Linear(width, width)
        self.narrow = nn.Linear(width // 2, width)

    def forward(
        self, wide: Float[Tensor, "b e"], narrow: Float[Tensor, "b e2"]
    ) -> Float[Tensor, "b e3"]:
        """One vector of the wider width, or of twice that with `concat`."""
        a, b = self.wide(wide), self.narrow(narrow)
        weight = (a * b).softmax(-1)
        a, b = a + weight * a, b + weight * b
        return torch.cat([a, b], 1) if self.out == "concat" else a + b


class MultiscaleAttention(nn.Module):
    """Image and clinical tokens to one vector of `out_dim` per sample.

    `out_dim` is the embedding's width, or twice that with `bsf_out="concat"`, which only the last
    fusion can honour: the one before it feeds a layer of fixed width.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        full, half, quarter = config.attention_dims
        self.norms = nn.ModuleDict({"image": nn.BatchNorm1d(full), "table": nn.BatchNorm1d(full)})
        self.narrow = nn.ModuleList([nn.Linear(full, half), nn.Linear(full, quarter)])
        self.drop = nn.Dropout(0.5)
        self.attention = nn.ModuleList(
            CrossAttention(width, heads, config.attention)
            for width, heads in zip(config.attention_dims, config.heads, strict=True)
        )
        self.carry = nn.ModuleDict(
            {
                name: nn.ModuleList([nn.Linear(full, half), nn.Linear(half, quarter)])
                for name in ("image", "table")
            }
        )
        self.fusions = nn.ModuleList([ScaleFusion(half), ScaleFusion(full, config.bsf_out)])
        self.out_dim = full * (2 if config.bsf_out == "concat" else 1)

    def forward(
        self, image: Float[Tensor, "b n e"], table: Float[Tensor, "b m e"]
    ) -> Float[Tensor, "b out"]:
        """The fused vector of each sample."""
        image = self._normed("image", image)
        table = self._normed("table", table)
        tokens, sizes = torch.cat([image, table], 1), (image.shape[1], table.shape[1])
        narrow = [self.drop(F.relu(layer(tokens))).split(sizes, 1) for layer in self.narrow]
        full = self.attention[0](image, table)
        half = self.attention[1](*self._carried(0, full, narrow[0]))
        quarter = self.attention[2](*self._carried(1, half, narrow[1]))
        fused = self.fusions[0](_pooled(half), _pooled(quarter))
        out: Tensor = self.fusions[1](_pooled(full), fused)
        return out

    def _normed(self, name: str, tokens: Tensor) -> Tensor:
        """Batch norm over all tokens of all samples: [b, n, e] -> [b*n, e] -> [b, n, e]."""
        out: Tensor = self.norms[name](tokens.flatten(0, 1)).view_as(tokens)
        return out

    def _carried(
        self, step: int, attended: tuple[Tensor, Tensor], inputs: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The next scale's inputs, with what the wider scale attended to added."""
        image = inputs[0] + self.carry["image"].get_submodule(str(step))(attended[0])
        table = inputs[1] + self.carry["table"].get_submodule(str(step))(attended[1])
        return image, table


def _pooled(attended: tuple[Tensor, Tensor]) -> Tensor:
    """Mean over a direction's tokens, then over the two directions: [b, n|m, e] -> [b, e]."""
    image, table = attended
    return (image.mean(1) + table.mean(1)) / 2
