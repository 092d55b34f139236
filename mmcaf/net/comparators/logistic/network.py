"""Logistic regression, fitted at once.

Axes: b batch, n cases.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Reads, Step
from mmcaf.net.comparators.lesion_box import LesionBoxConfig
from mmcaf.net.comparators.logistic import LogisticConfig
from mmcaf.stats.regression.logistic import fit_logistic

__all__ = ["Logistic"]


class Logistic(Comparator):
    """Logistic regression with a ridge penalty, by Newton's method."""

    reads: Reads = "none"
    required = ("table",)
    steps = (Step("fit", ("linear",), {"oversample": False}, solved=True),)

    def __init__(self, config: LogisticConfig | LesionBoxConfig) -> None:
        super().__init__()
        self.ridge = config.ridge
        self.linear = nn.Linear(7, 1)

    def answer(self, given: Inputs) -> Output:
        """The table is required, the image is not read."""
        return Output(self.linear(given.table)[:, 0])

    def solve(self, step: str, table: Float[Tensor, "n 7"], label: Float[Tensor, " n"]) -> None:
        """Fit on standardised columns, the intercept free of penalty."""
        features, labels = table.double().cpu().numpy(), label.long().cpu().numpy()
        model = fit_logistic(features, labels, ridge=self.ridge)
        slope = model.coefficients[1:] / model.scale
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(slope)[None])
            self.linear.bias.fill_(float(model.coefficients[0] - model.mean @ slope))
