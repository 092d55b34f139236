"""MMCAF-Net: a CT window and a clinical row to one logit (Yu et al., 2025).

    volume [b,1,d,h,w] -> PENetTrunk -> s1, s2, s3 -> Pyramid -> d1, d2, d3
                       -> FeatureFusion(d2, d1) -> FeatureFusion(d3, .) -> pool -> 24 per token
    table  [b,7]       -> KAN -> 24 per token
    both               -> MultiscaleAttention -> Linear -> logit [b]

A volume may hold three HU windows, [b,3,d,h,w], for the three channels of the published stem. The
size of the window is free; the sizes in the docstrings are those of the paper, 12 x 192 x 192.
Weights start from torch's global generator alone: the same seed, the same network.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.bfpu import FeatureFusion
from mmcaf.net.config import ModelConfig
from mmcaf.net.e3d_msca import Pyramid
from mmcaf.net.msca import MultiscaleAttention
from mmcaf.net.penet import PENetTrunk
from mmcaf.net.tabular import tabular_encoder

__all__ = ["ImageSide", "MMCAFNet"]


class ImageSide(nn.Module):
    """What reads the image: trunk, pyramid, the fusion of its scales, and the projection.

    Without `trunk` it is given maps of the same channels by another encoder.
    """

    def __init__(self, config: ModelConfig, *, trunk: bool = True) -> None:
        super().__init__()
        self.config = config
        if trunk:
            self.trunk = PENetTrunk(config)
        self.pyramid = Pyramid(config)
        self.fusions = nn.ModuleDict(  # keyed by the shallower scale of the two
            {
                str(scale): FeatureFusion(config.stage_channels[scale], config.bfpu)
                for scale in config.pyramid_scales[:-1]
            }
        )
        self.project = nn.Sequential(
            nn.Linear(config.stage_channels[2], config.embedding_dim), nn.ReLU(), nn.Dropout(0.5)
        )

    def image_tokens(self, volume: Float[Tensor, "b windows d h w"]) -> Float[Tensor, "b n e"]:
        """What the image encoder says: one embedding for each cell of the token grid, or one."""
        return self.tokens_of(self.trunk(volume))

    def tokens_of(self, stages: tuple[Float[Tensor, "b _ _ _ _"], ...]) -> Float[Tensor, "b n e"]:
        """The tokens of all three maps of a trunk, finest first."""
        maps = self.pyramid(stages)
        fused = maps[self.config.pyramid_scales[0]]
        for scale in self.config.pyramid_scales[:-1]:  # fine to coarse
            fused = self.fusions[str(scale)](maps[scale + 1], fused)
        # [b, c, d, h, w] -> [b, c, grid] -> [b, n, c]
        grid = self.config.token_grid if self.config.tokens == "grid" else (1, 1, 1)
        cells = F.adaptive_max_pool3d(fused, grid).flatten(2).transpose(1, 2)
        tokens: Tensor = self.project(cells)
        return tokens


class MMCAFNet(ImageSide):
    """The network a `ModelConfig` describes, with fresh weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.tabular = tabular_encoder(config)
        self.msca = MultiscaleAttention(config)
        self.head = nn.Linear(self.msca.out_dim, 1)

    def forward(
        self, volume: Float[Tensor, "b windows d h w"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, " b"]:
        """Logits of squamous carcinoma; `table` holds values scaled to [-1, 1]."""
        return self.fused(self.image_tokens(volume), table)

    def fused(
        self, tokens: Float[Tensor, "b n e"], table: Float[Tensor, "b 7"]
    ) -> Float[Tensor, " b"]:
        """Logits from what the image encoder said, and the clinical values."""
        logits: Tensor = self.head(self.msca(tokens, self.tabular(table)))[:, 0]
        return logits
