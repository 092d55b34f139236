"""BFPU: fuses a deep map with the next shallower one, each seen through what both agree on.

Two forms, chosen by `ModelConfig.bfpu`. `paper` is Eq. (2) of the paper; `reference` is what the
authors' code computes and what produced the published numbers.

Axes: b batch, c channels of the deep map, d slices, h rows, w columns.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.config import Bfpu
from mmcaf.net.conv import Conv3d
from mmcaf.net.e3d_msca import resized

__all__ = ["FeatureFusion"]


class FeatureFusion(nn.Module):
    """Deep map a [b, c, ...] and shallow map b [b, c/2, ...] to one map like a.

    With m = sigmoid(conv(a) * conv(b)), where b was resized to a and given its channels:
    `paper` is conv1(concat[a + m*a, b + m*b]). `reference` weights a, a' = a*m, b and b' = b*m by
    four one-channel maps, computed by two convolutions over [a; a'] and [b; b'].
    """

    def __init__(self, channels: int, form: Bfpu) -> None:
        super().__init__()
        self.form = form
        self.match = Conv3d(channels // 2, channels, 1)
        self.deep_conv = Conv3d(channels, channels, 3, padding=1)
        self.shallow_conv = Conv3d(channels, channels, 3, padding=1)
        if form == "paper":
            self.merge = Conv3d(2 * channels, channels, 1)
        else:
            self.deep_maps = Conv3d(2 * channels, 2, 3, padding=1)
            self.shallow_maps = Conv3d(2 * channels, 2, 3, padding=1)

    def forward(
        self, deep: Float[Tensor, "b c d h w"], shallow: Float[Tensor, "b c2 d2 h2 w2"]
    ) -> Float[Tensor, "b c d h w"]:
        """The fused map, of the deep map's shape."""
        a, b = deep, self.match(resized(shallow, like=deep))
        mask = torch.sigmoid(self.deep_conv(a) * self.shallow_conv(b))
        a_seen, b_seen = a * mask, b * mask
        if self.form == "paper":
            merged: Tensor = self.merge(torch.cat([a + a_seen, b + b_seen], 1))
            return merged
        of_a, of_a_seen = self.deep_maps(torch.cat([a, a_seen], 1)).split(1, 1)
        of_b, of_b_seen = self.shallow_maps(torch.cat([b, b_seen], 1)).split(1, 1)
        weighted: Tensor = a * of_a + a_seen * of_a_seen + b * of_b + b_seen * of_b_seen
        return weighted
