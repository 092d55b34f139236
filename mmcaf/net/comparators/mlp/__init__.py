"""The table alone, read by an MLP."""

from __future__ import annotations

from typing import Literal

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import NO_IMAGE, TableConfig
from mmcaf.net.config import ModelConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "MlpConfig"]


@settings
class MlpConfig(TableConfig):
    """The table alone, read by an MLP."""

    name: Literal["mlp"] = "mlp"

    @property
    def encoder(self) -> ModelConfig:
        """MMCAF-Net's clinical encoder, with one token."""
        return self.encoder_with(tabular="mlp")

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing, each with the reason."""
        return {"width": NO_IMAGE}


NETWORK = Network(
    config=MlpConfig,
    built_by="mmcaf.net.comparators.kan.network:TableAlone",
    reads="none",
    rows=(
        PaperRow(
            key="mlp",
            title="MLP, table alone",
            table="readme",
            place=1,
            published="MLP table encoder",
        ),
    ),
)
