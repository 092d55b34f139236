"""One modality alone, against what the parts compute by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.penet import PENetTrunk
from mmcaf.net.stage_views import ImageStage, TrunkStage
from mmcaf.stats.regression.logistic import fit_logistic
from support.all_networks import CASES, samples


def test_penet_is_the_first_stage_of_all_others() -> None:
    net = CASES["penet"].build()
    config = CASES["penet"].config(width=1 / 16).trunk_config
    torch.manual_seed(3)
    stage = TrunkStage(PENetTrunk(config), config).eval()
    image, table, _ = samples(net, 2)
    assert not torch.equal(net(image, table).logit, stage(image, table))
    net.adopt(stage.trunk, stage.head)
    assert torch.equal(net(image, table).logit, stage(image, table))


def test_penet_with_the_pyramid_is_mmcaf_nets_image_stage() -> None:
    case = CASES["penet_msca-drop"]
    net: Any = case.build()
    torch.manual_seed(3)
    stage = ImageStage(MMCAFNet(case.config(width=1 / 16).image_side)).eval()
    weights = {n.removeprefix("net."): value for n, value in stage.state_dict().items()}
    net.load_state_dict({name: weights[name] for name in net.state_dict()})
    image, table, _ = samples(net, 2)
    torch.testing.assert_close(net(image, table).logit, stage(image, table))


def test_penet_with_the_pyramid_adopts_the_trunk() -> None:
    net: Any = CASES["penet_msca"].build()
    penet: Any = CASES["penet"].build(seed=4)
    net.adopt(penet.trunk, penet.head)
    found, expected = net.trunk.state_dict(), penet.trunk.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_drop_is_all_that_differs() -> None:
    rates = {
        name: {m.p for m in CASES[name].build().modules() if isinstance(m, nn.Dropout)}
        for name in ("penet_msca", "penet_msca-drop")
    }
    assert rates == {"penet_msca": {0.0}, "penet_msca-drop": {0.3, 0.5}}
    sizes = {n: [p.shape for p in CASES[n].build().parameters()] for n in rates}
    assert sizes["penet_msca"] == sizes["penet_msca-drop"]


def test_a_kan_without_splines_is_linear_in_the_silu_of_the_table() -> None:
    net: Any = CASES["kan"].build()
    [layer] = net.tabular.layers
    with torch.no_grad():
        layer.coef.zero_()
    image, table, _ = samples(net, 4)
    embedded = F.silu(table) @ layer.scale_base
    torch.testing.assert_close(net(image, table).logit, net.head(embedded)[:, 0])


def test_splines_end_beyond_their_grid() -> None:
    net: Any = CASES["kan"].build()
    [layer] = net.tabular.layers
    with torch.no_grad():
        layer.scale_base.zero_()
    tables = torch.tensor([[-2.3] * 7, [2.3] * 7, [0.3] * 7])
    logit = net(torch.zeros(3, 0), tables).logit - net.head.bias
    assert logit[:2].abs().max() < 1e-7
    assert logit[2].abs() > 1e-4


def test_deeper_kans_are_possible() -> None:
    net = CASES["kan"].build(kan_hidden=[5, 6])
    assert net(*samples(net, 2)[:2]).logit.shape == (2,)


def test_logistic_regression_is_that_of_the_baseline() -> None:
    net = CASES["logistic"].build(ridge=0.5)
    generator = torch.Generator().manual_seed(0)
    table = torch.rand(60, 7, generator=generator) * 2 - 1
    label = (table[:, 0] + torch.randn(60, generator=generator) > 0).float()
    net.solve("fit", table, label)
    model = fit_logistic(table.double().numpy(), label.numpy().astype(np.int64), ridge=0.5)
    found = net(torch.zeros(60, 0), table).logit.sigmoid().detach().numpy()
    np.testing.assert_allclose(found, model.probability(table.double().numpy()), atol=1e-6)
