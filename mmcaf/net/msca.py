"""MSCA: multi-scale cross-attention between image and clinical tokens, and the fusion of scales.

Letters: B batch, N image tokens, M clinical tokens, E embedding. Three scales of width E, E/2, E/4.

Trap: over a single key a softmax is 1 whatever the query. With one token per modality
(`tokens="pooled"`) and softmax attention, queries, keys and the number of heads have no effect.
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["BSF", "MSCA", "CrossAttention", "image_tokens"]


class CrossAttention(nn.Module):
    """Each token asks the other modality's tokens; scale 1/sqrt(width), no output projection."""

    def __init__(self, width: int, heads: int, kind: Literal["softmax", "linear"]) -> None:
        super().__init__()
        self.width, self.heads, self.kind = width, heads, kind
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(
        self, asking: Float[Tensor, "b n e"], asked: Float[Tensor, "b m e"]
    ) -> Float[Tensor, "b n e"]:
        """`asking` plus what it found."""
        q, k, v = (
            # b tokens (heads e) -> b heads tokens e
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, asking), (self.key, asked), (self.value, asked))
        )
        weight: Tensor = q @ k.transpose(2, 3) / sqrt(self.width)
        if self.kind == "softmax":
            weight = weight.softmax(dim=-1)
        found: Tensor = (weight @ v).transpose(1, 2).flatten(2)
        return asking + found


class BSF(nn.Module):
    """Bidirectional scale fusion of a scale with the next coarser one, of half its width."""

    def __init__(self, width: int, out: Literal["sum", "concat"]) -> None:
        super().__init__()
        self.fine = nn.Linear(width, width)
        self.coarse = nn.Linear(width // 2, width)
        self.out = out

    def forward(
        self, fine: Float[Tensor, "b e"], coarse: Float[Tensor, "b e2"]
    ) -> Float[Tensor, "b out"]:
        """a' + w*a' + b' + w*b' with w = softmax(a'*b'); or its two halves side by side."""
        a, b = self.fine(fine), self.coarse(coarse)
        weight = (a * b).softmax(dim=-1)
        parts = [a + weight * a, b + weight * b]
        return torch.cat(parts, dim=-1) if self.out == "concat" else parts[0] + parts[1]


class MSCA(nn.Module):
    """Image tokens [B,N,E] and clinical tokens [B,M,E] -> fused features [B,E] (or [B,2E])."""

    def __init__(
        self,
        width: int,
        heads: tuple[int, int, int],
        attention: Literal["softmax", "linear"],
        out: Literal["sum", "concat"],
    ) -> None:
        super().__init__()
        widths = (width, width // 2, width // 4)
        self.norm_image = nn.BatchNorm1d(width)
        self.norm_table = nn.BatchNorm1d(width)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Linear(width, size), nn.ReLU(), nn.Dropout(0.5)) for size in widths[1:]
        )
        self.attend = nn.ModuleList(
            CrossAttention(size, number, attention)
            for size, number in zip(widths, heads, strict=True)
        )
        steps = tuple(pairwise(widths))
        self.pass_image = nn.ModuleList(nn.Linear(a, b) for a, b in steps)
        self.pass_table = nn.ModuleList(nn.Linear(a, b) for a, b in steps)
        self.fuse_coarse = BSF(widths[1], "sum")
        self.fuse_fine = BSF(widths[0], out)

    def forward(
        self, image: Float[Tensor, "b n e"], table: Float[Tensor, "b m e"]
    ) -> Float[Tensor, "b out"]:
        """Attend at each scale, hand the result on to the next, fuse the scales."""
        image = self._normed(self.norm_image, image)
        table = self._normed(self.norm_table, table)
        attend, *coarser = self.attend
        of_image, of_table = attend(image, table), attend(table, image)
        scales = [_middle(of_image, of_table)]
        steps = zip(coarser, self.down, self.pass_image, self.pass_table, strict=True)
        for attend, down, pass_image, pass_table in steps:
            x, y = down(image) + pass_image(of_image), down(table) + pass_table(of_table)
            of_image, of_table = attend(x, y), attend(y, x)
            scales.append(_middle(of_image, of_table))
        fused: Tensor = self.fuse_fine(scales[0], self.fuse_coarse(scales[1], scales[2]))
        return fused

    @staticmethod
    def _normed(norm: nn.BatchNorm1d, tokens: Float[Tensor, "b n e"]) -> Float[Tensor, "b n e"]:
        normed: Tensor = norm(tokens.transpose(1, 2))
        return normed.transpose(1, 2)


def _middle(image: Float[Tensor, "b n e"], table: Float[Tensor, "b m e"]) -> Float[Tensor, "b e"]:
    return (image.mean(dim=1) + table.mean(dim=1)) / 2


def image_tokens(
    fused: Float[Tensor, "b c d h w"], grid: tuple[int, int, int]
) -> Float[Tensor, "b n c"]:
    """Max-pool a map to a small grid, one token per cell."""
    return F.adaptive_max_pool3d(fused, grid).flatten(2).transpose(1, 2)
