"""DAFT (Poelsterl et al., 2021): the table scales and shifts channels within a residual block.

A narrow network without biases reads the channels' means beside the table and answers a factor and
a shift for every channel. `trunk` puts the block on the shared trunk's deepest map; `shipped` is a
small network on the window, as MMCAF-Net's authors ship it.

Axes: b batch, c channels, d slices, h rows, w columns.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.daft import DaftConfig, ScaleActivation
from mmcaf.net.conv import Conv3d

__all__ = ["DAFT", "AffineBlock", "ChannelAffine", "ResidualBlock"]

_TRAIN = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 1e-4, "epochs": 50, "batch_size": 16}


class ChannelAffine(nn.Module):
    """A factor and a shift for every channel of a map, from its means and the table.

    With `identity_init` the factor is 1 + a and the last weights begin at 0: the map passes as it
    is, and the first weights learn nothing until the last have moved.
    """

    def __init__(
        self,
        channels: int,
        bottleneck: int,
        activation: ScaleActivation = "linear",
        *,
        identity_init: bool = False,
    ) -> None:
        super().__init__()
        self.activation, self.identity_init = activation, identity_init
        self.squeeze = nn.Linear(channels + 7, bottleneck, bias=False)
        self.excite = nn.Linear(bottleneck, 2 * channels, bias=False)
        if identity_init:
            nn.init.zeros_(self.excite.weight)

    def factors(
        self, x: Float[Tensor, "b c d h w"], table: Float[Tensor, "b 7"]
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
        """Scale and shift."""
        seen = torch.cat([x.mean((2, 3, 4)), table.to(x.dtype)], 1)
        scale, shift = self.excite(F.relu(self.squeeze(seen))).chunk(2, 1)
        if self.activation != "linear":
            scale = torch.sigmoid(scale) if self.activation == "sigmoid" else torch.tanh(scale)
        return scale + float(self.identity_init), shift

    def forward(
        self, x: Float[Tensor, "b c d h w"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, "b c d h w"]:
        """The map, scaled and shifted."""
        scale, shift = self.factors(x, table)
        return x * scale[:, :, None, None, None] + shift[:, :, None, None, None]


class ResidualBlock(nn.Module):
    """Two convolutions 3³ with batch norm beside a shortcut; the first may halve the size."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, affine: bool = True) -> None:
        super().__init__()
        self.conv1 = Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(outputs, affine=affine)
        self.conv2 = Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                Conv3d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm3d(outputs)
            )

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c2 d2 h2 w2"]:
        """A map of `outputs` channels."""
        out = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


class AffineBlock(ResidualBlock):
    """A residual block of stride 2 with the table's affine map at one of five places.

    0 on the input, for both paths; 1 on the shortcut's; 2 on the main path's; 3 after the first
    norm, which then has no factor and shift of its own; 4 after the ReLU that follows.
    """

    def __init__(self, inputs: int, outputs: int, *, config: DaftConfig) -> None:
        shipped = config.form == "shipped"
        location = config.location
        if location is None:
            location = 0 if shipped else 3
        super().__init__(inputs, outputs, stride=2, affine=location != 3)
        self.location = location
        identity = not shipped if config.identity_init is None else config.identity_init
        self.affine = ChannelAffine(
            outputs if location > 2 else inputs,
            config.bottleneck or (7 if shipped else (inputs + 7) // 7),
            config.activation,
            identity_init=identity,
        )

    def forward(  # type: ignore[override]  # it reads the table too
        self, x: Float[Tensor, "b c d h w"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, "b c2 d2 h2 w2"]:
        """A map of `outputs` channels at half the size, as the table has it."""

        def at(place: int, y: Tensor) -> Tensor:
            changed: Tensor = self.affine(y, table) if place == self.location else y
            return changed

        x = at(0, x)
        out = F.relu(at(3, self.norm1(self.conv1(at(2, x)))))
        out = self.norm2(self.conv2(at(4, out)))
        return F.relu(out + self.shortcut(at(1, x)))


class DAFT(Comparator):
    """The affine block, on the trunk's deepest map or at the end of a small network of its own."""

    required = ("image",)
    steps = (Step("train", ("stem", "block", "head"), _TRAIN),)

    def __init__(self, config: DaftConfig) -> None:
        super().__init__()
        self.shipped = config.form == "shipped"
        self.reads: Reads = "window" if self.shipped else "deepest"
        self.stem = _shipped(config.base) if self.shipped else _reduced(config)
        inputs = 4 * config.base if self.shipped else config.inputs
        self.block = AffineBlock(inputs, 2 * inputs, config=config)
        self.head = nn.Linear(2 * inputs, 1)

    def answer(self, given: Inputs) -> Output:
        """`image` is the deepest map, or as shipped the window.

        The image is required. A missing table is one of zeros.
        """
        x = (
            given.image.mean(1, keepdim=True) if self.shipped else given.image
        )  # of several HU windows
        x = self.block(self.stem(x), given.table)
        return Output(self.head(x.mean((2, 3, 4)))[:, 0])


def _reduced(config: DaftConfig) -> nn.Sequential:
    """The trunk's map with fewer channels."""
    return nn.Sequential(
        Conv3d(config.channels, config.inputs, 1, bias=False),
        nn.BatchNorm3d(config.inputs),
        nn.ReLU(),
    )


def _shipped(base: int) -> nn.Sequential:
    """The small network up to its last block: a window to 4 * `base` channels at 1/8 of its size.

    Pooling rounds up, so that a window of one slice is one to pool.
    """
    return nn.Sequential(
        Conv3d(1, base, 3, padding=1, bias=False),
        nn.BatchNorm3d(base),
        nn.ReLU(),
        nn.MaxPool3d(2, ceil_mode=True),
        ResidualBlock(base, base, stride=1),
        ResidualBlock(base, 2 * base, stride=2),
        ResidualBlock(2 * base, 4 * base, stride=2),
    )
