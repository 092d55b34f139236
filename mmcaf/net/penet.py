"""The image trunk: PENet's stem and three stages of grouped bottlenecks, without its decoders.

PENet (Huang et al., 2020) is a 3D residual network for CT windows. MMCAF-Net uses the outputs of
its three stages; the decoders never influence its output and are not built. The ASPP head serves
PENet alone.

Axes: b batch, c channels, d slices (depth), h rows, w columns. Group norm has 16 channels a group.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.config import ModelConfig
from mmcaf.net.conv import Conv3d, convolved, fast_layout

__all__ = [
    "ASPP",
    "Bottleneck",
    "ChannelExcitation",
    "PENetHead",
    "PENetTrunk",
    "Stem",
    "group_norm",
]

_BLOCKS = (3, 4, 6)
_CONV_GROUPS = 32  # at full width
_LAST_SURVIVAL = 0.5  # towards which survival falls, linearly with depth


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with 16 channels a group, or one group where there are fewer."""
    return nn.GroupNorm(max(1, channels // 16), channels)


class Stem(nn.Module):
    """Convolution 7³ that halves rows and columns, group norm, leaky ReLU.

    The published stem sees the window three times, as if in colour, and its weight keeps the
    three channels, because weights trained on video exist for it. Equal channels may be added up
    before they are weighted: one input channel and a third of the work, for the same numbers.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv3d(3, channels, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.norm = group_norm(channels)

    def forward(self, x: Float[Tensor, "b windows d h w"]) -> Float[Tensor, "b c d h2 w2"]:
        """Features at full depth and half the rows and columns, of one HU window or of three."""
        weight = self.conv.weight
        if x.shape[1] == 1:
            weight = weight.sum(1, keepdim=True)
        x = convolved(x, weight, None, self.conv.stride, self.conv.padding)
        return F.leaky_relu(self.norm(fast_layout(x)), 0.01, inplace=True)


class ChannelExcitation(nn.Module):
    """Squeeze and excitation: each channel is weighted by what all channels hold on average."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(1, channels // 16)
        self.squeeze = nn.Linear(channels, reduced)
        self.excite = nn.Linear(reduced, channels)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """The same map with its channels weighted."""
        mean = x.mean((2, 3, 4))
        weight = torch.sigmoid(self.excite(F.leaky_relu(self.squeeze(mean), 0.01)))
        return x * weight[:, :, None, None, None]


class Bottleneck(nn.Module):
    """Convolutions 1³, 3³ (grouped, strided) and 1³ with channel excitation beside a shortcut.

    In training the branch beside the shortcut is kept with probability `survival`, for the whole
    batch and without rescaling (stochastic depth); the draw is from torch's global generator.
    """

    def __init__(
        self, inputs: int, channels: int, *, stride: int, groups: int, survival: float
    ) -> None:
        super().__init__()
        outputs = 2 * channels
        self.survival = survival
        self.conv1 = Conv3d(inputs, channels, 1, bias=False)
        self.norm1 = group_norm(channels)
        self.conv2 = Conv3d(
            channels, channels, 3, stride=stride, padding=1, groups=groups, bias=False
        )
        self.norm2 = group_norm(channels)
        self.conv3 = Conv3d(channels, outputs, 1, bias=False)
        self.norm3 = group_norm(outputs)
        self.excitation = ChannelExcitation(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                Conv3d(inputs, outputs, 1, stride=stride, bias=False), group_norm(outputs)
            )

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c2 d2 h2 w2"]:
        """Twice `channels`, at the size divided by `stride` and rounded up."""
        out = self.shortcut(x)
        if self._kept():
            x = F.leaky_relu(self.norm1(self.conv1(x)), 0.01, inplace=True)
            x = F.leaky_relu(self.norm2(self.conv2(x)), 0.01, inplace=True)
            out = out + self.excitation(self.norm3(self.conv3(x)))
        return F.leaky_relu(out, 0.01)

    def _kept(self) -> bool:
        return not self.training or torch.rand(()).item() < self.survival


class PENetTrunk(nn.Module):
    """A CT window to feature maps at three scales, each half as large as the one before."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inputs = config.scaled(64)
        groups = max(1, round(_CONV_GROUPS * config.width))
        self.stem = Stem(inputs)
        self.stages = nn.ModuleList()
        built, total = 0, sum(_BLOCKS)
        for number, outputs in enumerate(config.stage_channels):
            stage = nn.Sequential()
            for index in range(_BLOCKS[number]):
                stage.append(
                    Bottleneck(
                        inputs,
                        outputs // 2,
                        stride=2 if index == 0 and number > 0 else 1,
                        groups=groups,
                        survival=1 - (1 - _LAST_SURVIVAL) * built / total,
                    )
                )
                inputs, built = outputs, built + 1
            self.stages.append(stage)

    def forward(
        self, volume: Float[Tensor, "b windows d h w"]
    ) -> tuple[
        Float[Tensor, "b c1 d1 h1 w1"],
        Float[Tensor, "b c2 d2 h2 w2"],
        Float[Tensor, "b c3 d3 h3 w3"],
    ]:
        """Maps of `config.stage_channels`, finest first.

        A window of 12 x 192 x 192 gives 6 x 48 x 48, 3 x 24 x 24 and 2 x 12 x 12.
        """
        s1 = self.stages[0](self.entered(volume))
        s2 = self.stages[1](s1)
        return s1, s2, self.stages[2](s2)

    def entered(self, volume: Float[Tensor, "b windows d h w"]) -> Float[Tensor, "b c d2 h2 w2"]:
        """What the first stage reads."""
        return F.max_pool3d(self.stem(volume), 3, stride=2, padding=1)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: the coarsest map seen at four dilations, and as a whole."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inner, branch = config.scaled(256), config.scaled(64)
        self.enter = nn.Sequential(
            Conv3d(config.stage_channels[2], inner, 3, padding=2, dilation=2),
            group_norm(inner),
            nn.LeakyReLU(0.01, inplace=True),
        )
        self.point = Conv3d(inner, branch, 1)
        self.near = Conv3d(inner, branch, 3, padding=6, dilation=6)
        self.far = Conv3d(inner, branch, 3, padding=12, dilation=12)
        self.whole = Conv3d(inner, branch, 1)
        self.merge = nn.Sequential(
            group_norm(4 * branch),
            nn.LeakyReLU(0.01),
            Conv3d(4 * branch, inner, 1),
            group_norm(inner),
            nn.LeakyReLU(0.01, inplace=True),
        )
        self.channels = inner

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c2 d h w"]:
        """A map of `channels` (256 at full width), of the same size."""
        x = self.enter(x)
        mean = self.whole(x.mean((2, 3, 4), keepdim=True)).expand(-1, -1, *x.shape[2:])
        out: Tensor = self.merge(torch.cat([self.point(x), self.near(x), self.far(x), mean], 1))
        return out


class PENetHead(nn.Module):
    """PENet's own classifier: ASPP, global mean, one logit."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.aspp = ASPP(config)
        self.out = nn.Linear(self.aspp.channels, 1)

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, " b"]:
        """Logits from the coarsest map of the trunk."""
        logits: Tensor = self.out(self.aspp(x).mean((2, 3, 4)))[:, 0]
        return logits
