"""Logistic regression on the size of the largest annotated box: an oracle's, no image's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import NO_IMAGE, NetworkConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "LesionBoxConfig"]


@settings
class LesionBoxConfig(NetworkConfig):
    """Logistic regression on the size of the largest annotated box: an oracle's, no image's."""

    name: Literal["lesion_box"] = "lesion_box"
    ridge: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0  # of the standardised size

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing, each with the reason."""
        return {"width": NO_IMAGE}


NETWORK = Network(
    config=LesionBoxConfig,
    built_by="mmcaf.net.comparators.logistic.network:Logistic",
    reads="none",
    solved=True,
    columns=("log_max_diam_mm",),
    rows=(PaperRow(key="lesion_box", title="Lesion box size (oracle)", table="floor", place=2),),
)
