"""SAM's frozen image encoder, slice by slice, and the pyramid."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import ImageSideConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "SamMscaConfig"]


@settings
class SamMscaConfig(ImageSideConfig):
    """SAM's frozen image encoder, slice by slice, and the pyramid."""

    name: Literal["sam_msca"] = "sam_msca"
    # Folder of SAM's config.json and safetensors; never drawn.
    weights: Annotated[str, Field(min_length=1)] | None = None


NETWORK = Network(
    config=SamMscaConfig,
    built_by=".network:SamMSCA",
    reads="window",
    rows=(
        PaperRow(
            key="sam_msca",
            title="SAM+E3D-MSCA",
            table="2",
            place=1,
            published="SAM+E3D-MSCA",
            needs="SAM weights",
        ),
    ),
)
