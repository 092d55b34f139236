"""The fusion of two scales against its two formulae, in numpy and scipy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.ndimage import correlate, zoom
from torch import Tensor, nn

from mmcaf.net.bfpu import FeatureFusion

Array = np.ndarray[Any, np.dtype[np.float64]]
Scramble = Callable[[nn.Module], Any]


def _maps() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    deep = torch.randn(1, 4, 2, 3, 3, generator=generator, dtype=torch.float64)
    return deep, torch.randn(1, 2, 4, 5, 6, generator=generator, dtype=torch.float64)


def _conv(x: Array, layer: Any) -> Array:
    """Dense convolution of one sample [c, d, h, w], zeros outside."""
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return np.stack(
        [
            sum(
                correlate(plane, kernel, mode="constant")
                for plane, kernel in zip(x, w, strict=True)
            )
            + b
            for w, b in zip(weight, bias, strict=True)
        ]
    )


def _masked(block: Any) -> tuple[Array, Array, Array]:
    deep, shallow = (x[0].numpy() for x in _maps())
    b = _conv(zoom(shallow, (1, 2 / 4, 3 / 5, 3 / 6), order=1), block.match)
    mask = 1 / (1 + np.exp(-_conv(deep, block.deep_conv) * _conv(b, block.shallow_conv)))
    return deep, b, mask


def test_the_papers_form_is_its_equation_2(scrambled: Scramble) -> None:
    block = scrambled(FeatureFusion(4, "paper"))
    a, b, mask = _masked(block)
    expected = _conv(np.concatenate([a + mask * a, b + mask * b]), block.merge)
    np.testing.assert_allclose(block(*_maps())[0].detach(), expected, rtol=1e-9, atol=1e-12)


def test_the_reference_weights_four_maps(scrambled: Scramble) -> None:
    block = scrambled(FeatureFusion(4, "reference"))
    a, b, mask = _masked(block)
    of_a = _conv(np.concatenate([a, a * mask]), block.deep_maps)
    of_b = _conv(np.concatenate([b, b * mask]), block.shallow_maps)
    expected = a * of_a[0] + a * mask * of_a[1] + b * of_b[0] + b * mask * of_b[1]
    np.testing.assert_allclose(block(*_maps())[0].detach(), expected, rtol=1e-9, atol=1e-12)
