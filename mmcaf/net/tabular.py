"""Encoders of the clinical row: Kolmogorov-Arnold layers, or a small perceptron.

Both return tokens [B,M,E] whose sum over M is the row's embedding g [B,E]. A KAN adds one curve per
input attribute, so its tokens are those curves' values: one token per attribute.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["KAN", "MLP"]


class KAN(nn.Module):
    """A chain of pykan's layers, `inputs` -> `hidden`... -> `outputs`."""

    def __init__(
        self, inputs: int, outputs: int, *, grid: int, order: int, hidden: Sequence[int] = ()
    ) -> None:
        super().__init__()
        with warnings.catch_warnings():  # sympy and matplotlib under it deprecate things
            warnings.simplefilter("ignore", DeprecationWarning)
            from kan.KANLayer import KANLayer  # three seconds: only who builds one pays

        sizes = [inputs, *hidden, outputs]
        self.layers = nn.ModuleList(
            KANLayer(in_dim=before, out_dim=after, num=grid, k=order)
            for before, after in pairwise(sizes)
        )
        for layer in self.layers:
            _draw_splines(layer.get_parameter("coef"), grid)

    def forward(self, row: Float[Tensor, "b n"]) -> Float[Tensor, "b m e"]:
        """One token per input of the last layer; the splines live on [-1, 1]."""
        *first, last = self.layers
        for layer in first:
            row = layer(row)[0]
        curves: Tensor = last(row)[2]  # [B,E,M]: what input m adds to output e
        return curves.transpose(1, 2)


@torch.no_grad()
def _draw_splines(coefficients: Tensor, grid: int) -> None:
    """Curves as small as pykan's own, but drawn directly.

    Pykan fits them to noise by an ill-conditioned least squares whose rounding differs from one
    process to the next, so that the same seed would not give the same network.
    """
    coefficients.uniform_(-0.25 / grid, 0.25 / grid)


class MLP(nn.Module):
    """`inputs` -> `outputs`, ReLU, dropout, `outputs`: one token, its attributes mixed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(0.2), nn.Linear(outputs, outputs)
        )

    def forward(self, row: Float[Tensor, "b n"]) -> Float[Tensor, "b 1 e"]:
        """The embedding as a single token."""
        embedded: Tensor = self.layers(row)
        return embedded.unsqueeze(1)
