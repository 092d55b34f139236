"""DAFT: identities of the affine map, its five places, and how it begins."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcaf.net.comparators.daft import DaftConfig
from mmcaf.net.comparators.daft.network import AffineBlock, ChannelAffine
from support.all_networks import CASES, samples


def _map(channels: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, channels, 2, 4, 4, generator=generator)
    return x, torch.rand(3, 7, generator=generator) * 2 - 1


def _affine(**fields: Any) -> ChannelAffine:
    torch.manual_seed(0)
    return ChannelAffine(8, 5, **fields)


def test_every_channel_has_a_scale_and_a_shift() -> None:
    affine, (x, table) = _affine(), _map()
    scale, shift = affine.factors(x, table)
    assert scale.shape == shift.shape == (3, 8)
    expected = scale[:, :, None, None, None] * x + shift[:, :, None, None, None]
    torch.testing.assert_close(affine(x, table), expected)
    assert affine.squeeze.bias is affine.excite.bias is None


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh"])
def test_the_activation_is_the_scales_alone(activation: Any) -> None:
    affine, (x, table) = _affine(activation=activation), _map()
    plain, shift = _affine().factors(x, table)
    expected = {"linear": plain, "sigmoid": plain.sigmoid(), "tanh": plain.tanh()}[activation]
    torch.testing.assert_close(affine.factors(x, table), (expected, shift))


def test_nothing_seen_is_nothing_passed_or_all() -> None:
    x, _ = _map()
    x = x - x.mean((2, 3, 4), keepdim=True)
    x[:, :, :, :2], x[:, :, :, 2:] = 1.0, -1.0  # a mean of exactly 0
    nothing = torch.zeros(3, 7)
    assert not _affine()(x, nothing).any()
    identity = _affine(identity_init=True)
    nn.init.normal_(identity.excite.weight)
    assert torch.equal(identity(x, nothing), x)


def test_the_affine_map_does_not_see_where() -> None:
    affine, (x, table) = _affine(), _map()
    order = torch.randperm(32, generator=torch.Generator().manual_seed(2))

    def moved(y: Tensor) -> Tensor:
        return y.flatten(2)[:, :, order].view_as(y)

    torch.testing.assert_close(affine(moved(x), table), moved(affine(x, table)))


def test_the_identity_ignores_the_table_until_the_last_weights_have_moved() -> None:
    net: Any = CASES["daft"].build()
    image, table, label = samples(net, 8)
    assert torch.equal(net(image, table).logit, net(image, table.flip(0)).logit)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    gradients = []
    for _ in range(2):
        optimizer.zero_grad()
        net.loss(net(image, table), label, "train").backward()
        gradients.append(net.block.affine.squeeze.weight.grad.clone())
        optimizer.step()
    assert not gradients[0].any()
    assert gradients[1].any()
    assert not torch.equal(net(image, table).logit, net(image, table.flip(0)).logit)


@pytest.mark.parametrize("location", range(5))
def test_a_plain_affine_counts_from_the_start_at_every_place(location: int) -> None:
    net = CASES["daft-plain"].build(location=location)
    image, table, _ = samples(net, 4)
    assert (net(image, table).logit != net(image, -table).logit).all()


@pytest.mark.parametrize("location", range(5))
def test_the_affine_map_stands_where_the_code_says(location: int) -> None:
    torch.manual_seed(0)
    config = DaftConfig(location=location, identity_init=False)
    block = AffineBlock(8, 16, config=config).eval()
    x, table = _map()
    affine, short = block.affine, block.shortcut
    main = affine(x, table) if location in (0, 2) else x
    out = block.norm1(block.conv1(main))
    out = affine(out, table) if location == 3 else out
    out = affine(F.relu(out), table) if location == 4 else F.relu(out)
    side = short(affine(x, table) if location in (0, 1) else x)
    expected = F.relu(block.norm2(block.conv2(out)) + side)
    torch.testing.assert_close(block(x, table), expected)
    assert (block.norm1.weight is None) == (location == 3)


def test_no_table_is_a_table_of_zeros() -> None:
    net = CASES["daft-plain"].build()
    image, table, _ = samples(net, 4)
    found = net(image, table, None, torch.zeros(4, dtype=torch.bool)).logit
    assert torch.equal(found, net(image, 0 * table).logit)


def test_the_defaults_are_the_recommended_and_the_shipped() -> None:
    trunk: Any = CASES["daft"].build(inputs=64)
    shipped: Any = CASES["daft-shipped"].build()
    assert (trunk.block.location, shipped.block.location) == (3, 0)
    assert trunk.block.affine.squeeze.weight.shape == (10, 135)
    assert shipped.block.affine.squeeze.weight.shape == (7, 23)
    assert (trunk.block.affine.identity_init, shipped.block.affine.identity_init) == (True, False)


def test_the_shipped_network_has_the_published_shapes() -> None:
    net: Any = CASES["daft-shipped"].build()
    shapes = []
    for module in (*net.stem[3:], net.block):
        module.register_forward_hook(lambda _, args, out: shapes.append(tuple(out.shape[1:])))
    net(torch.zeros(1, 1, 12, 192, 192), torch.zeros(1, 7))
    assert shapes == [
        (4, 6, 96, 96),
        (4, 6, 96, 96),
        (8, 3, 48, 48),
        (16, 2, 24, 24),
        (32, 1, 12, 12),
    ]


def test_the_recommended_network_has_the_published_shapes() -> None:
    net: Any = CASES["daft"].build(width=1.0, inputs=64)
    shapes = []
    for module in (net.stem, net.block.conv1, net.block):
        module.register_forward_hook(lambda _, args, out: shapes.append(tuple(out.shape)))
    net(torch.zeros(1, 1024, 2, 12, 12), torch.zeros(1, 7))
    assert shapes == [(1, 64, 2, 12, 12), (1, 128, 1, 6, 6), (1, 128, 1, 6, 6)]


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (3, 4, 16, 16)])
def test_the_shipped_network_takes_one_slice_and_three_hu_windows(shape: tuple[int, ...]) -> None:
    net = CASES["daft-shipped"].build()
    assert net(torch.zeros(2, *shape), torch.zeros(2, 7)).logit.shape == (2,)
