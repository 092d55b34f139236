"""SHAP values of the clinical attributes for one case's logit, the image held fixed.

They are exact Shapley values (Lundberg and Lee 2017): all 128 coalitions, the attributes outside a
coalition taken from training rows one after the other (interventional). The logit of a case is the
mean over its evaluation windows.

Axes: n windows, r rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mmcaf.explain.layers import halves

__all__ = ["Shapley", "shapley", "table_logits"]

Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # rows [r, 7] -> logits [r]

_ROWS_AT_ONCE = 256
_TOLERANCE = 1e-3  # of the sum, relative to the logits at hand; they are computed in float32


@dataclass(frozen=True, slots=True)
class Shapley:
    """`base` plus the sum of `values` is `logit`, but for `error`."""

    base: float  # mean logit over the background, the image being the case's
    values: NDArray[np.float64]  # shape (7,)
    logit: float
    error: float  # base + sum - logit


def table_logits(net: nn.Module, windows: Float[Tensor, "n ..."]) -> Predict:
    """The case's logit as a function of the table alone.

    Where the image side can be read by itself, it is read once; see `halves`.
    """
    net.eval()
    image_side, answer = halves(net)
    with torch.no_grad():
        images = torch.cat([image_side(window[None]) for window in windows])

    @torch.no_grad()
    def predict(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        tables = torch.as_tensor(rows, dtype=torch.float32, device=windows.device)
        total = np.zeros(len(rows))
        for image in images:
            parts = [
                answer(image.expand(len(part), *image.shape), part)
                for part in torch.split(tables, _ROWS_AT_ONCE)
            ]
            total += torch.cat(parts).double().cpu().numpy()
        return total / len(images)

    return predict


def shapley(
    predict: Predict, row: NDArray[np.floating], background: NDArray[np.floating]
) -> Shapley:
    """Exact SHAP values of `row` against `background`, rows of the training fold [r, 7].

    Raises:
        ArithmeticError: they do not add up to the logit; nothing should be shown then.
    """
    from shap import ExactExplainer  # seconds, for numba
    from shap.maskers import Independent

    rows = np.asarray(background, dtype=np.float64)
    explainer = ExactExplainer(predict, Independent(rows, max_samples=len(rows)))
    of_case = np.asarray(row, dtype=np.float64)[None]
    found = explainer(of_case, silent=True)
    values, base = found.values[0].astype(np.float64), float(np.ravel(found.base_values)[0])
    logit = float(predict(of_case)[0])
    error = base + float(values.sum()) - logit
    if not abs(error) <= _TOLERANCE * max(1.0, abs(logit), abs(base)):
        raise ArithmeticError(
            f"SHAP values must add up to the logit: base {base:.6f} and sum {values.sum():.6f} "
            f"against {logit:.6f}."
        )
    return Shapley(base, values, logit, error)
