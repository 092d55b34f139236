"""What each ablation of MMCAF-Net is built from: image alone, table alone, other fusions. No torch.

The fusions read the 24 numbers of MMCAF-Net's frozen image side (pooled tokens, "+drop") and the
24 of its clinical encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mmcaf.net.comparators.base_config import (
    NetworkConfig,
    number,
    text,
    whole,
    wholes,
)
from mmcaf.net.config import ModelConfig

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PenetConfig(NetworkConfig):
    """PENet alone: the trunk and its ASPP head."""

    name: Literal["penet"] = "penet"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageSideConfig(NetworkConfig):
    drop: bool = True  # the paper's "+drop": dropout of 0.3 where stages enter the pyramid
    kernel_sizes: tuple[int, ...] = wholes((1, 3, 5), 1, 7)
    embedding_dim: int = whole(24, 4, 1024)

    @property
    def image_side(self) -> ModelConfig:
        """MMCAF-Net's image side, with pooled tokens."""
        return ModelConfig(
            preset="reference",
            width=self.width,
            drop=self.drop,
            kernel_sizes=self.kernel_sizes,
            embedding_dim=self.embedding_dim,
        )

    def conflicts(self) -> list[str]:
        """Those of the image side."""
        try:
            _ = self.image_side
        except ValueError as error:
            return str(error).split("\n")
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class PenetMscaConfig(_ImageSideConfig):
    """PENet and the pyramid, without the table."""

    name: Literal["penet_msca"] = "penet_msca"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamMscaConfig(_ImageSideConfig):
    """SAM's frozen image encoder, slice by slice, and the pyramid."""

    name: Literal["sam_msca"] = "sam_msca"
    weights: str | None = text(None)  # folder of SAM's config.json and safetensors; never drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class _TableConfig(NetworkConfig):
    embedding_dim: int = whole(24, 4, 1024)

    @property
    def encoder(self) -> ModelConfig:
        """MMCAF-Net's clinical encoder, with one token."""
        given = {name: getattr(self, name) for name in _ENCODER if hasattr(self, name)}
        return ModelConfig(
            preset="reference",
            width=self.width,
            embedding_dim=self.embedding_dim,
            heads=(1, 1, 1),  # of an attention that is not built
            **given,
        )

    def conflicts(self) -> list[str]:
        """The embedding is MMCAF-Net's, which is halved twice."""
        if self.embedding_dim % 4:
            return [f"Need embedding_dim to be a multiple of 4, got {self.embedding_dim!r}."]
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class _FusionConfig(_TableConfig):
    tabular: Tabular = "kan"
    kan_grid: int = whole(5, 1, 64)  # intervals of each spline over [-1, 1]
    kan_order: int = whole(3, 1, 5)  # degree of each spline

    @property
    def image_side(self) -> ModelConfig:
        """The image side whose embedding is read."""
        return self.encoder

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        if self.tabular == "kan":
            return {}
        return dict.fromkeys(("kan_grid", "kan_order"), "an MLP reads the table; set tabular: kan")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAttentionConfig(_FusionConfig):
    """Cross-attention at a single width, in both directions."""

    name: Literal["cross_attention"] = "cross_attention"
    attention: Attention = "softmax"  # linear: the paper's equation
    heads: int = whole(4, 1, 1024)

    def conflicts(self) -> list[str]:
        """The heads must divide the embedding."""
        faults = super(CrossAttentionConfig, self).conflicts()
        if self.embedding_dim % self.heads:
            faults.append(
                f"Need heads to divide embedding_dim {self.embedding_dim}, got {self.heads!r}."
            )
        return faults

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`; a softmax over one key is always 1."""
        found = super(CrossAttentionConfig, self).without_effect()
        if self.attention == "softmax":
            found["heads"] = "softmax over one token is always 1; set attention: linear"
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFusionConfig(_FusionConfig):
    """A contrastive loss on both embeddings beside one linear head on them."""

    name: Literal["clip_fusion"] = "clip_fusion"
    weight_clip: float = number(0.5, 0, 100)  # of the contrastive loss beside the cross-entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class LateFusionConfig(_FusionConfig):
    """Mean of two probabilities, or one linear head on both embeddings."""

    name: Literal["late_fusion"] = "late_fusion"
    form: LateForm = "average"


@dataclass(frozen=True, slots=True, kw_only=True)
class KanConfig(_TableConfig):
    """The table alone, read by a KAN."""

    name: Literal["kan"] = "kan"
    kan_grid: int = whole(5, 1, 64)
    kan_order: int = whole(3, 1, 5)
    kan_hidden: tuple[int, ...] = wholes((), 1, 1024)  # widths between the 7 columns and the last

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpConfig(_TableConfig):
    """The table alone, read by an MLP."""

    name: Literal["mlp"] = "mlp"

    @property
    def encoder(self) -> ModelConfig:
        """MMCAF-Net's clinical encoder, with one token."""
        return replace(super(MlpConfig, self).encoder, tabular="mlp")

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticConfig(NetworkConfig):
    """Logistic regression on the table: the floor."""

    name: Literal["logistic"] = "logistic"
    ridge: float = number(1.0, 1e-6, 1e6)  # of standardised columns

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionBoxConfig(NetworkConfig):
    """Logistic regression on the size of the largest annotated box: an oracle's, no image's."""

    name: Literal["lesion_box"] = "lesion_box"
    ridge: float = number(1.0, 1e-6, 1e6)  # of the standardised size

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"width": _NO_IMAGE}
