"""PENet and MMCAF-Net's pyramid, on the image alone.

Axes: b batch, d slices, h rows, w columns.
"""

from __future__ import annotations

import torch
from torch import nn

from mmcaf.net.comparators.base import IMAGE_ALONE, Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.penet_msca import PenetMscaConfig
from mmcaf.net.mmcaf_net import ImageSide
from mmcaf.net.penet import PENetHead, PENetTrunk

__all__ = ["PENetMSCA"]


class PENetMSCA(Comparator, ImageSide):
    """MMCAF-Net's image side with a head of its own, the trunk frozen.

    Without "+drop" nothing is dropped anywhere, so that dropout alone is what differs.
    """

    reads: Reads = "window"
    required = ("image",)
    steps = (Step("train", ("pyramid", "fusions", "project", "head"), IMAGE_ALONE),)

    def __init__(self, config: PenetMscaConfig) -> None:
        ImageSide.__init__(self, config.image_side)
        if not config.drop:
            self.project[2] = nn.Dropout(0.0)
        self.head = nn.Linear(config.embedding_dim, 1)

    def answer(self, given: Inputs) -> Output:
        """The image is required, the table is not read."""
        with torch.no_grad():
            stages = self.trunk(given.image)
        return Output(self.head(self.tokens_of(stages)[:, 0])[:, 0])

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """The frozen trunk is PENet's."""
        self.trunk.load_state_dict(trunk.state_dict())
