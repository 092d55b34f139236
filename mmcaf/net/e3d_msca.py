"""E3D-MSCA: the top-down pyramid that re-weights each scale and looks at it with several kernels.

Each scale of the trunk passes a channel gate (CAB), a spatial gate (SAB) and a residual block of
parallel depth-wise convolutions (DCFB). The result is upsampled (UCB) and added to the next finer
scale before that one is treated. The spatial gate is one module shared by all scales, as in the
authors' code.

Axes: b batch, c channels, d slices, h rows, w columns. Scales: 1 finest, 3 coarsest.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.config import ModelConfig
from mmcaf.net.conv import Conv3d, DepthwiseConv3d

__all__ = ["ChannelGate", "DepthwiseFusion", "Pyramid", "SpatialGate", "UpBlock", "resized"]

_INITIAL_STD = 0.02


def resized(x: Float[Tensor, "b c d h w"], like: Tensor) -> Float[Tensor, "b c d2 h2 w2"]:
    """`x` at the size of the map `like`: trilinear, corners aligned."""
    size = like.shape[2:]
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size=size, mode="trilinear", align_corners=True)


class ChannelGate(nn.Module):
    """CAB: channels weighted by their global mean and maximum, through one shared bottleneck."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(1, channels // 16)
        self.squeeze = Conv3d(channels, reduced, 1, bias=False)
        self.excite = Conv3d(reduced, channels, 1, bias=False)
        _start_small(self)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """The same map with its channels weighted."""
        mean, top = x.mean((2, 3, 4), keepdim=True), x.amax((2, 3, 4), keepdim=True)
        logits = sum(self.excite(F.relu(self.squeeze(pooled))) for pooled in (mean, top))
        return x * torch.sigmoid(logits)


class SpatialGate(nn.Module):
    """SAB: voxels weighted by mean and maximum over the channels in a neighbourhood of 7³."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv3d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """The same map with its voxels weighted."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(pooled))


class DepthwiseFusion(nn.Module):
    """DCFB: twice the channels, one depth-wise convolution for each kernel size, and back.

    The branches are added; then channels are shuffled, those side by side to C apart, before the
    closing 1³ convolution.
    """

    def __init__(self, channels: int, kernel_sizes: tuple[int, ...]) -> None:
        super().__init__()
        inner = 2 * channels
        self.expand = nn.Sequential(
            Conv3d(channels, inner, 1, bias=False), nn.BatchNorm3d(inner), nn.ReLU6(inplace=True)
        )
        self.branches = nn.ModuleList(
            nn.Sequential(
                DepthwiseConv3d(inner, k),
                nn.BatchNorm3d(inner),
                nn.ReLU6(inplace=True),
            )
            for k in kernel_sizes
        )
        self.reduce = nn.Sequential(
            Conv3d(inner, channels, 1, bias=False), nn.BatchNorm3d(channels)
        )
        _start_small(self)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """The map plus what the branches found in it."""
        wide = self.expand(x)
        total = sum(branch(wide) for branch in self.branches)
        out: Tensor = self.reduce[1](F.conv3d(total, self._unshuffled()))
        return out + x

    def _unshuffled(self) -> Float[Tensor, "c c2 1 1 1"]:
        """The closing weight for channels in their own order: moving it is moving them."""
        # [c, 2*c] -> [c, 2, c] -> [c, c, 2] -> [c, c*2]
        weight = self.reduce.get_parameter("0.weight")
        return weight.view(len(weight), 2, -1, 1, 1, 1).transpose(1, 2).flatten(1, 2)


class UpBlock(nn.Module):
    """UCB: twice the size (trilinear, corners aligned), half the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv3d(channels, 3)
        self.norm = nn.BatchNorm3d(channels)
        self.pointwise = Conv3d(channels, channels // 2, 1)
        _start_small(self)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c2 d2 h2 w2"]:
        """The map for the next finer scale, not yet at exactly its size."""
        x = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=True)
        out: Tensor = self.pointwise(F.relu(self.norm(self.depthwise(x))))
        return out


class Pyramid(nn.Module):
    """The chosen scales, coarsest first; modules are keyed by the scale they serve."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.scales = config.pyramid_scales[::-1]
        self.entries = nn.ModuleDict()
        self.channel_gates = nn.ModuleDict()
        self.spatial_gate = SpatialGate()
        self.fusions = nn.ModuleDict()
        self.ups = nn.ModuleDict()  # the one at "2" brings scale 3 to scale 2
        for scale in self.scales:
            channels, key = config.stage_channels[scale - 1], str(scale)
            self.entries[key] = nn.Sequential(
                nn.BatchNorm3d(channels),
                nn.ReLU(inplace=True),
                nn.Dropout(0.3 if config.drop else 0.0),
            )
            self.channel_gates[key] = ChannelGate(channels)
            self.fusions[key] = DepthwiseFusion(channels, config.kernel_sizes)
            if scale < self.scales[0]:
                self.ups[key] = UpBlock(2 * channels)

    def forward(
        self, stages: tuple[Float[Tensor, "b _ _ _ _"], ...]
    ) -> dict[int, Float[Tensor, "b _ _ _ _"]]:
        """Scale -> map of the shape of that trunk stage; `stages` are all three, finest first."""
        maps: dict[int, Tensor] = {}
        for scale in self.scales:
            key = str(scale)
            x = self.entries[key](stages[scale - 1])
            if key in self.ups:
                x = x + resized(self.ups[key](maps[scale + 1]), like=x)
            maps[scale] = self.fusions[key](self.spatial_gate(self.channel_gates[key](x)))
        return maps


def _start_small(module: nn.Module) -> None:
    """Start the convolutions of a block from N(0, 0.02), as the authors do, biases from zero."""
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.normal_(part.weight, std=_INITIAL_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
