"""SAM + E3D-MSCA: a frozen natural-image encoder, slice by slice, under MMCAF-Net's pyramid.

    window [b windows d h w] -> SAM's vision transformer on every slice -> [b e d h/16 w/16]
        -> a branch for each scale, with the channels and the size of the trunk's three maps
        -> pyramid, fusion, projection, linear head -> logit

The encoder's weights are a file of the user's: they are not this project's to give, and random ones
would make a row that says nothing. It reads the window as normalised by the training fold, in
place of SAM's own mean and standard deviation of photographs.

Axes: b batch, d slices, h rows, w columns, e width of the transformer.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mmcaf.errors import DataError
from mmcaf.files.home import home_path
from mmcaf.files.untrusted import checked, read_json
from mmcaf.net.comparators.base import IMAGE_ALONE, Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.sam_msca import SamMscaConfig
from mmcaf.net.mmcaf_net import ImageSide
from mmcaf.net.penet import group_norm

__all__ = ["SamMSCA", "load_encoder"]

_PREFIX = "vision_encoder."
_FILE = "model.safetensors"


class SamMSCA(Comparator, ImageSide):
    """SAM's encoder, frozen, and what learns on it."""

    reads: Reads = "window"
    required = ("image",)
    steps = (Step("train", ("branches", "pyramid", "fusions", "project", "head"), IMAGE_ALONE),)

    def __init__(self, config: SamMscaConfig) -> None:
        encoder = load_encoder(config.weights)
        side = config.image_side
        ImageSide.__init__(self, side, trunk=False)
        if not config.drop:
            self.project[2] = nn.Dropout(0.0)
        self.encoder = encoder.requires_grad_(False)
        width = encoder.config.hidden_size
        self.branches = nn.ModuleList(
            _branch(width, channels, factor)
            for channels, factor in zip(side.stage_channels, (4, 2, 1), strict=True)
        )
        self.head = nn.Linear(config.embedding_dim, 1)

    def answer(self, given: Inputs) -> Output:
        """The image is required, the table is not read."""
        encoded = self.encoded(given.image)
        depth, stages = encoded.shape[2], []
        for branch in self.branches:
            depth = (depth + 1) // 2  # as the trunk halves it
            pooled = F.adaptive_avg_pool3d(encoded, (depth, *encoded.shape[3:]))
            stages.append(branch(pooled))
        return Output(self.head(self.tokens_of(tuple(stages))[:, 0])[:, 0])

    @torch.no_grad()
    def encoded(self, window: Float[Tensor, "b windows d h w"]) -> Float[Tensor, "b e d h2 w2"]:
        """Tokens of every slice by itself, before SAM's neck; sides are filled up to full patches.

        One HU window is shown in all three colours, three are one each.
        """
        d = window.shape[2]
        # [b, c, d, h, w] -> [b, d, c, h, w] -> [b*d, c, h, w]
        slices = window.transpose(1, 2).flatten(0, 1).expand(-1, 3, -1, -1)
        patch = self.encoder.config.patch_size
        slices = F.pad(slices, (0, -slices.shape[3] % patch, 0, -slices.shape[2] % patch))
        x = self.encoder.patch_embed.projection(slices).permute(0, 2, 3, 1)
        place = self.encoder.pos_embed.permute(0, 3, 1, 2)
        if place.shape[2:] != x.shape[1:3]:
            place = F.interpolate(place, size=x.shape[1:3], mode="bicubic", align_corners=False)
        x = x + place.permute(0, 2, 3, 1)
        for layer in self.encoder.layers:
            x = layer(x)
        # [b*d, h2, w2, e] -> [b, d, h2, w2, e] -> [b, e, d, h2, w2]
        tokens: Tensor = x.unflatten(0, (-1, d)).permute(0, 4, 1, 2, 3)
        return tokens


def load_encoder(folder: str | None) -> Any:
    """SAM's vision encoder from `config.json` and `model.safetensors`, as transformers keeps them.

    Raises:
        DataError: there are no weights, they are of another network, or transformers is missing.
    """
    place = home_path(folder or "")
    if folder is None or not (place / _FILE).is_file():
        raise DataError(
            f"SAM + E3D-MSCA is not reproducible here: need model.weights to be a folder with "
            f"config.json and {_FILE} of SAM, as transformers keeps them, got {folder!r}. "
            "Random weights would say nothing."
        )
    try:
        from transformers.models.sam.configuration_sam import SamVisionConfig
        from transformers.models.sam.modeling_sam import SamVisionEncoder
    except ImportError as error:
        raise DataError(
            "SAM + E3D-MSCA is not reproducible here: transformers is not installed. "
            "Install the extra `sam`: pip install '.[sam]'."
        ) from error
    try:
        said = read_json(place / "config.json", dict[str, Any], remedy="Download SAM again.")
        config = SamVisionConfig.from_dict(said.get("vision_config", said))
        found = load_file(checked(place / _FILE, place))
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(f"Cannot read SAM from {folder}: {error}") from error
    encoder = SamVisionEncoder(config)
    tensors = {k.removeprefix(_PREFIX): v for k, v in found.items() if k.startswith(_PREFIX)}
    try:
        encoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{folder} holds no vision encoder of SAM: {error}") from error
    return encoder


def _branch(width: int, channels: int, factor: int) -> nn.Sequential:
    """Tokens to a map of the trunk's channels, rows and columns `factor` times as many."""
    size = (1, factor, factor)
    return nn.Sequential(
        nn.ConvTranspose3d(width, channels, size, stride=size, bias=False),
        group_norm(channels),
        nn.LeakyReLU(0.01),
    )
