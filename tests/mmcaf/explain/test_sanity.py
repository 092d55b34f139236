from __future__ import annotations

import numpy as np
import pytest
import torch

from mmcaf.explain.case import CaseExplained, explain_case
from mmcaf.explain.sanity import cascade, rank_correlation
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from support.phantoms import TableNet, fresh_image_net, learnt, phantoms

POINTS = np.stack([np.linspace(-1, 1, 3)] * 7, axis=1)


def test_parts_are_randomised_from_the_logit_down_until_nothing_learnt_is_left() -> None:
    net, fresh = fresh_image_net(0), fresh_image_net(1)
    order = ["first", "second", "third", "head"]
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    names = []
    for name, randomised in cascade(net, fresh, order):
        names.append(name)
        for part in order:
            of = fresh if part in names else net
            weight = of.get_submodule(part).get_parameter("weight")
            assert torch.equal(randomised.get_submodule(part).get_parameter("weight"), weight)
    assert names == order[::-1]
    assert all(torch.equal(before[name], now) for name, now in net.state_dict().items())


def test_rank_correlation_counts_ties_and_is_undefined_without_ranks() -> None:
    a = np.array([[0.0, 0.0], [1.0, 2.0]])
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    # ranks 1.5 1.5 3 4 against 1 2 3 4
    assert rank_correlation(a, np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert rank_correlation(a, np.ones(4)) is None
    assert rank_correlation(np.arange(2), np.arange(2)) is None  # always 1 or -1


def explained(net: MMCAFNet, fresh: MMCAFNet, seed: int = 0) -> CaseExplained:
    random = torch.Generator().manual_seed(seed)
    windows = torch.randn(5, 1, 4, 64, 64, generator=random)
    row = torch.rand(7, generator=random) * 2 - 1
    background = np.random.default_rng(seed).uniform(-1, 1, (6, 7)).astype(np.float32)
    return explain_case(net, fresh, windows, row, background, POINTS)


def test_a_case_has_all_explanations_and_each_is_checked() -> None:
    config = ModelConfig(width=1 / 16, pyramid_scales=(3,))
    nets = []
    for seed in range(2):
        torch.manual_seed(seed)
        nets.append(MMCAFNet(config))
    same, other = explained(nets[0], nets[0]), explained(nets[0], nets[1])
    for found in (same, other):
        assert found.maps.shape[0] == 5
        assert found.logits.shape == (7, 3)
        assert found.shap.values.shape == (7,)
        assert found.cells == 4 * found.maps[0].numel()  # of the four windows with most in them
        parts = [one.part for one in found.randomised]
        assert parts == ["head", "msca", "tabular", "project", "pyramid", "trunk"]
    for one in same.randomised:
        assert one.cam == pytest.approx(1)
        assert one.shap == pytest.approx(1)
    last = other.randomised[-1]
    assert last.shap < 0.999
    assert last.cam is None or last.cam < 0.999


def test_an_image_network_has_a_map_and_no_values() -> None:
    net = learnt()
    given = phantoms(2, seed=5)
    fresh, background = fresh_image_net(1), np.zeros((3, 7), np.float32)
    told: list[tuple[int, int]] = []
    seen = explain_case(
        net,
        fresh,
        given.volume[1:],
        torch.zeros(7),
        background,
        POINTS,
        progress=lambda *step: told.append(step),
    )
    assert told == [(done, 5) for done in range(1, 6)]  # one window, four parts
    assert seen.squamous
    assert seen.maps is not None
    assert seen.shap is None
    assert seen.logits is None
    assert all(one.shap is None for one in seen.randomised)


def test_a_table_network_has_values_and_no_map() -> None:
    net, fresh = TableNet(), TableNet()
    row, background = torch.linspace(-1, 1, 7), np.zeros((3, 7), np.float32)
    seen = explain_case(net, fresh, torch.zeros(1, 0), row, background, POINTS)
    assert seen.maps is None
    assert seen.cells == 0
    assert seen.shap is not None
    expected = [(of.out.weight.detach()[0] * row).numpy() for of in (net, fresh)]
    np.testing.assert_allclose(seen.shap.values, expected[0], atol=1e-6)
    (check,) = seen.randomised
    assert check.cam is None
    assert check.shap == pytest.approx(rank_correlation(*expected))
    background[:] = row
    background[:, 0] = 0  # the only one that differs: a rank among zeros says nothing
    one = explain_case(net, fresh, torch.zeros(1, 0), row, background, POINTS)
    assert one.randomised[0].shap is None
