"""The table alone, read by MMCAF-Net's clinical encoder: KAN or MLP.

Axes: b batch.
"""

from __future__ import annotations

from torch import nn

from mmcaf.net.comparators.base import TABLE_ALONE, Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.base_config import TableConfig
from mmcaf.net.tabular import tabular_encoder

__all__ = ["TableAlone"]


class TableAlone(Comparator):
    """MMCAF-Net's clinical encoder, KAN or MLP, and one linear head."""

    reads: Reads = "none"
    required = ("table",)
    steps = (Step("train", ("tabular", "head"), TABLE_ALONE),)

    def __init__(self, config: TableConfig) -> None:
        super().__init__()
        self.tabular = tabular_encoder(config.encoder)
        self.head = nn.Linear(config.embedding_dim, 1)

    def answer(self, given: Inputs) -> Output:
        """The table is required, the image is not read."""
        return Output(self.head(self.tabular(given.table)[:, 0])[:, 0])
