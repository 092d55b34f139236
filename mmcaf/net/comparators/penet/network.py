"""PENet alone: the trunk and its head, trained as the first stage of all other networks is.

Axes: b batch, d slices, h rows, w columns.
"""

from __future__ import annotations

from mmcaf.net.comparators.base import IMAGE_ALONE, Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.penet import PenetConfig
from mmcaf.net.penet import PENetHead, PENetTrunk

__all__ = ["PENet"]


class PENet(Comparator):
    """The trunk and its ASPP head, all of it learning: the first stage of all others."""

    reads: Reads = "window"
    required = ("image",)
    steps = (Step("train", ("trunk", "head"), IMAGE_ALONE),)

    def __init__(self, config: PenetConfig) -> None:
        super().__init__()
        self.trunk = PENetTrunk(config.trunk_config)
        self.head = PENetHead(config.trunk_config)

    def answer(self, given: Inputs) -> Output:
        """The image is required, the table is not read."""
        return Output(self.head(self.trunk(given.image)[2]))

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """Become PENet as it was trained."""
        self.trunk.load_state_dict(trunk.state_dict())
        self.head.load_state_dict(head.state_dict())
