"""Our convolutions against the library's, in float64, and in bfloat16 at the network's shapes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcaf.net.bfpu import FeatureFusion
from mmcaf.net.config import ModelConfig
from mmcaf.net.conv import Conv3d, DepthwiseConv3d
from mmcaf.net.e3d_msca import Pyramid
from mmcaf.net.penet import PENetHead, PENetTrunk

Shapes = dict[str, tuple[nn.Conv3d, list[int]]]


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [(2, 5, 3), (1, 4, 4), (6, 9, 8), (3, 13, 11)])
def test_a_depthwise_convolution_and_its_gradients_are_the_librarys(
    kernel: int, size: tuple[int, int, int]
) -> None:
    conv = DepthwiseConv3d(70, kernel).double()  # more than are transformed at once
    x, grad = drawn(2, 70, *size).requires_grad_(), drawn(2, 70, *size)
    out = conv(x)
    plain = F.conv3d(x, conv.weight, padding=kernel // 2, groups=70)
    torch.testing.assert_close(out, plain)
    ours = torch.autograd.grad(out, (x, conv.weight), grad)
    theirs = torch.autograd.grad(plain, (x, conv.weight), grad)
    torch.testing.assert_close(ours, theirs)


def test_gradients_of_a_depthwise_convolution_hold_by_finite_differences() -> None:
    conv = DepthwiseConv3d(2, 3).double()
    x = drawn(2, 2, 2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(conv, {"weight": w}, x), (x, conv.weight)
    )


def test_a_frozen_depthwise_convolution_passes_the_gradient_on() -> None:
    conv = DepthwiseConv3d(2, 3).double().requires_grad_(False)
    x = drawn(1, 2, 3, 3, 3).requires_grad_()
    conv(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert conv.weight.grad is None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_a_dense_convolution_is_the_librarys_whatever_the_layout(
    layout: torch.memory_format,
) -> None:
    conv = Conv3d(4, 6, 3, stride=2, padding=1, groups=2).double()
    x = drawn(2, 4, 3, 5, 5).to(memory_format=layout)
    plain = F.conv3d(x, conv.weight, conv.bias, stride=2, padding=1, groups=2)
    torch.testing.assert_close(conv(x), plain)


def test_state_dicts_are_the_librarys() -> None:
    plain = nn.Conv3d(3, 3, 3, padding=1, groups=3, bias=False)
    assert DepthwiseConv3d(3, 3).state_dict().keys() == plain.state_dict().keys()
    DepthwiseConv3d(3, 3).load_state_dict(plain.state_dict())


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    """Every convolution of the image encoder at full width, with the shape of its input."""
    seen: Shapes = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv3d)
        size = list(inputs[0].shape)
        seen.setdefault(f"{module.extra_repr()} on {size}", (module, size))

    config = ModelConfig(preset="reference")
    with torch.device("meta"):
        trunk, pyramid = PENetTrunk(config).eval(), Pyramid(config).eval()
        fusions = [FeatureFusion(channels, "reference") for channels in (512, 1024)]
        head = PENetHead(config).eval()
        parts = nn.ModuleList([trunk, pyramid, head, *fusions])
        for module in parts.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_pre_hook(note)
        stages = trunk(torch.empty(2, 1, 12, 192, 192))
        maps = pyramid(stages)
        head(stages[2])
        fusions[1](maps[3], fusions[0](maps[2], maps[1]))
    seen["stem"] = (Conv3d(1, 64, 7, stride=(1, 2, 2), padding=3, bias=False), [2, 1, 12, 192, 192])
    return seen


@pytest.mark.slow
def test_bfloat16_gradients_agree_with_float32_at_every_shape(shapes: Shapes) -> None:
    assert len(shapes) > 40
    for name, (described, size) in shapes.items():
        torch.manual_seed(0)
        conv = _like(described)
        x = torch.randn(size).requires_grad_()
        exact = conv(x)
        grad = torch.randn_like(exact)
        wanted = torch.autograd.grad(exact, (x, conv.weight), grad)
        with torch.autocast("cpu", torch.bfloat16):
            found = conv(x)
        got = torch.autograd.grad(found, (x, conv.weight), grad.to(found.dtype))
        for ours, theirs in zip(got, wanted, strict=True):
            error = (ours.float() - theirs).norm() / theirs.norm()
            assert error < 0.02, f"{name}: {error}"


def _like(module: nn.Conv3d) -> nn.Conv3d:
    if isinstance(module, DepthwiseConv3d):
        return DepthwiseConv3d(module.in_channels, module.kernel_size[0])
    return Conv3d(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        groups=module.groups,
        bias=module.bias is not None,
    )


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(("kernel", "dilation"), [(7, 1), (3, 6)])
def test_bfloat16_weight_gradients_of_shallow_maps_are_right(
    depth: int, kernel: int, dilation: int
) -> None:
    reach = dilation * (kernel // 2)
    conv = Conv3d(16, 16, kernel, padding=reach, dilation=dilation, bias=False)
    x = torch.randn(2, 16, depth, 8, 8)
    grad = torch.randn(2, 16, depth, 8, 8)
    (wanted,) = torch.autograd.grad(conv(x), conv.weight, grad)
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(x)
    (got,) = torch.autograd.grad(found, conv.weight, grad.bfloat16())
    assert (got - wanted).norm() / wanted.norm() < 0.02
