"""E3D-MSCA: efficient 3D multi-scale convolutional attention, and the pyramid made of it.

E3D-MSCA(x) = DCFB(SAB(CAB(x))). CAB gates channels, SAB gates positions, DCFB mixes depth-wise
convolutions of several sizes. The pyramid runs from the coarsest stage to the finest one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "ChannelAttention",
    "DepthwiseFusion",
    "E3DPyramid",
    "SpatialAttention",
    "UpBlock",
    "resize",
]

Map = Float[Tensor, "b c d h w"]


def resize(x: Map, size: torch.Size | Sequence[int]) -> Map:
    """Trilinear, corners aligned; nothing where the size is right already."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="trilinear", align_corners=True)


class ChannelAttention(nn.Module):
    """CAB: gate channels by their global mean and maximum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(1, channels // 16)
        self.reduce = nn.Conv3d(channels, reduced, 1, bias=False)
        self.expand = nn.Conv3d(reduced, channels, 1, bias=False)
        _normal_convolutions(self)

    def forward(self, x: Map) -> Map:
        """`x` times a gate per channel."""
        mean, peak = x.mean(dim=(2, 3, 4), keepdim=True), x.amax(dim=(2, 3, 4), keepdim=True)
        return x * torch.sigmoid(self._gate(mean) + self._gate(peak))

    def _gate(self, pooled: Map) -> Map:
        gate: Tensor = self.expand(F.relu(self.reduce(pooled)))
        return gate


class SpatialAttention(nn.Module):
    """SAB: gate positions by the mean and maximum over channels around them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Map) -> Map:
        """`x` times a gate per position."""
        seen = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(seen))


class DepthwiseFusion(nn.Module):
    """DCFB: widen, depth-wise convolutions of all `kernel_sizes` in parallel, shuffle, narrow."""

    def __init__(self, channels: int, kernel_sizes: Sequence[int]) -> None:
        super().__init__()
        wide = 2 * channels
        self.channels = channels
        self.widen = _pointwise(channels, wide)
        self.depthwise = nn.ModuleList(_depthwise(wide, size) for size in kernel_sizes)
        self.narrow = _pointwise(wide, channels)
        _normal_convolutions(self)

    def forward(self, x: Map) -> Map:
        """`x` plus what the convolutions add."""
        y = F.relu6(self.widen(x))
        y = torch.stack([F.relu6(branch(y)) for branch in self.depthwise]).sum(dim=0)
        # b (groups two) d h w -> b (two groups) d h w: neighbours come from different groups
        batch, _, *size = y.shape
        y = y.reshape(batch, self.channels, 2, *size).transpose(1, 2).flatten(1, 2)
        narrowed: Tensor = self.narrow(y)
        return x + narrowed


class UpBlock(nn.Module):
    """UCB: twice the size, half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = _depthwise(channels, 3)
        self.halve = nn.Conv3d(channels, channels // 2, 1)
        _normal_convolutions(self)

    def forward(self, x: Map) -> Float[Tensor, "b c2 d2 h2 w2"]:
        """[B,C,D,H,W] -> [B,C/2,2D,2H,2W]."""
        y = resize(x, [2 * size for size in x.shape[2:]])
        halved: Tensor = self.halve(F.relu(self.depthwise(y)))
        return halved


class E3DPyramid(nn.Module):
    """Maps of the trunk's stages -> attended maps d3, d2, d1 of the `scales` used.

    `channels` has the channels of stages 1, 2 and 3. One spatial gate is shared by all scales.
    """

    def __init__(
        self,
        channels: Sequence[int],
        scales: Sequence[int],
        kernel_sizes: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.scales = tuple(sorted(scales, reverse=True))  # coarsest first
        of = {scale: channels[scale - 1] for scale in self.scales}
        self.entry = nn.ModuleDict(
            {
                str(scale): nn.Sequential(nn.BatchNorm3d(size), nn.ReLU(), nn.Dropout(dropout))
                for scale, size in of.items()
            }
        )
        self.channel = nn.ModuleDict({str(s): ChannelAttention(size) for s, size in of.items()})
        self.spatial = SpatialAttention()
        self.fusion = nn.ModuleDict(
            {str(s): DepthwiseFusion(size, kernel_sizes) for s, size in of.items()}
        )
        self.up = nn.ModuleDict({str(s - 1): UpBlock(of[s]) for s in self.scales[:-1]})

    def forward(self, stages: Sequence[Float[Tensor, "b _ _ _ _"]]) -> dict[int, Tensor]:
        """Scale -> attended map, of the shape of that stage; coarsest first."""
        attended: dict[int, Tensor] = {}
        for scale in self.scales:
            key = str(scale)
            x = self.entry[key](stages[scale - 1])
            if key in self.up:
                x = x + resize(self.up[key](attended[scale + 1]), x.shape[2:])
            attended[scale] = self.fusion[key](self.spatial(self.channel[key](x)))
        return attended


def _pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inputs, outputs, 1, bias=False), nn.BatchNorm3d(outputs))


def _depthwise(channels: int, size: int) -> nn.Sequential:
    conv = nn.Conv3d(channels, channels, size, padding=size // 2, groups=channels, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(channels))


def _normal_convolutions(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
