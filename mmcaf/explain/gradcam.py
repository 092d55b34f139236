"""Grad-CAM (Selvaraju et al. 2017) over the evaluation windows of a case, and over its slices.

A window's map weighs the channels of the last image map by the mean gradient of the logit, adds
them up and keeps what speaks for the explained class. The windows of a case overlap: a slice gets
the mean over the windows it lies in.

Axes: n windows, c HU windows, d slices, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mmcaf.explain.layers import logits_of

__all__ = ["gradcam", "over_slices"]


def gradcam(
    net: nn.Module,
    layer: nn.Module,
    windows: Float[Tensor, "n c d h w"],
    row: Float[Tensor, " 7"],
    *,
    squamous: bool,
    progress: Callable[[], None] = lambda: None,
) -> Float[Tensor, "n d2 h2 w2"]:
    """The map of every window at the layer's own size, 0 or more, in units of the logit.

    Args:
        net: what is explained; put into evaluation mode.
        layer: the module of `net` whose map is weighed, see `image_layer`.
        windows: normalised windows of one case.
        row: its clinical values within [-1, 1].
        squamous: explain the squamous logit, or, if not, that of adenocarcinoma, its negative.
        progress: called after every window.
    """
    net.eval()
    sign = 1.0 if squamous else -1.0

    def logits(volume: Tensor, table: Tensor) -> Tensor:
        return sign * logits_of(net, volume, table)

    cam = LayerGradCam(logits, layer)
    maps = []
    for window in windows:  # each alone: a full-width window fills a laptop's memory
        volume = window[None].detach().clone().requires_grad_()
        found = cam.attribute(volume, additional_forward_args=(row[None],), relu_attributions=True)
        maps.append(found.detach()[:, 0].float().cpu())
        progress()
    return torch.cat(maps)


def over_slices(
    maps: Float[Tensor, "n d2 h2 w2"],
    starts: Sequence[int],
    size: tuple[int, int, int],
    n_slices: int,
) -> NDArray[np.float32]:
    """Maps enlarged to their windows and put where these lie: [n_slices, rows, columns].

    NaN where no window lies, which is so outside an oracle's single one.

    Args:
        maps: one per window.
        starts: first slice of every window; may lie outside the volume, where air was put.
        size: slices, rows and columns of a window.
        n_slices: of the volume.
    """
    total = np.zeros((n_slices, *size[1:]), dtype=np.float32)
    count = np.zeros(n_slices, dtype=np.float32)
    for cells, start in zip(maps, starts, strict=True):
        large = LayerAttribution.interpolate(cells[None, None], size, "trilinear")[0, 0].numpy()
        first, last = max(start, 0), min(start + size[0], n_slices)
        total[first:last] += large[first - start : last - start]
        count[first:last] += 1
    mean = np.full_like(total, np.nan)
    seen = count > 0
    mean[seen] = total[seen] / count[seen, None, None]
    return mean
