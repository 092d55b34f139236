"""3D convolutions that compute what `nn.Conv3d` computes, where its kernels are slow or wrong.

Depth-wise: on a CPU the library's backward pass takes forty times its forward pass. The gradient of
the input is itself a depth-wise convolution, with the kernel flipped; the gradient of the kernel is
a correlation of input and output gradient, which the fast Fourier transform computes at once for
all taps. A kernel of size 1 is one multiplication per voxel.

Dense: in bfloat16 on a CPU the library's weight gradient is silently wrong when the depth is above
1 and below the kernel's; air is then put around the slices before the convolution, not by it.

State dicts are those of `nn.Conv3d`. On a GPU the convolutions are the library's own.

Axes: b batch, c channels, d slices, h rows, w columns, k kernel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["Conv3d", "DepthwiseConv3d", "fast_layout"]

_CHANNELS_AT_ONCE = 64  # transforms of so many stay in the processor's cache


def fast_layout(x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
    """The same map, its channels side by side in memory: what convolutions on maps read fastest."""
    return x.contiguous(memory_format=torch.channels_last_3d)


class Conv3d(nn.Conv3d):
    """A dense or grouped convolution, right in bfloat16 too."""

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c2 d2 h2 w2"]:
        """The convolution of a map `[b, c, d, h, w]`."""
        if self.weight.numel() > x.numel():  # laying out the weight costs more than the map
            x = x.contiguous()
        out = convolved(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        return fast_layout(out)


def convolved(
    x: Float[Tensor, "b c d h w"],
    weight: Float[Tensor, "c2 c1 k1 k2 k3"],
    bias: Float[Tensor, " c2"] | None,
    stride: tuple[int, ...],
    padding: Any,
    dilation: Any = 1,
    groups: int = 1,
) -> Float[Tensor, "b c2 d2 h2 w2"]:
    """`F.conv3d`, right in bfloat16 too."""
    reach = weight.shape[2] if dilation == 1 else 1 + dilation[0] * (weight.shape[2] - 1)
    if x.device.type == "cpu" and 1 < x.shape[2] < reach and _is_bfloat16(x):
        x = F.pad(x, (0, 0, 0, 0, padding[0], padding[0]))
        padding = (0, *padding[1:])
    return F.conv3d(x, weight, bias, stride, padding, dilation, groups)


class DepthwiseConv3d(nn.Conv3d):
    """One kernel of odd size for each channel, output as large as the input."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=channels,
            bias=False,
        )

    def forward(self, x: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d h w"]:
        """The convolution of a map `[b, c, d, h, w]`."""
        weight = self.weight
        if self.kernel_size[0] == 1:
            return x * weight.to(x.dtype).view(-1, 1, 1, 1)
        if x.device.type != "cpu":
            return super().forward(x)
        if _is_bfloat16(x):
            x, weight = x.bfloat16(), weight.bfloat16()
        out: Tensor = _Depthwise.apply(x, weight)  # type: ignore[no-untyped-call]
        return out


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _depthwise(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = ctx.needs_input_grad
        return (
            _depthwise(grad, weight.flip(2, 3, 4)) if of_x else None,
            _correlation(x, grad, weight.shape[2]).to(weight.dtype) if of_weight else None,
        )


def _depthwise(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv3d(fast_layout(x), weight, padding=weight.shape[2] // 2, groups=x.shape[1])


def _correlation(
    x: Float[Tensor, "b c d h w"], grad: Float[Tensor, "b c d h w"], kernel: int
) -> Float[Tensor, "c 1 k k k"]:
    """Sum over batch and voxels of `x`, moved by each tap of the kernel, times `grad`.

    By the correlation theorem, padded so that no tap wraps around onto the other side.
    """
    reach = kernel // 2
    size = [_fast_length(max(n + reach, kernel)) for n in x.shape[2:]]
    exact = torch.float64 if x.dtype is torch.float64 else torch.float32
    out = x.new_empty(x.shape[1], 1, kernel, kernel, kernel, dtype=exact)
    taps = slice(0, kernel)
    for first in range(0, x.shape[1], _CHANNELS_AT_ONCE):
        some = slice(first, first + _CHANNELS_AT_ONCE)
        of_x, of_grad = (
            torch.fft.rfftn(t[:, some].to(exact, memory_format=torch.contiguous_format), size)
            for t in (x, grad)
        )
        found = torch.fft.irfftn((of_x * of_grad.conj()).sum(0), size)
        out[some, 0] = found.roll((reach,) * 3, (1, 2, 3))[:, taps, taps, taps]
    return out


def _fast_length(least: int) -> int:
    """The smallest length of at least `least` whose only prime factors are 2, 3 and 5.

    >>> [_fast_length(n) for n in (8, 26, 49, 50)]
    [8, 27, 50, 50]
    """
    length = least
    while _rest(length) > 1:
        length += 1
    return length


def _rest(n: int) -> int:
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n


def _is_bfloat16(x: Tensor) -> bool:
    """Whether a convolution of `x` computes in bfloat16, here on a CPU."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") is torch.bfloat16
    return x.dtype is torch.bfloat16
