"""The clinical encoder against scipy's splines; its columns; a start that only the seed decides."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from mmcaf.net.config import ModelConfig
from mmcaf.net.tabular import KanEncoder, MlpEncoder, tabular_encoder


def _encoder(*, seed: int = 0, **overrides: Any) -> Any:
    torch.manual_seed(seed)
    return tabular_encoder(ModelConfig(preset="paper", **overrides)).eval()


def _table(rows: int = 5) -> Tensor:
    return torch.rand(rows, 7, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("intervals", "order"), [(5, 3), (2, 1), (8, 4)])
def test_a_kan_layer_is_a_sum_of_silu_and_splines(intervals: int, order: int) -> None:
    encoder = _encoder(tokens="pooled", kan_grid=intervals, kan_order=order)
    table, layer = _table().double().numpy(), encoder.layers[0]
    state = {name: value.double().numpy() for name, value in layer.state_dict().items()}
    expected = np.zeros((5, 24))
    for i in range(7):
        t = table[:, i, None]
        curves = BSpline(state["grid"][i], state["coef"][i].T, order)(table[:, i])
        expected += state["scale_base"][i] * t / (1 + np.exp(-t)) + state["scale_sp"][i] * curves
    np.testing.assert_allclose(encoder(_table())[:, 0].detach(), expected, atol=1e-6)


def test_the_spline_part_ends_beyond_the_grid() -> None:
    layer = _encoder().layers[0]
    beyond = torch.full((1, 7), 2.3)
    assert layer(beyond)[3].abs().max() == 0
    assert layer(beyond - 0.2)[3].abs().max() > 0


@pytest.mark.parametrize("kind", ["kan", "mlp"])
def test_a_grid_has_one_token_for_each_attribute(kind: str) -> None:
    encoder, table = _encoder(tabular=kind), _table()
    before, changed = encoder(table), table.clone()
    changed[:, 4] = -changed[:, 4]
    differs = (encoder(changed) != before).any(2).any(0)
    assert before.shape == (5, 7, 24)
    assert differs.tolist() == [False] * 4 + [True] + [False] * 2


@pytest.mark.parametrize("kind", ["kan", "mlp"])
@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_pooled_is_one_token(kind: str, hidden: tuple[int, ...]) -> None:
    encoder = _encoder(tokens="pooled", tabular=kind, kan_hidden=hidden)
    assert encoder(_table()).shape == (5, 1, 24)


def test_columns_add_up_to_the_pooled_token() -> None:
    columns, pooled = _encoder(tokens="grid")(_table()), _encoder(tokens="pooled")(_table())
    torch.testing.assert_close(columns.sum(1, keepdim=True), pooled)


def test_hidden_layers_keep_the_attributes_apart() -> None:
    encoder, table = _encoder(kan_hidden=(5,)), _table()
    first, second = encoder.layers
    column = first(table)[1:][1][:, :, 2]
    torch.testing.assert_close(encoder(table)[:, 2], second(column)[0])


def test_an_mlp_token_is_what_the_mlp_makes_of_that_attribute_alone() -> None:
    grid, pooled, table = (
        _encoder(tabular="mlp"),
        _encoder(tabular="mlp", tokens="pooled"),
        _table(),
    )
    alone = torch.zeros_like(table)
    alone[:, 3] = table[:, 3]
    torch.testing.assert_close(grid(table)[:, 3], pooled(alone)[:, 0])


def test_the_config_names_the_encoder() -> None:
    assert isinstance(_encoder(tabular="kan"), KanEncoder)
    assert isinstance(_encoder(tabular="mlp"), MlpEncoder)


def test_only_torchs_seed_decides_the_start() -> None:
    started, held = [], []
    for i in range(30):  # pykan's own fit differs in the last bits in about one of three
        random.seed(i)
        np.random.default_rng(i)
        held.append(torch.empty(13 + 7 * i))  # moves what is allocated next
        started.append(torch.cat([p.flatten() for p in _encoder(seed=1).parameters()]))
    assert all(torch.equal(start, started[0]) for start in started)


def test_another_seed_is_another_start() -> None:
    one, other = _encoder(seed=1), _encoder(seed=2)
    assert not torch.equal(one.layers[0].coef, other.layers[0].coef)


@pytest.mark.parametrize(("intervals", "order"), [(1, 1), (5, 3), (20, 3), (64, 2)])
def test_the_start_is_the_smallest_curve_through_noise(intervals: int, order: int) -> None:
    layer = _encoder(kan_grid=intervals, kan_order=order).layers[0].double()
    knots = np.linspace(-1, 1, intervals + 1)
    noise = layer(torch.from_numpy(knots)[:, None].expand(-1, 7))[3]  # [knots, 24, 7]
    assert noise.abs().max().item() <= 0.25 / intervals * 1.001
    assert noise.std().item() == pytest.approx(0.5 / intervals / 12**0.5, rel=0.1)
    grid = -1 + np.arange(-order, intervals + order + 1) * 2 / intervals
    basis = BSpline.design_matrix(np.clip(knots, -1, 1 - 1e-12), grid, order).toarray()
    expected = np.linalg.lstsq(basis, noise.detach().flatten(1).numpy())[0]
    found = layer.coef.detach().permute(2, 1, 0).flatten(1)
    np.testing.assert_allclose(found, expected, atol=1e-4 / intervals)


def test_grid_and_mask_do_not_train() -> None:
    layer = _encoder().layers[0]
    frozen = {name for name, p in layer.named_parameters() if not p.requires_grad}
    assert frozen == {"grid", "mask"}
