"""One case explained: map, SHAP values, curves of the logit, and the check on all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mmcaf.explain.gradcam import gradcam
from mmcaf.explain.layers import call_order, image_layer, logits_of, reads
from mmcaf.explain.response_curves import logit_curves
from mmcaf.explain.sanity import cascade, rank_correlation
from mmcaf.explain.shapley import Predict, Shapley, shapley, table_logits

__all__ = ["CaseExplained", "Randomised", "explain_case"]

_SILENT = 1e-12  # a SHAP value that is rounding alone
_CHECKED_WINDOWS = 4  # those with the strongest maps; the check takes as many passes as parts


@dataclass(frozen=True, slots=True)
class Randomised:
    """Rank correlation with the original once `part`, and all above it, has random weights."""

    part: str
    cam: float | None  # over the cells of the maps; None: undefined, or the network has no image
    shap: float | None  # over the attributes that have any value before or after


@dataclass(frozen=True, slots=True)
class CaseExplained:
    """What `explain_case` found; what does not apply to a network is None."""

    probability: float  # of squamous carcinoma: the mean over windows, as everywhere
    squamous: bool  # the class that is explained, which is the one the network says
    maps: Float[Tensor, "n d h w"] | None  # Grad-CAM of every window
    shap: Shapley | None
    logits: NDArray[np.float64] | None  # [7, points]: the logit as one attribute moves
    randomised: tuple[Randomised, ...]
    cells: int  # over how many the maps were compared


def explain_case(
    net: nn.Module,
    fresh: nn.Module,
    windows: Float[Tensor, "n ..."],
    row: Float[Tensor, " 7"],
    background: NDArray[np.float32],
    points: NDArray[np.float64],
    *,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> CaseExplained:
    """Explain what `net` says of one case.

    Args:
        net: trained; put into evaluation mode.
        fresh: of the same structure, untrained.
        windows: all evaluation windows of the case, [n,c,d,h,w].
        row: its clinical values within [-1, 1].
        background: rows of the training fold, [r, 7].
        points: where the curves of the logit are wanted, [p, 7] within [-1, 1].
        progress: told how many of how many passes are done, a window or a step of the check each.

    Raises:
        ArithmeticError: SHAP values do not add up.
    """
    net.eval()
    first = windows[:1], row[None]
    by_image, by_table = reads(net, *first)
    order = call_order(net, *first)
    passes, of = count(1), len(windows) * by_image + len(order)

    def step() -> None:
        progress(next(passes), of)

    with torch.no_grad():
        logits = torch.cat([logits_of(net, window[None], row[None]) for window in windows])
    probability = float(torch.sigmoid(logits.double()).mean())
    squamous = probability >= 0.5
    layer = image_layer(net, *first) if by_image else None
    maps = None
    if layer is not None:
        maps = gradcam(net, layer, windows, row, squamous=squamous, progress=step)
    predict = table_logits(net, windows) if by_table else None
    own = row.cpu().numpy()
    shap = shapley(predict, own, background) if predict else None
    chosen = _strongest(maps) if maps is not None else torch.arange(1)
    original = None if maps is None else maps[chosen]

    def values(of: nn.Module) -> NDArray[np.float64] | None:
        if predict is None:
            return None
        return shapley(table_logits(of, windows[chosen]), own, background).values

    before, checks = values(net), []
    for part, randomised in cascade(net, fresh, order):
        after = values(randomised)
        by_values = None if before is None or after is None else _agree(before, after)
        by_maps = _again(randomised, original, windows[chosen], row, squamous)
        checks.append(Randomised(part, by_maps, by_values))
        step()
    return CaseExplained(
        probability=probability,
        squamous=squamous,
        maps=maps,
        shap=shap,
        logits=_curves(predict, own, points),
        randomised=tuple(checks),
        cells=0 if original is None else original.numel(),
    )


def _agree(before: NDArray[np.float64], after: NDArray[np.float64]) -> float | None:
    """Over the attributes that can say anything; one that is the same in all rows never does."""
    speaks = np.maximum(abs(before), abs(after)) > _SILENT
    return rank_correlation(before[speaks], after[speaks])


def _curves(
    predict: Predict | None, row: NDArray[np.float32], points: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    return None if predict is None else logit_curves(predict, row, points)


def _strongest(maps: Float[Tensor, "n d h w"]) -> Tensor:
    order = maps.sum((1, 2, 3)).argsort(descending=True, stable=True)
    return order[:_CHECKED_WINDOWS].sort().values


def _again(
    net: nn.Module,
    original: Float[Tensor, "n d h w"] | None,
    windows: Float[Tensor, "n ..."],
    row: Float[Tensor, " 7"],
    squamous: bool,
) -> float | None:
    """How the maps of a randomised network correlate with the original ones."""
    if original is None:
        return None
    layer = image_layer(net, windows[:1], row[None])
    if layer is None:
        return None
    maps = gradcam(net, layer, windows, row, squamous=squamous)
    return rank_correlation(original.numpy(), maps.numpy())
