"""The KAN's own curves: what it makes of one attribute, whatever the others are.

Axes: p points, e embedding.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mmcaf.explain.shapley import Predict
from mmcaf.net.config import TABLE_COLUMNS
from mmcaf.net.tabular import KanEncoder

__all__ = ["kan_curves", "logit_curves"]


@torch.no_grad()
def kan_curves(net: nn.Module, points: Float[Tensor, "p 7"]) -> Float[Tensor, "7 p e"] | None:
    """Of every attribute the curves at its column of `points`, which lie within [-1, 1].

    With tokens kept apart these are the attribute's token, through all layers of the KAN; with
    pooled tokens the part of the first layer that belongs to the attribute, before the sum. None
    where the network has no KAN.
    """
    kan = next((part for part in net.modules() if isinstance(part, KanEncoder)), None)
    if kan is None:
        return None
    kan.eval()
    # One row asks for a point of all seven curves: none of them sees the other attributes.
    if kan.tokens == "grid":
        curves: Tensor = kan(points).transpose(0, 1)  # [p, 7, e] -> [7, p, e]
    else:
        curves = kan.layers[0](points)[2].permute(2, 0, 1)  # [p, e, 7] -> [7, p, e]
    return curves.contiguous()


def logit_curves(
    predict: Predict, row: NDArray[np.floating], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The case's logit as one attribute moves along its column of `points` [p, 7] and the rest
    stays: [7, p]."""
    # [7, p, 7]: in block i the attribute i moves
    rows = np.tile(np.asarray(row, dtype=np.float64), (TABLE_COLUMNS, len(points), 1))
    for index in range(TABLE_COLUMNS):
        rows[index, :, index] = points[:, index]
    return predict(rows.reshape(-1, TABLE_COLUMNS)).reshape(TABLE_COLUMNS, len(points))
