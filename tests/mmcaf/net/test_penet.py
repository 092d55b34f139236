"""The trunk: its scales at any window size, folded stem, widths, stochastic depth."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mmcaf.net.config import ModelConfig
from mmcaf.net.penet import Bottleneck, ChannelExcitation, PENetTrunk, Stem, group_norm


def _trunk(width: float = 1 / 16) -> PENetTrunk:
    torch.manual_seed(0)
    return PENetTrunk(ModelConfig(width=width)).eval()


@pytest.mark.parametrize("window", [(8, 48, 48), (9, 40, 56), (1, 16, 16), (5, 17, 33)])
def test_each_scale_is_half_the_one_before(window: tuple[int, int, int]) -> None:
    d, h, w = window
    h, w = ceil(h / 2), ceil(w / 2)  # the stem
    for number, stage in enumerate(_trunk()(torch.rand(1, 1, *window))):
        d, h, w = ceil(d / 2), ceil(h / 2), ceil(w / 2)
        assert stage.shape == (1, 16 * 2**number, d, h, w)


def test_the_folded_stem_equals_three_equal_channels() -> None:
    torch.manual_seed(0)
    stem = Stem(4).double()
    x = torch.rand(2, 1, 4, 16, 16, dtype=torch.float64)
    thrice = stem.conv(x.expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(stem(x), F.leaky_relu(stem.norm(thrice), 0.01))


def test_the_stem_keeps_three_input_channels() -> None:
    assert _trunk().state_dict()["stem.conv.weight"].shape == (4, 3, 7, 7, 7)


def test_full_width_has_the_published_parameters() -> None:
    with torch.device("meta"):
        trunk = PENetTrunk(ModelConfig())
    counts = [sum(p.numel() for p in part.parameters()) for part in (trunk.stem, *trunk.stages)]
    assert counts == [65_984, 258_864, 1_477_760, 8_700_288]


@pytest.mark.parametrize("width", [1 / 16, 1 / 8, 1 / 4, 1 / 2])
def test_convolution_groups_scale_with_the_width(width: float) -> None:
    with torch.device("meta"):
        trunk = PENetTrunk(ModelConfig(width=width))
    blocks = [block for block in trunk.modules() if isinstance(block, Bottleneck)]
    assert {block.conv2.groups for block in blocks} == {int(32 * width)}


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (16, 1), (32, 2), (1024, 64)])
def test_group_norm_has_sixteen_channels_a_group(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


def test_excitation_is_a_gate_of_the_channel_means() -> None:
    torch.manual_seed(0)
    layer, x = ChannelExcitation(32).double(), torch.randn(2, 32, 2, 3, 3, dtype=torch.float64)
    hidden = x.flatten(2).mean(2) @ layer.squeeze.weight.T + layer.squeeze.bias
    hidden = torch.where(hidden > 0, hidden, 0.01 * hidden)
    gate = 1 / (1 + torch.exp(-(hidden @ layer.excite.weight.T + layer.excite.bias)))
    torch.testing.assert_close(layer(x), torch.einsum("bcdhw,bc->bcdhw", x, gate))


def test_survival_falls_from_one_towards_a_half() -> None:
    survival = [m.survival for m in _trunk().modules() if isinstance(m, Bottleneck)]
    assert survival == pytest.approx([1 - 0.5 * i / 13 for i in range(13)])


def _block(survival: float) -> Bottleneck:
    torch.manual_seed(0)
    return Bottleneck(8, 8, stride=2, groups=2, survival=survival)


def test_a_dropped_block_leaves_its_shortcut() -> None:
    block, x = _block(0.0).train(), torch.randn(2, 8, 4, 8, 8)
    torch.testing.assert_close(block(x), F.leaky_relu(block.shortcut(x), 0.01))


def test_no_block_is_dropped_in_evaluation() -> None:
    block, x = _block(0.0).eval(), torch.randn(2, 8, 4, 8, 8)
    assert torch.equal(block(x), _block(1.0).train()(x))


def test_blocks_survive_as_often_as_they_should() -> None:
    block, x = _block(0.6).train(), torch.randn(2, 8, 1, 2, 2)
    dropped = F.leaky_relu(block.shortcut(x), 0.01)
    torch.manual_seed(1)
    kept = sum(not torch.equal(block(x), dropped) for _ in range(400))
    assert kept / 400 == pytest.approx(0.6, abs=4 * (0.6 * 0.4 / 400) ** 0.5)  # four sigmas


def test_drops_follow_torchs_seed() -> None:
    trunk, x = _trunk().train(), torch.rand(2, 1, 4, 16, 16)
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(trunk(x)[2])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_one_window_is_three_equal_ones(network: Any, sample: Any) -> None:
    model, (volume, table) = network(), sample()
    torch.testing.assert_close(model(volume.expand(-1, 3, -1, -1, -1), table), model(volume, table))
    other = torch.cat([volume, volume.flip(2), volume], 1)
    assert not torch.allclose(model(other, table), model(volume, table))
