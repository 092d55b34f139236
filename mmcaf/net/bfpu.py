"""BFPU: fuse a deep map with the next finer one, each gated by what both agree on."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.e3d_msca import resize

__all__ = ["BFPU"]


class BFPU(nn.Module):
    """Bidirectional feature pyramid unit for a deep map of `channels` and a finer one of half.

    `paper` is Eq. 2: concat[a + m*a, b + m*b], then 1x1x1 back to C. `reference` is what the
    authors' code computes: both and their gated forms, weighted by two learned maps each.
    """

    def __init__(self, channels: int, variant: Literal["paper", "reference"]) -> None:
        super().__init__()
        self.query = nn.Conv3d(channels, channels, 3, padding=1)
        self.key = nn.Conv3d(channels, channels, 3, padding=1)
        self.adjust = nn.Conv3d(channels // 2, channels, 1)
        self.variant = variant
        if variant == "paper":
            self.merge = nn.Conv3d(2 * channels, channels, 1)
        else:
            self.weigh_deep = nn.Conv3d(2 * channels, 2, 3, padding=1)
            self.weigh_fine = nn.Conv3d(2 * channels, 2, 3, padding=1)

    def forward(
        self, deep: Float[Tensor, "b c d h w"], fine: Float[Tensor, "b c2 d2 h2 w2"]
    ) -> Float[Tensor, "b c d h w"]:
        """The fused map, of the shape of `deep`."""
        a, b = deep, self.adjust(resize(fine, deep.shape[2:]))
        shared = torch.sigmoid(self.query(a) * self.key(b))
        if self.variant == "paper":
            merged: Tensor = self.merge(torch.cat([a + shared * a, b + shared * b], dim=1))
            return merged
        gated_a, gated_b = a * shared, b * shared
        of_a = self.weigh_deep(torch.cat([a, gated_a], dim=1))
        of_b = self.weigh_fine(torch.cat([b, gated_b], dim=1))
        fused: Tensor = a * of_a[:, :1] + gated_a * of_a[:, 1:]
        fused = fused + b * of_b[:, :1] + gated_b * of_b[:, 1:]
        return fused
