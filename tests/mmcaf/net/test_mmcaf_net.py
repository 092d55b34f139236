from __future__ import annotations

import pytest
import torch

from mmcaf.net.bfpu import BFPU
from mmcaf.net.config import ModelConfig
from mmcaf.net.e3d_msca import ChannelAttention, DepthwiseFusion, SpatialAttention
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.msca import BSF, CrossAttention


def network(preset: str = "paper", **fields: object) -> MMCAFNet:
    torch.manual_seed(0)
    return MMCAFNet(ModelConfig.from_preset(preset, width=1 / 16, **fields))


def inputs(*size: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 1, *size), torch.rand(2, 7) * 2 - 1


@pytest.mark.parametrize("scales", [(3,), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("size", [(8, 32, 32), (9, 40, 56), (12, 48, 48)])
def test_every_window_and_pyramid_gives_one_logit_per_case(
    scales: tuple[int, ...], size: tuple[int, int, int]
) -> None:
    volume, table = inputs(*size)
    assert network(pyramid_scales=scales)(volume, table).shape == (2,)
    assert network(pyramid_scales=scales).eval()(volume[:1], table[:1]).shape == (1,)


@torch.no_grad()
def test_a_logit_does_not_depend_on_its_neighbours() -> None:
    model = network().eval()
    volume, table = inputs(8, 32, 32)
    alone = model(volume[:1], table[:1])
    assert torch.allclose(model(volume, table)[:1], alone, atol=1e-6)


def test_the_seed_decides_all_weights() -> None:
    one, two = network().state_dict(), network().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


@torch.no_grad()
@pytest.mark.parametrize(
    "changed",
    [
        {"bfpu": "paper"},
        {"attention": "linear"},
        {"tokens": "pooled"},
        {"heads": (2, 2, 2)},
        {"bsf_out": "concat"},
        {"tabular": "mlp"},
        {"kernel_sizes": (1, 3)},
        {"pyramid_scales": (2, 3)},
        {"kan_hidden": (5,)},
    ],
)
def test_every_field_has_an_effect(changed: dict[str, object]) -> None:
    volume, table = (x.double() for x in inputs(8, 32, 32))
    plain, other = network().eval().double(), network(**changed).eval().double()
    assert (plain(volume, table) - other(volume, table)).abs().max() > 1e-11  # rounding is 1e-16


def test_query_and_key_learn_nothing_in_the_reference_and_something_in_the_paper() -> None:
    volume, table = inputs(8, 32, 32)
    for preset, learns in (("reference", False), ("paper", True)):
        model = network(preset)
        model(volume, table).sum().backward()
        for attend in model.fusion.attend:
            for layer in (attend.query, attend.key):
                assert bool(layer.weight.grad.abs().max() > 0) is learns


def test_channel_gate_is_its_formula() -> None:
    gate = ChannelAttention(32).double()
    x = torch.randn(2, 32, 2, 3, 4, dtype=torch.float64)
    w1, w2 = gate.reduce.weight.flatten(1), gate.expand.weight.flatten(1)
    flat = x.flatten(2)
    both = sum(torch.relu(p @ w1.T) @ w2.T for p in (flat.mean(-1), flat.max(-1).values))
    assert torch.allclose(gate(x), x * torch.sigmoid(both)[:, :, None, None, None])


def test_spatial_gate_sees_mean_and_maximum_over_channels() -> None:
    gate = SpatialAttention()
    x = torch.randn(2, 5, 3, 4, 4)
    seen = torch.stack([x.mean(1), x.max(1).values], dim=1)
    expected = x * torch.sigmoid(torch.conv3d(seen, gate.conv.weight, padding=3))
    assert torch.allclose(gate(x), expected, atol=1e-6)


def test_the_shuffle_puts_the_second_of_every_pair_behind_all_the_first() -> None:
    block = DepthwiseFusion(4, (1,)).eval()
    order: list[torch.Tensor] = []
    block.narrow.register_forward_pre_hook(lambda _, given: order.append(given[0]))
    torch.nn.init.constant_(block.depthwise[0][0].weight, 1.0)
    torch.nn.init.zeros_(block.widen[0].weight)
    block.widen[1].bias.data = torch.arange(8.0) / 2
    block(torch.zeros(1, 4, 1, 1, 1))
    found = order[0].flatten() * (1 + 1e-5) ** 0.5
    assert torch.allclose(found, torch.tensor([0, 2, 4, 6, 1, 3, 5, 7]) / 2)


def test_bfpu_of_the_paper_is_equation_two() -> None:
    unit = BFPU(8, "paper")
    a, b = torch.randn(1, 8, 2, 3, 3), torch.randn(1, 4, 2, 3, 3)
    c = torch.conv3d(b, unit.adjust.weight, unit.adjust.bias)
    m = torch.sigmoid(unit.query(a) * unit.key(c))
    expected = unit.merge(torch.cat([a + m * a, c + m * c], dim=1))
    assert torch.allclose(unit(a, b), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["softmax", "linear"])
def test_attention_is_written_out_for_two_heads(kind: str) -> None:
    attend = CrossAttention(4, 2, kind)  # type: ignore[arg-type]
    x, y = torch.randn(1, 3, 4), torch.randn(1, 5, 4)
    q, k, v = attend.query(x)[0], attend.key(y)[0], attend.value(y)[0]
    parts = []
    for head in (slice(0, 2), slice(2, 4)):
        weight = q[:, head] @ k[:, head].T / 4**0.5
        parts.append((weight.softmax(-1) if kind == "softmax" else weight) @ v[:, head])
    assert torch.allclose(attend(x, y)[0], x[0] + torch.cat(parts, dim=1), atol=1e-6)


def test_scale_fusion_is_its_formula() -> None:
    fuse = BSF(6, "sum")
    a, b = fuse.fine(torch.ones(2, 6)), fuse.coarse(torch.ones(2, 3))
    w = torch.softmax(a * b, dim=-1)
    found = fuse(torch.ones(2, 6), torch.ones(2, 3))
    assert torch.allclose(found, a + w * a + b + w * b)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"heads": (4, 4, 4)}, "4 does not divide 6"),
        ({"pyramid_scales": (1, 3)}, r"got \[1, 3\]"),
        ({"kernel_sizes": (2,)}, "among 1, 3, 5 and 7"),
        ({"width": 0.3}, "got 0.3"),
        ({"attention": "soft"}, "'softmax', 'linear'"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ModelConfig.from_preset("paper", **fields)
