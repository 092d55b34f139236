from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmcaf.explain.gradcam import gradcam, over_slices
from mmcaf.explain.layers import call_order, image_layer, reads
from mmcaf.explain.pictures import mass_inside
from mmcaf.explain.sanity import cascade, rank_correlation
from mmcaf.net.bfpu import FeatureFusion
from mmcaf.net.config import ModelConfig
from mmcaf.net.e3d_msca import DepthwiseFusion
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.penet import ASPP, PENetTrunk
from mmcaf.net.stage_views import TrunkStage
from support.phantoms import SIZE, ImageNet, TableNet, fresh_image_net, learnt, phantoms

ROW = torch.zeros(7)


def test_the_map_lies_on_the_cube_that_decides() -> None:
    net = learnt()
    given = phantoms(16, seed=2)
    maps = gradcam(net, net.third, given.volume, ROW, squamous=True)
    assert (maps >= 0).all()
    for index in range(1, 16, 2):  # those with a cube
        whole = over_slices(maps[index : index + 1], [0], SIZE, SIZE[0])
        inside, by_chance = mass_inside(whole, given.boxes[index])
        assert by_chance == pytest.approx(4 * 16 * 16 / np.prod(SIZE))
        assert inside is not None
        assert inside > 5 * by_chance


def test_the_map_is_that_of_its_definition() -> None:
    net = learnt()
    volume = phantoms(2, seed=3).volume[1:]
    x = torch.relu(net.second(torch.relu(net.first(volume))))
    features = net.third(x).detach().requires_grad_()
    logit = net.head(torch.relu(features).mean((2, 3, 4)))[:, 0]
    (gradient,) = torch.autograd.grad(logit.sum(), features)
    for squamous, sign in ((True, 1), (False, -1)):
        weights = sign * gradient.mean((2, 3, 4), keepdim=True)
        expected = torch.relu((weights * features).sum(1))
        maps = gradcam(net, net.third, volume, ROW, squamous=squamous)
        torch.testing.assert_close(maps, expected.detach())


def test_random_weights_take_the_map_away_and_the_same_weights_leave_it() -> None:
    net = learnt()
    given = phantoms(16, seed=4)
    volume = given.volume[1::2]

    def ranks(fresh: nn.Module) -> list[float]:
        *_, (_, last) = cascade(net, fresh, call_order(net, volume[:1], ROW[None]))
        assert isinstance(last, ImageNet)
        before = gradcam(net, net.third, volume, ROW, squamous=True)
        after = gradcam(last, last.third, volume, ROW, squamous=True)
        pairs = zip(before, after, strict=True)
        return [rank_correlation(a.numpy(), b.numpy()) or 0.0 for a, b in pairs]

    assert ranks(net) == pytest.approx([1.0] * 8)
    assert abs(np.mean([ranks(fresh_image_net(seed)) for seed in range(8)])) < 0.5


def test_windows_that_overlap_are_averaged_and_slices_without_a_window_are_undefined() -> None:
    maps = torch.stack([torch.full((1, 1, 1), value) for value in (1.0, 3.0)])
    whole = over_slices(maps, [-1, 2], (4, 2, 2), 8)
    assert whole.shape == (8, 2, 2)
    expected = [
        1,
        1,
        2,
        3,
        3,
        3,
        np.nan,
        np.nan,
    ]  # slices 0 to 2 in the first, 2 to 5 in the second
    np.testing.assert_allclose(whole[:, 0, 1], expected)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"pyramid_scales": (2, 3)}, FeatureFusion), ({"pyramid_scales": (3,)}, DepthwiseFusion)],
)
def test_it_looks_at_the_last_map_all_of_the_image_passes(
    changes: dict[str, tuple[int, ...]], kind: type[nn.Module]
) -> None:
    net = MMCAFNet(ModelConfig(width=1 / 16, **changes))  # type: ignore[arg-type]
    volume = torch.randn(1, 1, 4, 64, 64)
    net.requires_grad_(False)  # as it is frozen
    assert isinstance(image_layer(net, volume, ROW[None]), kind)
    assert reads(net, volume, ROW[None]) == (True, True)
    order = call_order(net, volume, ROW[None])
    assert (order[0], order[-1]) == ("trunk", "head")


def test_a_network_of_one_modality_is_known_as_such() -> None:
    config = ModelConfig(width=1 / 16)
    penet = TrunkStage(PENetTrunk(config), config)
    volume = torch.randn(1, 1, 4, 64, 64)
    assert reads(penet, volume, ROW[None]) == (True, False)
    assert isinstance(image_layer(penet, volume, ROW[None]), ASPP)
    assert reads(TableNet(), volume, ROW[None]) == (False, True)
    assert image_layer(TableNet(), torch.zeros(1, 0), ROW[None]) is None


def test_a_map_that_leads_nowhere_is_not_looked_at() -> None:
    class Middle(nn.Module):
        """Reads the second map of a trunk that computes a third."""

        def __init__(self) -> None:
            super().__init__()
            config = ModelConfig(width=1 / 16)
            self.trunk = PENetTrunk(config)
            self.head = nn.Linear(config.stage_channels[1], 1)

        def forward(self, volume: Tensor, table: Tensor) -> Tensor:
            logits: Tensor = self.head(self.trunk(volume)[1].mean((2, 3, 4)))[:, 0]
            return logits

    net, volume = Middle(), torch.randn(1, 1, 4, 64, 64)
    layer = image_layer(net, volume, ROW[None])
    assert layer is net.trunk.stages[1]
    assert gradcam(net, layer, volume, ROW, squamous=True).shape == (1, 1, 8, 8)
