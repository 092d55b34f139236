"""MedFuse: an LSTM reads the table's token, then the image's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import Dropout, NetworkConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "MedfuseConfig"]


@settings
class MedfuseConfig(NetworkConfig):
    """MedFuse: an LSTM reads the table's token, then the image's."""

    name: Literal["medfuse"] = "medfuse"
    token_dim: Annotated[int, Field(ge=1, le=1024)] = 256
    hidden: Annotated[int, Field(ge=1, le=2048)] = 512  # of the LSTM
    dropout: Dropout = 0.3
    tab_lstm: bool = False  # the original's two-layer LSTM on the table, of length 1 here
    pretrain: bool = True  # table and image apart, before the fusion


NETWORK = Network(
    config=MedfuseConfig,
    built_by=".network:MedFuse",
    reads="pooled",
    earlier=True,
    rows=(PaperRow(key="medfuse", title="MedFuse", table="1", place=2, published="MedFuse"),),
)
