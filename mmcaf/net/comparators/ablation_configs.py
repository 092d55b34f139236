"""What each ablation of MMCAF-Net is built from: image alone, table alone, other fusions. No torch.

The fusions read the 24 numbers of MMCAF-Net's frozen image side (pooled tokens, "+drop") and the
24 of its clinical encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from mmcaf.config.settings import Fault, settings
from mmcaf.net.comparators.base_config import NetworkConfig, Weight
from mmcaf.net.config import EmbeddingDim, KanGrid, KanHidden, KanOrder, Kernels, ModelConfig

__all__ = [
    "ClipFusionConfig",
    "CrossAttentionConfig",
    "KanConfig",
    "LateFusionConfig",
    "LesionBoxConfig",
    "LogisticConfig",
    "MlpConfig",
    "PenetConfig",
    "PenetMscaConfig",
    "SamMscaConfig",
]

Tabular = Literal["kan", "mlp"]
Attention = Literal["softmax", "linear"]
LateForm = Literal["average", "concat"]
_ENCODER = ("tabular", "kan_grid", "kan_order", "kan_hidden")
_NO_IMAGE = "the network reads the table alone"


@settings
class PenetConfig(NetworkConfig):
    """PENet alone: the trunk and its ASPP head."""

    name: Literal["penet"] = "penet"


@settings
class _ImageSideConfig(NetworkConfig):
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
class PenetMscaConfig(_ImageSideConfig):
    """PENet and the pyramid, without the table."""

    name: Literal["penet_msca"] = "penet_msca"


@settings
class SamMscaConfig(_ImageSideConfig):
    """SAM's frozen image encoder, slice by slice, and the pyramid."""

    name: Literal["sam_msca"] = "sam_msca"
    # Folder of SAM's config.json and safetensors; never drawn.
    weights: Annotated[str, Field(min_length=1)] | None = None


@settings
class _TableConfig(NetworkConfig):
    embedding_dim: EmbeddingDim = 24

    @property
    def encoder(self) -> ModelConfig:
        """MMCAF-Net's clinical encoder, with one token."""
        given = {name: getattr(self, name) for name in _ENCODER if hasattr(self, name)}
        return _encoder(self, **given)


def _encoder(config: _TableConfig, **given: Any) -> ModelConfig:
    return ModelConfig(
        preset="reference",
        width=config.width,
        embedding_dim=config.embedding_dim,
        heads=(1, 1, 1),  # of an attention that is not built
        **given,
    )


@settings
class _FusionConfig(_TableConfig):
    tabular: Tabular = "kan"
    kan_grid: KanGrid = 5  # intervals of each spline over [-1, 1]
    kan_order: KanOrder = 3  # degree of each spline

    @property
    def image_side(self) -> ModelConfig:
        """The image side whose embedding is read."""
        return self.encoder

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        if self.tabular == "kan":
            return {}
        return dict.fromkeys(("kan_grid", "kan_order"), "an MLP reads the table; set tabular: kan")


@settings
class CrossAttentionConfig(_FusionConfig):
    """Cross-attention at a single width, in both directions."""

    name: Literal["cross_attention"] = "cross_attention"
    attention: Attention = "softmax"  # linear: the paper's equation
    heads: Annotated[int, Field(ge=1, le=1024)] = 4

    def conflicts(self) -> Iterator[Fault]:
        """The heads must divide the embedding."""
        if self.embedding_dim % self.heads:
            words = f"need a divisor of embedding_dim {self.embedding_dim}, got {self.heads!r}"
            yield Fault(("heads",), words, of=("embedding_dim",))

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`; a softmax over one key is always 1."""
        found = _FusionConfig.without_effect(self)
        if self.attention == "softmax":
            found["heads"] = "softmax over one token is always 1; set attention: linear"
        return found


@settings
class ClipFusionConfig(_FusionConfig):
    """A contrastive loss on both embeddings beside one linear head on them."""

    name: Literal["clip_fusion"] = "clip_fusion"
    weight_clip: Weight = 0.5  # of the contrastive loss beside the cross-entropy


@settings
class LateFusionConfig(_FusionConfig):
    """Mean of two probabilities, or one linear head on both embeddings."""

    name: Literal["late_fusion"] = "late_fusion"
    form: LateForm = "average"


@settings
class KanConfig(_TableConfig):
    """The table alone, read by a KAN."""

    name: Literal["kan"] = "kan"
    kan_grid: KanGrid = 5
    kan_order: KanOrder = 3
    kan_hidden: KanHidden = ()  # widths between the 7 columns and the last

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}


@settings
class MlpConfig(_TableConfig):
    """The table alone, read by an MLP."""

    name: Literal["mlp"] = "mlp"

    @property
    def encoder(self) -> ModelConfig:
        """MMCAF-Net's clinical encoder, with one token."""
        return _encoder(self, tabular="mlp")

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}


@settings
class LogisticConfig(NetworkConfig):
    """Logistic regression on the table: the floor."""

    name: Literal["logistic"] = "logistic"
    ridge: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0  # of standardised columns

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}


@settings
class LesionBoxConfig(NetworkConfig):
    """Logistic regression on the size of the largest annotated box: an oracle's, no image's."""

    name: Literal["lesion_box"] = "lesion_box"
    ridge: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0  # of the standardised size

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}
