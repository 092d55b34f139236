"""MMTM: gates at the start, what they leave alone, and what crosses between the streams."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mmcaf.net.comparators.mmtm.network import MutualGate
from mmcaf.net.losses import binary_loss
from mmcaf.net.penet import PENetHead, PENetTrunk
from support.all_networks import CASES, samples

HAS = torch.ones(2, dtype=torch.bool)


def _gate(channels: int = 64, scale: float = 2.0) -> MutualGate:
    torch.manual_seed(0)
    return MutualGate(channels, 16, ratio=4, scale=scale)


def _map(channels: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, channels, 2, 3, 4, generator=generator)
    return x, torch.randn(2, 16, generator=generator)


def _silenced(module: torch.nn.Module) -> None:
    """Gate weights of 0: the sigmoid is a half everywhere."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "_gate." in name:
                parameter.zero_()


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_silent_gates_pass_all_or_with_factor_one_the_half(scale: float) -> None:
    gate, (x, features) = _gate(scale=scale), _map()
    _silenced(gate)
    gated, gated_features = gate(x, features, HAS)
    assert torch.equal(gated, x * scale / 2)
    assert torch.equal(gated_features, features * scale / 2)


def test_gates_begin_around_one() -> None:
    gate, (x, features) = _gate(1024), _map(1024)
    found, _ = gate.gates(x.mean((2, 3, 4)), features)
    assert found.mean().item() == pytest.approx(1.0, abs=0.01)
    assert 0.7 < found.min() < found.max() < 1.3


def test_gates_do_not_see_where_in_the_map() -> None:
    gate, (x, features) = _gate(), _map()
    order = torch.randperm(24, generator=torch.Generator().manual_seed(2))

    def moved(y: Tensor) -> Tensor:
        return y.flatten(2)[:, :, order].view_as(y)

    gated, of_table = gate(x, features, HAS)
    found, found_of_table = gate(moved(x), features, HAS)
    torch.testing.assert_close(found, moved(gated))
    torch.testing.assert_close(found_of_table, of_table)


def test_a_missing_map_is_squeezed_to_zeros() -> None:
    gate, (x, features) = _gate(), _map()
    _, expected = gate.gates(torch.zeros(2, 64), features)
    _, found = gate(x, features, ~HAS)
    torch.testing.assert_close(found, features * expected)


@pytest.mark.parametrize("name", ["mmtm", "mmtm-three"])
def test_each_stream_hears_the_other(name: str) -> None:
    net = CASES[name].build()
    image, table, _ = samples(net, 4)
    before = net(image, table).parts
    assert (net(image, table.flip(0)).parts["image"] != before["image"]).all()
    assert (net(image.flip(0), table).parts["table"] != before["table"]).all()
    assert torch.equal(net(image.flip(0), table).parts["table_alone"], before["table_alone"])


@pytest.mark.parametrize("stream", ["image", "table"])
def test_either_loss_alone_moves_every_gate(stream: str) -> None:
    net: Any = CASES["mmtm-three"].build()
    image, table, _ = samples(net, 8)
    net.enter("joint").eval()
    net(image, table).parts[stream].sum().backward()
    last = f"2.{'table' if stream == 'image' else 'image'}_gate"  # which only the other reads
    silent = {n for n, p in net.gates.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == {f"{last}.weight", f"{last}.bias"}


def test_pretraining_sees_the_table_through_no_gate() -> None:
    net: Any = CASES["mmtm"].build()
    image, table, label = samples(net, 4)
    features = table
    for layer in net.table:
        features = layer(features)
    expected = binary_loss(net.table_head(features)[:, 0], label)
    torch.testing.assert_close(net.loss(net(image, table), label, "table"), expected)


def test_the_score_is_the_mean_logit_or_the_stream_there_is() -> None:
    net = CASES["mmtm-three"].build()
    image, table, _ = samples(net, 3)
    has = torch.tensor([True, False, True]), torch.tensor([True, True, False])
    output = net(image, table, *has)
    a, b = output.parts["image"], output.parts["table"]
    expected = torch.stack([(a[0] + b[0]) / 2, b[1], a[2]])
    torch.testing.assert_close(output.logit, expected)


def test_a_missing_table_is_silent_in_every_module() -> None:
    net: Any = CASES["mmtm-three"].build()
    seen: list[Tensor] = []
    for gate in net.gates:
        gate.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    image, table, _ = samples(net, 2)
    net(image, table, None, torch.tensor([False, True]))
    assert len(seen) == 3
    assert not any(features[0].any() for features in seen)
    assert all(features[1].any() for features in seen)


def test_three_modules_feed_what_they_gated_forward() -> None:
    net: Any = CASES["mmtm-three"].build()
    config = CASES["mmtm-three"].config(width=1 / 16).trunk_config
    torch.manual_seed(5)
    trunk = PENetTrunk(config).eval()
    net.adopt(trunk, PENetHead(config))
    image, table, _ = samples(net, 2)
    _silenced(net.gates)
    of_trunk = net.image_head(trunk(image)[2].mean((2, 3, 4)))[:, 0]
    torch.testing.assert_close(net(image, table).parts["image"], of_trunk)
    with torch.no_grad():
        net.gates[0].image_gate.bias[::2] = 9.0  # doubles every other channel of s1, for stage 2
    assert not torch.allclose(net(image, table).parts["image"], of_trunk, atol=1e-4)


@pytest.mark.parametrize("ratio", [2, 4, 16])
def test_the_bottleneck_follows_the_ratio(ratio: int) -> None:
    net: Any = CASES["mmtm"].build(width=1.0, ratio=ratio)
    assert net.gates[0].squeeze.out_features == (1024 + 256) // ratio


@pytest.mark.parametrize(
    ("mode", "learning"), [("frozen", ()), ("s3", ("stages.2",)), ("all", ("stages", "stem"))]
)
def test_the_trunk_learns_as_far_as_it_is_let(mode: str, learning: tuple[str, ...]) -> None:
    net: Any = CASES["mmtm-three"].build(trunk=mode)
    net.enter("joint")
    learns = {name for name, p in net.trunk.named_parameters() if p.requires_grad}
    assert learns == {n for n, _ in net.trunk.named_parameters() if n.startswith(learning)}
    assert net.trunk.stages[2].training == (mode != "frozen")
    assert net.trunk.stages[0].training == (mode == "all")
