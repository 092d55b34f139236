"""PEfusion (Huang et al., 2020): late, joint and early fusion of PENet and a model of the table.

late_elastic  mean of PENet's probability and that of an elastic net
late_nn       the same, with a network in place of the elastic net
joint         a network for either modality, and one on both of their vectors
early         one network on table and pooled image

Nothing connects the two modalities before a late average, so a missing one leaves the other's
probability.

Axes: b batch, c channels, d slices, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Reads, Step, filled
from mmcaf.net.comparators.combining import available, mean_probability, stream_loss
from mmcaf.net.comparators.pefusion import PefusionConfig
from mmcaf.net.losses import Loss
from mmcaf.net.penet import PENetHead, PENetTrunk
from mmcaf.stats.regression.elastic_net import choose_penalty, fit_elastic_net, penalties

__all__ = ["PEfusionEarly", "PEfusionJoint", "PEfusionLate", "pefusion"]

_TRAIN = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.0, "epochs": 50, "batch_size": 16}
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
}


def pefusion(config: PefusionConfig) -> PEfusionLate | PEfusionJoint | PEfusionEarly:
    """The network `config.fusion` names."""
    if config.fusion == "joint":
        return PEfusionJoint(config)
    return PEfusionEarly(config) if config.fusion == "early" else PEfusionLate(config)


class PEfusionLate(Comparator):
    """PENet's head as it was trained alone, beside a model of the table."""

    reads: Reads = "deepest"

    def __init__(self, config: PefusionConfig) -> None:
        super().__init__()
        self.config = config
        self.image = PENetHead(config.trunk_config)
        self.table: nn.Module = nn.Linear(7, 1)
        self.steps = (Step("elastic", ("table",), {"oversample": False}, solved=True),)
        if config.fusion == "late_nn":
            self.table = _network(7, config, out=True)
            self.steps = (Step("table", ("table",), _TRAIN),)

    def answer(self, given: Inputs) -> Output:
        """`image` is the deepest map."""
        of_image = self.image(given.image)
        of_table = self.table(given.table)[:, 0]
        mean = mean_probability(of_image, of_table, self.config.image_weight)
        logit = available(mean, of_image, of_table, given.has_image, given.has_table)
        return Output(logit, {"image": of_image, "table": of_table, "has_table": given.has_table})

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """That of the table alone; PENet has learnt before."""
        return stream_loss(output.parts, label, kind, "table")

    def solve(self, step: str, table: Float[Tensor, "n 7"], label: Float[Tensor, " n"]) -> None:
        """Choose the penalty where the config leaves it open, and fit on standardised columns."""
        if step not in {known.name for known in self.steps if known.solved}:
            super().solve(step, table, label)
        features = table.double().cpu().numpy()
        labels = label.long().cpu().numpy()
        mean, spread = features.mean(0), features.std(0)
        spread[spread == 0] = 1.0
        features = (features - mean) / spread
        config = self.config
        grid = penalties(config.strength, config.l1_ratio, config.class_weight)
        penalty = grid[0] if len(grid) == 1 else choose_penalty(features, labels, grid)
        [model] = fit_elastic_net(features, labels, [penalty])
        slope = model.coefficients / spread
        with torch.no_grad():
            self.table.get_parameter("weight").copy_(torch.from_numpy(slope)[None])
            self.table.get_parameter("bias").fill_(model.intercept - float(mean @ slope))

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """The image's probability is PENet's."""
        self.image.load_state_dict(head.state_dict())


class PEfusionJoint(Comparator):
    """A vector of either modality, and a network on both."""

    reads: Reads = "pooled"
    steps = (Step("train", ("image", "table", "joint"), _TRAIN),)

    def __init__(self, config: PefusionConfig) -> None:
        super().__init__()
        self.image = _network(config.channels, config, out=False)
        self.table = _network(7, config, out=False)
        self.joint = _network(2 * config.nodes, config, out=True)

    def answer(self, given: Inputs) -> Output:
        """`image` is pooled, and a missing modality a vector of zeros."""
        of_image = filled(self.image(given.image), given.has_image)
        of_table = filled(self.table(given.table), given.has_table)
        return Output(self.joint(torch.cat([of_table, of_image], 1))[:, 0])


class PEfusionEarly(Comparator):
    """One network on everything."""

    reads: Reads = "pooled"
    steps = (Step("train", ("early",), _TRAIN),)

    def __init__(self, config: PefusionConfig) -> None:
        super().__init__()
        self.early = _network(7 + config.channels, config, out=True)

    def answer(self, given: Inputs) -> Output:
        """`image` is pooled, and a missing modality zeros."""
        both = torch.cat([given.table, given.image], 1)
        return Output(self.early(both)[:, 0])


def _network(inputs: int, config: PefusionConfig, *, out: bool) -> nn.Sequential:
    """Inputs -> nodes, then hidden layers with dropout, then one logit where `out` asks for it."""
    activation = _ACTIVATIONS[config.activation]
    layers: list[nn.Module] = [nn.Linear(inputs, config.nodes), activation()]
    for _ in range(config.layers):
        layers += [nn.Linear(config.nodes, config.nodes), activation(), nn.Dropout(config.dropout)]
    if out:
        layers.append(nn.Linear(config.nodes, 1))
    return nn.Sequential(*layers)
