"""The pyramid's parts against the same formulae in numpy and scipy, and how scales are chained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate, zoom
from torch import Tensor, nn

from mmcaf.net.config import ModelConfig
from mmcaf.net.e3d_msca import (
    ChannelGate,
    DepthwiseFusion,
    Pyramid,
    SpatialGate,
    UpBlock,
    resized,
)

Scramble = Callable[[nn.Module], Any]
Array = np.ndarray[Any, np.dtype[np.float64]]


def _map(channels: int, *size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _normed(x: Array, norm: Any) -> Array:
    state = {
        name: value.numpy()[:, None, None, None]
        for name, value in norm.state_dict().items()
        if value.ndim
    }
    scaled = (x - state["running_mean"]) / np.sqrt(state["running_var"] + 1e-5)
    out: Array = scaled * state["weight"] + state["bias"]
    return out


def _depthwise(x: Array, weight: Array) -> Array:
    """x [b, c, d, h, w] with kernels [c, 1, k, k, k], zeros outside."""
    return np.stack(
        [
            [correlate(x[b, c], weight[c, 0], mode="constant") for c in range(x.shape[1])]
            for b in range(len(x))
        ]
    )


def _pointwise(x: Array, weight: Array) -> Array:
    out: Array = np.einsum("bidhw,oi->bodhw", x, weight[:, :, 0, 0, 0])
    return out


def test_channel_gate_is_sigmoid_of_mean_and_maximum(scrambled: Scramble) -> None:
    gate, x = scrambled(ChannelGate(32)), _map(32, 2, 3, 4)
    flat, w1 = x.numpy().reshape(2, 32, -1), gate.squeeze.weight.detach().numpy()[:, :, 0, 0, 0]
    w2 = gate.excite.weight.detach().numpy()[:, :, 0, 0, 0]
    logits = sum(np.maximum(p @ w1.T, 0) @ w2.T for p in (flat.mean(2), flat.max(2)))
    expected = x.numpy() * _sigmoid(logits)[:, :, None, None, None]
    np.testing.assert_allclose(gate(x).detach(), expected, rtol=1e-12)


def test_spatial_gate_is_sigmoid_of_a_wide_convolution(scrambled: Scramble) -> None:
    gate, x = scrambled(SpatialGate()), _map(6, 3, 8, 9)
    a, kernel = x.numpy(), gate.conv.weight.detach().numpy()[0]
    for b in range(2):
        logits = correlate(a[b].mean(0), kernel[0], mode="constant")
        logits += correlate(a[b].max(0), kernel[1], mode="constant")
        np.testing.assert_allclose(gate(x)[b].detach(), a[b] * _sigmoid(logits), rtol=1e-10)


@pytest.mark.parametrize("kernels", [(1, 3, 5), (3,), (1, 7)])
def test_depthwise_fusion_adds_shuffled_branches(
    scrambled: Scramble, kernels: tuple[int, ...]
) -> None:
    block, x = scrambled(DepthwiseFusion(4, kernels)), _map(4, 2, 5, 6)
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    wide = _pointwise(x.numpy(), weights["expand.0.weight"])
    wide = np.clip(_normed(wide, block.expand[1]), 0, 6)
    total = np.zeros_like(wide)
    for i, branch in enumerate(block.branches):
        seen = _depthwise(wide, weights[f"branches.{i}.0.weight"])
        total = total + np.clip(_normed(seen, branch[1]), 0, 6)
    shuffled = total[:, [0, 2, 4, 6, 1, 3, 5, 7]]  # four groups of two: firsts, then seconds
    back = _normed(_pointwise(shuffled, weights["reduce.0.weight"]), block.reduce[1])
    np.testing.assert_allclose(block(x).detach(), x.numpy() + back, rtol=1e-10)


def test_up_block_doubles_the_size_and_halves_the_channels(scrambled: Scramble) -> None:
    block, x = scrambled(UpBlock(4)), _map(4, 2, 3, 4)
    weights = {name: value.numpy() for name, value in block.state_dict().items()}
    large = zoom(x.numpy(), (1, 1, 2, 2, 2), order=1)  # scipy aligns corners by default
    seen = np.maximum(_normed(_depthwise(large, weights["depthwise.weight"]), block.norm), 0)
    expected = _pointwise(seen, weights["pointwise.weight"])
    expected += weights["pointwise.bias"][:, None, None, None]
    np.testing.assert_allclose(block(x).detach(), expected, rtol=1e-10)


def test_resizing_keeps_the_corners() -> None:
    x = _map(2, 4, 6, 6)
    small = resized(x, like=torch.empty(1, 1, 3, 5, 4))
    assert small.shape == (2, 2, 3, 5, 4)
    torch.testing.assert_close(small[..., ::2, ::4, ::3], x[..., ::3, ::5, ::5])


def test_blocks_start_small() -> None:
    torch.manual_seed(0)
    for block in (ChannelGate(64), DepthwiseFusion(64, (3,)), UpBlock(64)):
        for part in block.modules():
            if isinstance(part, nn.Conv3d):
                assert part.weight.std().item() == pytest.approx(0.02, rel=0.2)


def _stages(batch: int = 1) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    sizes = ((16, 4, 8, 8), (32, 2, 4, 4), (64, 1, 2, 2))
    return tuple(torch.randn(batch, *size, generator=generator) for size in sizes)


@pytest.mark.parametrize("scales", [(3,), (2, 3), (1, 2, 3)])
def test_maps_keep_the_shapes_of_their_stages(scales: tuple[int, ...]) -> None:
    pyramid = Pyramid(ModelConfig(width=1 / 16, pyramid_scales=scales)).eval()
    maps = pyramid(_stages())
    assert {scale: m.shape for scale, m in maps.items()} == {
        scale: _stages()[scale - 1].shape for scale in scales
    }


def test_a_finer_scale_sees_the_coarser_one_and_not_the_reverse() -> None:
    torch.manual_seed(0)
    pyramid, stages = Pyramid(ModelConfig(width=1 / 16)).eval(), _stages()
    before = pyramid(stages)
    fine, coarse = pyramid((stages[0] + 1, *stages[1:])), pyramid((*stages[:2], stages[2] + 1))
    assert torch.equal(before[2], fine[2])
    assert torch.equal(before[3], fine[3])
    assert not torch.equal(before[1], coarse[1])


def test_one_spatial_gate_serves_all_scales() -> None:
    names = Pyramid(ModelConfig(width=1 / 16)).state_dict()
    assert [name for name in names if "spatial" in name] == ["spatial_gate.conv.weight"]


def test_dropout_at_the_entries_is_a_choice() -> None:
    rates = {
        drop: {
            m.p
            for m in Pyramid(ModelConfig(width=1 / 16, drop=drop)).modules()
            if isinstance(m, nn.Dropout)
        }
        for drop in (True, False)
    }
    assert rates == {True: {0.3}, False: {0.0}}
