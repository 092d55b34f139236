"""MMCAF-Net (Yu et al. 2025): a CT window and a clinical row -> one logit of squamous carcinoma.

    window -> PENet -> E3D pyramid -> BFPU, BFPU -> max pool -> f ┐
                                                                  ├─ MSCA -> logit
    clinical row -> KAN ----------------------------------------> g ┘

Every size of the window is free; the channels of trunk and pyramid scale with `config.width`.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.bfpu import BFPU
from mmcaf.net.config import ModelConfig
from mmcaf.net.e3d_msca import E3DPyramid
from mmcaf.net.msca import MSCA, image_tokens
from mmcaf.net.penet import PENet
from mmcaf.net.tabular import KAN, MLP

__all__ = ["CLINICAL_VALUES", "ImageEncoder", "MMCAFNet"]

CLINICAL_VALUES = 7
_STAGE_CHANNELS = (256, 512, 1024)
_STAGE_DROPOUT = 0.3


class ImageEncoder(nn.Module):
    """[B,1,D,H,W] -> image tokens [B,N,E]: one of the whole window, or a small grid of them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = [config.channels(full) for full in _STAGE_CHANNELS]
        self.trunk = PENet(config.width)
        self.pyramid = E3DPyramid(
            channels,
            config.pyramid_scales,
            config.kernel_sizes,
            _STAGE_DROPOUT if config.drop else 0.0,
        )
        # One unit per step from a scale to the next coarser one, finest first.
        self.bfpu = nn.ModuleDict(
            {
                str(scale + 1): BFPU(channels[scale], config.bfpu)
                for scale in sorted(config.pyramid_scales)[:-1]
            }
        )
        self.grid = config.token_grid if config.tokens == "grid" else (1, 1, 1)
        self.head = nn.Sequential(
            nn.Linear(channels[-1], config.embedding_dim), nn.ReLU(), nn.Dropout(0.5)
        )

    def forward(self, volume: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b n e"]:
        """Trunk, pyramid from coarse to fine, fusion from fine to coarse, tokens."""
        attended = self.pyramid(self.trunk(volume))
        fused = attended[min(attended)]
        for scale, unit in self.bfpu.items():
            fused = unit(attended[int(scale)], fused)
        tokens: Tensor = self.head(image_tokens(fused, self.grid))
        return tokens


class MMCAFNet(nn.Module):
    """The whole network; weights follow from torch's seed, nothing is read from disk."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.embedding_dim
        self.tokens = config.tokens
        self.image = ImageEncoder(config)
        self.table: nn.Module = (
            KAN(
                CLINICAL_VALUES,
                size,
                grid=config.kan_grid,
                order=config.kan_order,
                hidden=config.kan_hidden,
            )
            if config.tabular == "kan"
            else MLP(CLINICAL_VALUES, size)
        )
        self.fusion = MSCA(size, config.heads, config.attention, config.bsf_out)
        self.classify = nn.Linear(2 * size if config.bsf_out == "concat" else size, 1)

    def forward(
        self, volume: Float[Tensor, "b 1 d h w"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, " b"]:
        """Logits; positive means squamous."""
        clinical = self.table(table)
        if self.tokens == "pooled":
            clinical = clinical.sum(dim=1, keepdim=True)
        fused = self.fusion(self.image(volume), clinical)
        logits: Tensor = self.classify(fused)
        return logits.squeeze(1)
