"""The clinical encoder: seven values scaled to [-1, 1] become tokens of the embedding's width.

A KAN layer is a sum of univariate curves, so its columns before the sum belong to one attribute
each. `tokens="grid"` keeps them apart (seven tokens), `"pooled"` adds them up (one). Layers after
the first see each column by itself in the former case and their sum in the latter. The MLP has no
such columns: its token of an attribute is what it makes of that attribute with all others at 0.

Axes: b batch, m clinical tokens (7 or 1), e embedding.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.net.config import TABLE_COLUMNS, ModelConfig, Tokens

__all__ = ["KanEncoder", "MlpEncoder", "tabular_encoder"]

_NOISE = 0.5  # pykan's own scale of the initial curves, divided by the intervals


def tabular_encoder(config: ModelConfig) -> KanEncoder | MlpEncoder:
    """The encoder `config.tabular` names."""
    return KanEncoder(config) if config.tabular == "kan" else MlpEncoder(config)


class KanEncoder(nn.Module):
    """A chain of pykan's layers, 7 -> `kan_hidden` -> embedding.

    The spline part of a curve is zero far outside [-1, 1] (beyond 2.2 with the default grid), so
    unscaled inputs would be seen by the SiLU part alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens: Tokens = config.tokens
        widths = (TABLE_COLUMNS, *config.kan_hidden, config.embedding_dim)
        self.layers = nn.ModuleList(
            _kan_layer(inputs, outputs, intervals=config.kan_grid, order=config.kan_order)
            for inputs, outputs in pairwise(widths)
        )

    def forward(self, table: Float[Tensor, "b 7"]) -> Float[Tensor, "b m e"]:
        """Seven tokens in the order of the columns, or their sum as one."""
        total, _, columns, _ = self.layers[0](table)
        # [b, e, 7] -> [b, 7, e], or [b, e] -> [b, 1, e]
        tokens = columns.transpose(1, 2) if self.tokens == "grid" else total[:, None]
        for layer in self.layers[1:]:
            # [b, m, h] -> [b*m, h] -> [b*m, e] -> [b, m, e]
            tokens = layer(tokens.flatten(0, 1))[0].view(*tokens.shape[:2], -1)
        out: Tensor = tokens
        return out


class MlpEncoder(nn.Module):
    """Linear 7 -> 24, ReLU, dropout 0.2, linear 24 -> 24."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens: Tokens = config.tokens
        self.hidden = nn.Linear(TABLE_COLUMNS, config.embedding_dim)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(config.embedding_dim, config.embedding_dim)

    def forward(self, table: Float[Tensor, "b 7"]) -> Float[Tensor, "b m e"]:
        """Seven tokens in the order of the columns, or one of all columns together."""
        # [b, 7] -> [b, 7, 7], row i holding attribute i alone, or [b, 1, 7]
        rows = torch.diag_embed(table) if self.tokens == "grid" else table[:, None]
        out: Tensor = self.out(self.drop(F.relu(self.hidden(rows))))
        return out


def _kan_layer(inputs: int, outputs: int, *, intervals: int, order: int) -> nn.Module:
    """One `KANLayer` of pykan whose start depends on torch's seed alone.

    pykan fits the first curves by `lstsq`, whose last bits differ from call to call with the
    alignment of memory. They are drawn and fitted again here, in a fixed order of additions.
    """
    from kan.KANLayer import KANLayer  # three seconds, which only who builds a network should wait

    with torch.device("cpu"):  # it moves itself there, which fails from a `meta` device
        layer: nn.Module = KANLayer(in_dim=inputs, out_dim=outputs, num=intervals, k=order)
        _start(layer, inputs, outputs, intervals=intervals, order=order)
    return layer


def _start(layer: nn.Module, inputs: int, outputs: int, *, intervals: int, order: int) -> None:
    """Small random curves: noise at the knots of the grid, interpolated by splines."""
    knots = torch.linspace(-1, 1, intervals + 1, dtype=torch.float64)
    noise = (torch.rand(intervals + 1, inputs * outputs) - 0.5) * _NOISE / intervals
    fitted = _least_norm(_spline_basis(knots, intervals, order), noise.double())
    with torch.no_grad():
        coefficients = fitted.view(-1, inputs, outputs).permute(1, 2, 0)
        layer.get_parameter("coef").copy_(coefficients)


def _spline_basis(x: Float[Tensor, " x"], intervals: int, order: int) -> Float[Tensor, "x basis"]:
    """Values at `x` of the B-splines on pykan's grid: [-1, 1] in `intervals`, extended by `order`.

    The recursion of Cox and de Boor; on equal intervals basis i is the cardinal spline moved by i.
    """
    u = (x[:, None] + 1) * intervals / 2 + order - torch.arange(intervals + 2 * order)
    basis = ((u >= -1e-9) & (u < 1 - 1e-9)).to(x.dtype)
    for k in range(1, order + 1):
        u = u[:, :-1]
        basis = (u * basis[:, :-1] + (k + 1 - u) * basis[:, 1:]) / k
    return basis


def _least_norm(a: Float[Tensor, "n m"], y: Float[Tensor, "n q"]) -> Float[Tensor, "m q"]:
    """The smallest x with a x = y (a of full row rank), by elimination and element-wise sums.

    x = a' (a a')^-1 y. The Gram matrix is positive definite: no pivoting is needed.
    """
    gram = (a[:, None] * a[None]).sum(-1)
    system = torch.cat([gram, y], 1)
    for i in range(len(a)):
        system[i] /= system[i, i].clone()
        others = system[:, i, None].clone()
        others[i] = 0
        system -= others * system[i]
    return (a[:, :, None] * system[:, None, len(a) :]).sum(0)
