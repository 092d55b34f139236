"""What the config of every comparator has: a name, a width, and types that several share.

No torch here: a study is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mmcaf.config.settings import Settings, settings
from mmcaf.net.config import EmbeddingDim, KanGrid, KanOrder, Kernels, ModelConfig, Width

__all__ = [
    "NO_IMAGE",
    "Dropout",
    "FusionConfig",
    "ImageSideConfig",
    "NetworkConfig",
    "TableConfig",
    "Weight",
]

Dropout = Annotated[float, Field(ge=0, le=0.95)]
Weight = Annotated[float, Field(ge=0, le=100)]  # of a term of the loss
Tabular = Literal["kan", "mlp"]

NO_IMAGE = "the network reads the table alone"
_ENCODER = ("tabular", "kan_grid", "kan_order", "kan_hidden")


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


@settings
class ImageSideConfig(NetworkConfig):
    """Base of networks with MMCAF-Net's pyramid and no table."""

    drop: bool = True  # the paper's "+drop": dropout of 0.3 where stages enter the pyramid
    kernel_sizes: Kernels = (1, 3, 5)
    embedding_dim: EmbeddingDim = 24

    @property
    def image_side(self) -> ModelConfig:
        """MMCAF-Net's image side, with pooled tokens."""
        return ModelConfig(
            preset="reference",
            width=self.width,
            drop=self.drop,
            kernel_sizes=self.kernel_sizes,
            embedding_dim=self.embedding_dim,
            heads=(1, 1, 1),  # of an attention that is not built
        )


@settings
class TableConfig(NetworkConfig):
    """Base of networks with MMCAF-Net's clinical encoder."""

    embedding_dim: EmbeddingDim = 24

    @property
    def encoder(self) -> ModelConfig:
        """MMCAF-Net's clinical encoder, with one token."""
        return self.encoder_with(
            **{name: getattr(self, name) for name in _ENCODER if hasattr(self, name)}
        )

    def encoder_with(self, **given: Any) -> ModelConfig:
        """The encoder with these of its settings."""
        return ModelConfig(
            preset="reference",
            width=self.width,
            embedding_dim=self.embedding_dim,
            heads=(1, 1, 1),  # of an attention that is not built
            **given,
        )


@settings
class FusionConfig(TableConfig):
    """Base of other fusions of the two embeddings that MMCAF-Net fuses.

    They read the 24 numbers of its frozen image side (pooled tokens, "+drop") and the 24 of its
    clinical encoder.
    """

    tabular: Tabular = "kan"
    kan_grid: KanGrid = 5  # intervals of each spline over [-1, 1]
    kan_order: KanOrder = 3  # degree of each spline

    @property
    def image_side(self) -> ModelConfig:
        """The image side whose embedding is read."""
        return self.encoder

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing, each with the reason."""
        if self.tabular == "kan":
            return {}
        return dict.fromkeys(("kan_grid", "kan_order"), "an MLP reads the table; set tabular: kan")
