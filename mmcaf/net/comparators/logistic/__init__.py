"""Logistic regression on the table: the floor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import NO_IMAGE, NetworkConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "LogisticConfig"]


@settings
class LogisticConfig(NetworkConfig):
    """Logistic regression on the table: the floor."""

    name: Literal["logistic"] = "logistic"
    ridge: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0  # of standardised columns

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing, each with the reason."""
        return {"width": NO_IMAGE}


NETWORK = Network(
    config=LogisticConfig,
    built_by=".network:Logistic",
    reads="none",
    solved=True,
    rows=(PaperRow(key="logistic", title="Logistic regression, table", table="floor", place=1),),
)
