"""One case explained: each part agrees with the part computed by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmcaf.explain.case import CaseExplained, explain_case
from mmcaf.explain.gradcam import gradcam
from support.phantoms import ImageNet, TableNet, fresh_image_net, learnt, phantoms

BACKGROUND = np.random.default_rng(0).uniform(-1, 1, (6, 7)).astype(np.float32)
POINTS = np.linspace(-1, 1, 5)[:, None].repeat(7, axis=1)
ROW = torch.linspace(-0.9, 0.9, 7)


class Both(nn.Module):
    """The sum of an image's and a table's logit."""

    def __init__(self, image: ImageNet) -> None:
        super().__init__()
        self.image, self.table = image, TableNet()

    def image_tokens(self, window: Tensor) -> Tensor:
        return self.image(window, window)[:, None]

    def fused(self, tokens: Tensor, table: Tensor) -> Tensor:
        return tokens[:, 0] + self.table(tokens, table)

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        return self.fused(self.image_tokens(volume), table)


def explained(net: nn.Module, fresh: nn.Module, windows: Tensor) -> CaseExplained:
    return explain_case(net, fresh, windows, ROW, BACKGROUND, POINTS)


@pytest.fixture(scope="module")
def windows() -> Tensor:
    return phantoms(6, seed=3).volume


@pytest.fixture(scope="module")
def both(windows: Tensor) -> tuple[Both, CaseExplained]:
    torch.manual_seed(0)
    net, fresh = Both(learnt()), Both(fresh_image_net(9))
    return net, explained(net, fresh, windows)


def test_the_probability_is_the_mean_over_windows(
    both: tuple[Both, CaseExplained], windows: Tensor
) -> None:
    net, found = both
    with torch.no_grad():
        each = torch.sigmoid(net(windows, ROW.expand(6, 7)).double())
    assert found.probability == pytest.approx(float(each.mean()), abs=1e-6)
    assert found.squamous == (found.probability >= 0.5)


def test_maps_are_grad_cam_of_the_class_the_network_says(
    both: tuple[Both, CaseExplained], windows: Tensor
) -> None:
    net, found = both
    expected = gradcam(net, net.image.third, windows, ROW, squamous=found.squamous)
    assert found.maps is not None
    assert torch.allclose(found.maps, expected)


def test_shap_values_of_a_linear_table_are_weight_times_difference(
    both: tuple[Both, CaseExplained],
) -> None:
    """Of a linear model: w (x - mean of the background), exactly (Lundberg and Lee 2017)."""
    net, found = both
    weight = net.table.out.weight[0].detach().numpy()
    assert found.shap is not None
    expected = weight * (ROW.numpy() - BACKGROUND.mean(axis=0))
    assert found.shap.values == pytest.approx(expected, abs=1e-4)
    assert found.shap.base + found.shap.values.sum() == pytest.approx(found.shap.logit, abs=1e-3)


def test_curves_pass_through_the_case_s_own_logit(both: tuple[Both, CaseExplained]) -> None:
    net, found = both
    weight = net.table.out.weight[0].detach().numpy()
    assert found.logits is not None
    assert found.shap is not None
    expected = found.shap.logit + weight[:, None] * (POINTS.T - ROW.numpy()[:, None])
    assert found.logits == pytest.approx(expected, abs=1e-4)


def test_the_check_goes_from_the_logit_down_and_compares_the_strongest_windows(
    both: tuple[Both, CaseExplained],
) -> None:
    _, found = both
    assert [step.part for step in found.randomised] == ["table", "image"]
    assert found.maps is not None
    assert found.cells == 4 * found.maps[0].numel()
    table, everything = found.randomised
    assert table.cam == pytest.approx(1.0)  # the table's weights are none of the map's
    assert table.shap is not None
    assert table.shap < 1
    assert everything.cam is None or everything.cam < 0.9


def test_nothing_is_changed_by_explaining(windows: Tensor) -> None:
    net, fresh = Both(fresh_image_net(1)), Both(fresh_image_net(2))
    before = [{k: v.clone() for k, v in of.state_dict().items()} for of in (net, fresh)]
    explained(net, fresh, windows[:2])
    for of, state in zip((net, fresh), before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in of.state_dict().items())


def test_an_image_alone_has_no_values_of_the_table(windows: Tensor) -> None:
    found = explained(learnt(), fresh_image_net(5), windows[:2])
    assert (found.shap, found.logits) == (None, None)
    assert found.maps is not None
    assert {step.shap for step in found.randomised} == {None}
    assert [step.part for step in found.randomised] == ["head", "third", "second", "first"]


def test_a_table_alone_has_no_map(windows: Tensor) -> None:
    torch.manual_seed(1)
    found = explained(TableNet(), TableNet(), windows[:2])
    assert (found.maps, found.cells) == (None, 0)
    assert found.shap is not None
    assert {step.cam for step in found.randomised} == {None}


def test_an_attribute_that_says_nothing_is_left_out_of_the_comparison(windows: Tensor) -> None:
    """Four attributes constant in all rows: their zeros are no agreement."""
    torch.manual_seed(1)
    net, fresh = TableNet(), TableNet()
    background = BACKGROUND.copy()
    background[:, 3:] = ROW.numpy()[3:]
    found = explain_case(net, fresh, windows[:1], ROW, background, POINTS)
    assert found.shap is not None
    ours = found.shap.values[:3]
    theirs = fresh.out.weight[0, :3].detach().numpy() * (
        ROW.numpy()[:3] - background[:, :3].mean(0)
    )
    ranks = [np.argsort(np.argsort(values)) for values in (ours, theirs)]
    expected = np.corrcoef(*ranks)[0, 1]
    assert found.randomised[0].shap == pytest.approx(expected)


def test_progress_counts_every_window_and_every_step(windows: Tensor) -> None:
    told: list[tuple[int, int]] = []
    net = Both(learnt())
    explain_case(
        net, Both(fresh_image_net(4)), windows[:3], ROW, BACKGROUND, POINTS,
        progress=lambda done, of: told.append((done, of)),
    )  # fmt: skip
    assert told == [(n, 5) for n in range(1, 6)]
