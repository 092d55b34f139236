"""MMTM (Joze et al., 2020): image and table gate each other's channels.

    s1, h1 -> gates -> stage 2, layer 2 -> gates -> stage 3, layer 3 -> gates -> a logit each, mean

A module squeezes both streams to one vector, and from a narrow layer on it makes a gate for every
channel of either. `last` has the third module alone, on a map computed beforehand. Defaults are
the paper's; the public code lacks the factor 2, has a bottleneck twice as wide, and drops what the
first two modules gated of the image.

Axes: b batch, c channels of the map, f features of the table's stream, d slices, h rows, w columns.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Reads, Step, filled
from mmcaf.net.comparators.combining import available, stream_loss
from mmcaf.net.comparators.mmtm import MmtmConfig
from mmcaf.net.losses import Loss
from mmcaf.net.penet import PENetHead, PENetTrunk

__all__ = ["MMTM", "MutualGate"]

_TABLE = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 1e-4, "epochs": 30, "batch_size": 16}
_JOINT = {"optimizer": "adamw", "lr": 1e-4, "weight_decay": 1e-4, "epochs": 70, "batch_size": 16}
_LEARNING = {"frozen": (), "s3": ("trunk.stages.2",), "all": ("trunk",)}


class MutualGate(nn.Module):
    """One module: a map and a vector, each with its channels gated by both."""

    def __init__(self, channels: int, features: int, *, ratio: int, scale: float) -> None:
        super().__init__()
        joint = channels + features
        self.scale = scale
        self.squeeze = nn.Linear(joint, max(1, joint // ratio))
        self.image_gate = nn.Linear(self.squeeze.out_features, channels)
        self.table_gate = nn.Linear(self.squeeze.out_features, features)

    def gates(
        self, mean: Float[Tensor, "b c"], features: Float[Tensor, "b f"]
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b f"]]:
        """Factors for the channels of map and vector, from the map's mean and the vector."""
        seen = F.relu(self.squeeze(torch.cat([mean, features], 1)))
        of_image, of_table = self.image_gate(seen), self.table_gate(seen)
        return self.scale * torch.sigmoid(of_image), self.scale * torch.sigmoid(of_table)

    def forward(
        self,
        x: Float[Tensor, "b c d h w"],
        features: Float[Tensor, "b f"],
        has_image: Bool[Tensor, " b"],
    ) -> tuple[Float[Tensor, "b c d h w"], Float[Tensor, "b f"]]:
        """Both gated; a map that is not there is squeezed to zeros."""
        gate, table_gate = self.gates(filled(x.mean((2, 3, 4)), has_image), features)
        return x * gate[:, :, None, None, None], features * table_gate


class MMTM(Comparator):
    """Two streams, the modules between them, and a classifier of each."""

    def __init__(self, config: MmtmConfig) -> None:
        super().__init__()
        self.three, self.forwarded = config.modules == "three", config.forwarded
        self.reads: Reads = "window" if self.three else "deepest"
        widths = (7, *config.table_widths)
        self.table = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout))
            for a, b in pairwise(widths)
        )
        if self.three:
            self.trunk = PENetTrunk(config.trunk_config)
        sizes = zip(config.trunk_config.stage_channels, config.table_widths, strict=True)
        self.gates = nn.ModuleList(
            MutualGate(channels, width, ratio=config.ratio, scale=config.gate_scale)
            for channels, width in list(sizes)[0 if self.three else 2 :]
        )
        self.image_head = nn.Linear(config.channels, 1)
        self.table_head = nn.Linear(config.table_widths[-1], 1)
        names = ("table", "gates", "image_head", "table_head", *_LEARNING[config.trunk])
        self.steps = (Step("joint", names, _JOINT),)
        if config.pretrain:
            self.steps = (Step("table", ("table", "table_head"), _TABLE), *self.steps)

    def answer(self, given: Inputs) -> Output:
        """`image` is the deepest map, or with three modules the window."""
        x, alone, features = given.image, given.table, given.table
        if self.three:
            x = self.trunk.entered(x)
        for number, layer in enumerate(self.table):
            alone = layer(alone)
            features = filled(layer(features), given.has_table)
            if self.three:
                x = self.trunk.stages[number](x)
            if self.three or number == 2:
                gate = self.gates[number if self.three else 0]
                gated, features = gate(x, features, given.has_image)
                x = gated if self.forwarded or number == 2 else x
        of_image = self.image_head(x.mean((2, 3, 4)))[:, 0]
        of_table = self.table_head(features)[:, 0]
        mean = available(
            (of_image + of_table) / 2, of_image, of_table, given.has_image, given.has_table
        )
        parts = {"image": of_image, "table": of_table, "has_image": given.has_image}
        parts |= {"table_alone": self.table_head(alone)[:, 0], "has_table": given.has_table}
        return Output(mean, parts)

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """Of `joint`, that of both streams, each where it is there; none of their mean."""
        names = ("table_alone",) if step == "table" else ("image", "table")
        return stream_loss(output.parts, label, kind, *names)

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """With three modules, the trunk begins as PENet's."""
        if self.three:
            self.trunk.load_state_dict(trunk.state_dict())
