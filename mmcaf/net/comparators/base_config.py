"""What the config of every comparator has: a name, a width, and types that several share.

No torch here: a study is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mmcaf.config.settings import Settings, settings
from mmcaf.net.config import ModelConfig, Width

__all__ = ["Dropout", "NetworkConfig", "Weight"]

Dropout = Annotated[float, Field(ge=0, le=0.95)]
Weight = Annotated[float, Field(ge=0, le=100)]  # of a term of the loss


@settings
class NetworkConfig(Settings):
    """Base of the configs of comparators.

    Raises:
        WrongSettings: names every wrong field; it is a ValueError.
    """

    name: str
    width: Width = 1.0  # of the trunk's channels, as `ModelConfig.width`

    @property
    def trunk_config(self) -> ModelConfig:
        """What the shared trunk, and PENet's head on it, are built from."""
        return ModelConfig(preset="reference", width=self.width)

    @property
    def channels(self) -> int:
        """Channels of the trunk's deepest map: 1024 at full width."""
        return self.trunk_config.stage_channels[2]

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing in this network, each with the reason; never searched."""
        return {}
