"""PEfusion: the average and its parts, the elastic net, and no path between the modalities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmcaf.net.penet import PENetHead, PENetTrunk
from mmcaf.stats.regression.elastic_net import Penalty, fit_elastic_net
from support.all_networks import CASES, samples


def _solved(**fields: Any) -> Any:
    net = CASES["pefusion"].build(**fields)
    net.solve("elastic", *_rows())
    return net


def _rows(count: int = 80) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    table = torch.rand(count, 7, generator=generator) * 2 - 1
    table[:, 6] = 0.5  # a column without spread
    label = torch.rand(count, generator=generator) < (2 * table[:, 0] - table[:, 1]).sigmoid()
    return table, label.float()


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_the_probability_lies_between_its_parts(weight: float) -> None:
    net = _solved(image_weight=weight)
    image, table, _ = samples(net, 8)
    output = net(image, table)
    a, b = (output.parts[name].sigmoid() for name in ("image", "table"))
    p = output.logit.sigmoid()
    torch.testing.assert_close(p, weight * a + (1 - weight) * b)
    assert (p >= torch.minimum(a, b) - 1e-6).all()
    assert (p <= torch.maximum(a, b) + 1e-6).all()


def test_a_missing_modality_leaves_the_others_probability() -> None:
    net = _solved()
    image, table, _ = samples(net, 3)
    has = torch.tensor([True, False, True]), torch.tensor([True, True, False])
    output = net(image, table, *has)
    assert output.logit[1] == output.parts["table"][1]
    assert output.logit[2] == output.parts["image"][2]


def test_the_table_is_read_by_the_elastic_net_of_its_standardised_columns() -> None:
    table, label = _rows()
    net = _solved(strength=1.0, l1_ratio=0.3, class_weight="balanced")
    columns = table.double().numpy()
    spread = np.where(columns.std(0) > 0, columns.std(0), 1)
    features = (columns - columns.mean(0)) / spread
    labels = label.numpy().astype(np.int64)
    [model] = fit_elastic_net(features, labels, [Penalty(1.0, 0.3, "balanced")])
    found = net.table(table)[:, 0].detach().numpy()
    np.testing.assert_allclose(found, model.logit(features), atol=1e-5)
    assert net.table.weight[0, 6] == 0


def test_what_is_left_open_is_chosen_and_is_not_constant() -> None:
    assert _solved().table.weight.any()
    chosen = _solved(strength=1e-3)
    assert chosen.table.weight.any()
    with pytest.raises(ValueError, match="Every penalty leaves all coefficients at 0"):
        _solved(strength=1e-3, l1_ratio=0.99)


def test_only_the_elastic_net_is_solved() -> None:
    net = CASES["pefusion"].build()
    with pytest.raises(ValueError, match="has no step 'table' to be solved"):
        net.solve("table", *_rows())
    network = CASES["pefusion-nn"].build()
    with pytest.raises(ValueError, match="has no step 'elastic' to be solved"):
        network.solve("elastic", *_rows())


def test_no_gradient_passes_between_the_modalities() -> None:
    net = CASES["pefusion-nn"].build()
    image, table, label = samples(net, 8)
    image.requires_grad_(True)
    net.loss(net(image, table), label, "table").backward()
    assert image.grad is None or not image.grad.any()
    net = CASES["pefusion-nn"].build()
    table.requires_grad_(True)
    net(image, table).parts["image"].sum().backward()
    assert table.grad is None or not table.grad.any()


def test_the_images_probability_is_penets() -> None:
    net = _solved()
    config = CASES["pefusion"].config(width=1 / 16).trunk_config
    torch.manual_seed(9)
    head = PENetHead(config)
    net.adopt(PENetTrunk(config), head)
    image, table, _ = samples(net, 4)
    torch.testing.assert_close(net(image, table).parts["image"], head(image))


@pytest.mark.parametrize(
    ("fusion", "part"), [("late_nn", "table"), ("joint", "joint"), ("early", "early")]
)
@pytest.mark.parametrize("layers", [0, 3])
def test_hidden_layers_are_as_many_as_asked(fusion: str, part: str, layers: int) -> None:
    net = CASES["pefusion"].build(fusion=fusion, layers=layers, nodes=8)
    linear = [m for m in net.get_submodule(part).modules() if isinstance(m, torch.nn.Linear)]
    assert len(linear) == layers + 2
