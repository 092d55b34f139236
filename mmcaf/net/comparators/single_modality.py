"""One modality alone: PENet, PENet with the pyramid, and the table read by KAN, MLP or a logistic
regression.

Axes: b batch, d slices, h rows, w columns.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.ablation_configs import (
    KanConfig,
    LesionBoxConfig,
    LogisticConfig,
    MlpConfig,
    PenetConfig,
    PenetMscaConfig,
)
from mmcaf.net.comparators.base import Comparator, Output, Reads, Step, presence
from mmcaf.net.mmcaf_net import ImageSide
from mmcaf.net.penet import PENetHead, PENetTrunk
from mmcaf.net.tabular import tabular_encoder
from mmcaf.stats.logistic import fit_logistic

__all__ = ["IMAGE_ALONE", "TABLE_ALONE", "Logistic", "PENet", "PENetMSCA", "TableAlone"]

IMAGE_ALONE = {"optimizer": "adamw", "lr": 3e-4, "epochs": 50, "batch_size": 4}
TABLE_ALONE = {"optimizer": "adamw", "lr": 1e-3, "epochs": 50, "batch_size": 16}


class PENet(Comparator):
    """The trunk and its ASPP head, all of it learning: the first stage of all others."""

    reads: Reads = "window"
    steps = (Step("train", ("trunk", "head"), IMAGE_ALONE),)

    def __init__(self, config: PenetConfig) -> None:
        super().__init__()
        self.trunk = PENetTrunk(config.trunk_config)
        self.head = PENetHead(config.trunk_config)

    def forward(
        self,
        image: Float[Tensor, "b windows d h w"],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """See `Comparator`; the image is required, the table is not read."""
        presence(table, has_image, has_table, required=("image",))
        return Output(self.head(self.trunk(image)[2]))

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """Become PENet as it was trained."""
        self.trunk.load_state_dict(trunk.state_dict())
        self.head.load_state_dict(head.state_dict())


class PENetMSCA(Comparator, ImageSide):
    """MMCAF-Net's image side with a head of its own, the trunk frozen.

    Without "+drop" nothing is dropped anywhere, so that dropout alone is what differs.
    """

    reads: Reads = "window"
    steps = (Step("train", ("pyramid", "fusions", "project", "head"), IMAGE_ALONE),)

    def __init__(self, config: PenetMscaConfig) -> None:
        ImageSide.__init__(self, config.image_side)
        if not config.drop:
            self.project[2] = nn.Dropout(0.0)
        self.head = nn.Linear(config.embedding_dim, 1)

    def forward(
        self,
        image: Float[Tensor, "b windows d h w"],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """See `Comparator`; the image is required, the table is not read."""
        presence(table, has_image, has_table, required=("image",))
        with torch.no_grad():
            stages = self.trunk(image)
        return Output(self.head(self.tokens_of(stages)[:, 0])[:, 0])

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """The frozen trunk is PENet's."""
        self.trunk.load_state_dict(trunk.state_dict())


class TableAlone(Comparator):
    """MMCAF-Net's clinical encoder, KAN or MLP, and one linear head."""

    reads: Reads = "none"
    steps = (Step("train", ("tabular", "head"), TABLE_ALONE),)

    def __init__(self, config: KanConfig | MlpConfig) -> None:
        super().__init__()
        self.tabular = tabular_encoder(config.encoder)
        self.head = nn.Linear(config.embedding_dim, 1)

    def forward(
        self,
        image: Float[Tensor, "b ..."],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """See `Comparator`; the table is required, the image is not read."""
        presence(table, has_image, has_table, required=("table",))
        return Output(self.head(self.tabular(table)[:, 0])[:, 0])


class Logistic(Comparator):
    """Logistic regression with a ridge penalty, by Newton's method."""

    reads: Reads = "none"
    steps = (Step("fit", ("linear",), {"oversample": False}, solved=True),)

    def __init__(self, config: LogisticConfig | LesionBoxConfig) -> None:
        super().__init__()
        self.ridge = config.ridge
        self.linear = nn.Linear(7, 1)

    def forward(
        self,
        image: Float[Tensor, "b ..."],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """See `Comparator`; the table is required, the image is not read."""
        presence(table, has_image, has_table, required=("table",))
        return Output(self.linear(table)[:, 0])

    def solve(self, step: str, table: Float[Tensor, "n 7"], label: Float[Tensor, " n"]) -> None:
        """Fit on standardised columns, the intercept free of penalty."""
        features, labels = table.double().cpu().numpy(), label.long().cpu().numpy()
        model = fit_logistic(features, labels, ridge=self.ridge)
        slope = model.coefficients[1:] / model.scale
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(slope)[None])
            self.linear.bias.fill_(float(model.coefficients[0] - model.mean @ slope))
