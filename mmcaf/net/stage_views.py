"""The network as one stage of training sees it: what it answers, what learns, what stays as it is.

Each view shares its modules with the network it is made of, so what a stage learns is the
network's. What is frozen gets no gradient and stays in evaluation mode: no dropout, no stochastic
depth, untouched running statistics.

Axes: b batch, d slices, h rows, w columns, n image tokens, e embedding.
"""

from __future__ import annotations

from typing import Self

from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Output, Step
from mmcaf.net.config import ModelConfig
from mmcaf.net.losses import Loss
from mmcaf.net.mmcaf_net import ImageSide, MMCAFNet
from mmcaf.net.penet import PENetHead, PENetTrunk

__all__ = ["IMAGE_SIDE", "FusionStage", "ImageStage", "OnImageSide", "StepStage", "TrunkStage"]

IMAGE_SIDE = ("trunk", "pyramid", "fusions", "project")
"""The modules of `MMCAFNet` that read the image; the rest reads the table or both."""


class TrunkStage(nn.Module):
    """PENet alone: trunk and ASPP head, all of it learning."""

    def __init__(self, trunk: PENetTrunk, config: ModelConfig) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = PENetHead(config)

    def forward(
        self, volume: Float[Tensor, "b windows d h w"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, " b"]:
        """Logits from the image alone; `table` has no effect."""
        logits: Tensor = self.head(self.trunk(volume)[2])
        return logits


class ImageStage(nn.Module):
    """The frozen trunk under a learning pyramid, its fusion, and a head on the mean image token."""

    def __init__(self, net: MMCAFNet) -> None:
        super().__init__()
        self.net = net.requires_grad_(False)
        for name in IMAGE_SIDE[1:]:
            net.get_submodule(name).requires_grad_(True)
        self.head = nn.Linear(net.config.embedding_dim, 1)

    def forward(
        self, volume: Float[Tensor, "b windows d h w"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, " b"]:
        """Logits from the image alone; `table` has no effect."""
        logits: Tensor = self.head(self.net.image_tokens(volume).mean(1))[:, 0]
        return logits

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, the trunk excepted."""
        super().train(mode)
        self.net.trunk.eval()
        return self


class FusionStage(nn.Module):
    """Clinical encoder, attention and final head, learning on what the frozen image side says."""

    def __init__(self, net: MMCAFNet) -> None:
        super().__init__()
        self.tabular, self.msca, self.head = net.tabular, net.msca, net.head
        self._fused = net.fused  # a bound method registers nothing: the image side is not in here

    def forward(
        self, volume: Float[Tensor, "b n e"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, " b"]:
        """Logits from image tokens, in place of the volume, and clinical values."""
        logits: Tensor = self._fused(volume, table)
        return logits


class StepStage(nn.Module):
    """A comparator in one step of its training, with that step's loss."""

    def __init__(self, net: Comparator, step: Step) -> None:
        super().__init__()
        self.net = net.enter(step.name)
        self.step = step.name

    def forward(self, volume: Float[Tensor, "b ..."], table: Float[Tensor, "b 7"]) -> Output:
        """What the network answers to what it reads, in place of the volume."""
        output: Output = self.net(volume, table)
        return output

    def loss(self, output: Output, label: Float[Tensor, " b"], kind: Loss) -> Float[Tensor, ""]:
        """What the step makes small."""
        return self.net.loss(output, label, self.step, kind)


class OnImageSide(nn.Module):
    """A comparator under what its image features come from: window and table to a logit.

    The image side has MMCAF-Net's names, so weights of earlier stages fit by name.
    """

    def __init__(self, net: Comparator, side: ModelConfig) -> None:
        super().__init__()
        self.net = net
        if net.reads == "embedding":
            whole = ImageSide(side)
            for name in IMAGE_SIDE:
                self.add_module(name, whole.get_submodule(name))
            self._tokens = whole.image_tokens  # a bound method registers nothing
        elif net.reads not in ("none", "window"):
            self.trunk = PENetTrunk(side)

    def features(self, volume: Float[Tensor, "b windows d h w"]) -> Float[Tensor, "b ..."]:
        """What the comparator reads of a window."""
        reads = self.net.reads
        if reads in ("none", "window"):
            return volume
        if reads == "embedding":
            return self._tokens(volume)[:, 0]
        maps: tuple[Tensor, ...] = self.trunk(volume)
        if reads == "middle":
            return maps[1]
        return maps[2].mean((2, 3, 4)) if reads == "pooled" else maps[2]

    def forward(
        self, volume: Float[Tensor, "b ..."], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, " b"]:
        """Logits of squamous carcinoma."""
        output: Output = self.net(self.features(volume), table)
        return output.logit
