"""PENet's trunk (Huang et al. 2020): a 3D residual network with squeeze and excitation.

Axis letters: B batch, C channels, D slices, H rows, W columns. Only what feeds the pyramid is
built: no ASPP, no decoders.
"""

from __future__ import annotations

from itertools import count

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PENet", "PENetBlock", "SqueezeExcitation", "Stem"]

_SLOPE = 0.01  # of every leaky ReLU
_STAGES = ((128, 3), (256, 4), (512, 6))  # inner channels at width 1, number of blocks
_DROPPED_AT_THE_END = 0.5  # probability that the deepest block is skipped in training


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // 16), channels)


class Stem(nn.Module):
    """[B,1,D,H,W] -> [B,C,D,H/2,W/2]: convolution 7, stride (1,2,2), group norm, leaky ReLU.

    The network was trained on the one channel repeated to three. The weight keeps its three input
    channels, as Kinetics-pretrained ones have, and is summed over them at run time: the same
    numbers for a third of the cost.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, channels, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.norm = _group_norm(channels)

    def forward(self, x: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b c d h2 w2"]:
        """The map before pooling."""
        folded = self.conv.weight.sum(dim=1, keepdim=True)
        y = F.conv3d(x, folded, stride=self.conv.stride, padding=3)
        return F.leaky_relu(self.norm(y), _SLOPE)


class SqueezeExcitation(nn.Module):
    """Gate every channel by what all channels hold on average."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, max(1, channels // 16))
        self.excite = nn.Linear(max(1, channels // 16), channels)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """`x` times a gate in (0, 1) per channel."""
        gate = self.excite(F.leaky_relu(self.squeeze(x.mean(dim=(2, 3, 4))), _SLOPE))
        return x * torch.sigmoid(gate)[:, :, None, None, None]


class PENetBlock(nn.Module):
    """Bottleneck block; `survival` is the probability that its branch is used in training."""

    def __init__(
        self, inputs: int, inner: int, *, groups: int, stride: int, survival: float
    ) -> None:
        super().__init__()
        outputs = 2 * inner
        self.survival = survival
        self.conv1 = nn.Conv3d(inputs, inner, 1, bias=False)
        self.norm1 = _group_norm(inner)
        self.conv2 = nn.Conv3d(inner, inner, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.norm2 = _group_norm(inner)
        self.conv3 = nn.Conv3d(inner, outputs, 1, bias=False)
        self.norm3 = _group_norm(outputs)
        self.se = SqueezeExcitation(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, stride=stride, bias=False), _group_norm(outputs)
            )

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c2 d2 h2 w2"]:
        """Stochastic depth skips the branch for the whole batch, without rescaling."""
        shortcut = self.shortcut(x)
        if self.training and torch.rand(()).item() >= self.survival:
            return F.leaky_relu(shortcut, _SLOPE)
        y = F.leaky_relu(self.norm1(self.conv1(x)), _SLOPE)
        y = F.leaky_relu(self.norm2(self.conv2(y)), _SLOPE)
        y = self.se(self.norm3(self.conv3(y)))
        return F.leaky_relu(y + shortcut, _SLOPE)


class PENet(nn.Module):
    """Window -> maps of three stages, each half as fine as the one before.

    At width 1 a window [B,1,12,192,192] gives [B,256,6,48,48], [B,512,3,24,24], [B,1024,2,12,12].
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        groups = max(1, round(32 * width))
        self.stem = Stem(round(64 * width))
        blocks = sum(number for _, number in _STAGES)
        position = count(1)
        inputs = round(64 * width)
        stages = []
        for index, (full, number) in enumerate(_STAGES):
            inner = round(full * width)
            stage = []
            for block in range(number):
                stage.append(
                    PENetBlock(
                        inputs,
                        inner,
                        groups=groups,
                        stride=2 if index and not block else 1,
                        survival=1 - _DROPPED_AT_THE_END * next(position) / blocks,
                    )
                )
                inputs = 2 * inner
            stages.append(nn.Sequential(*stage))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Float[Tensor, "b 1 d h w"]) -> list[Float[Tensor, "b _ _ _ _"]]:
        """The maps, finest first."""
        y = F.max_pool3d(self.stem(x), 3, stride=2, padding=1)
        maps = []
        for stage in self.stages:
            y = stage(y)
            maps.append(y)
        return maps
