"""One attribute moves and the rest stays: of the whole network, and of the KAN by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mmcaf.explain.response_curves import kan_curves, logit_curves
from mmcaf.net.config import ModelConfig
from mmcaf.net.tabular import KanEncoder
from support.phantoms import TableNet

POINTS = torch.linspace(-1, 1, 5)[:, None].repeat(1, 7)
ROW = np.linspace(-0.6, 0.6, 7)


def kan(tokens: str) -> KanEncoder:
    torch.manual_seed(3)
    config = ModelConfig(tokens=tokens, kan_hidden=(3,))  # type: ignore[arg-type]
    return KanEncoder(config).eval()


def test_the_logit_s_curves_are_the_logit_with_one_attribute_replaced() -> None:
    def predict(rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] ** 3 + rows[:, 1] * rows[:, 2] - rows[:, 6]

    points = np.linspace(-1, 1, 4)[:, None] * np.linspace(0.5, 1, 7)
    found = logit_curves(predict, ROW, points)
    assert found.shape == (7, 4)
    for attribute in range(7):
        for at in range(4):
            moved = ROW.copy()
            moved[attribute] = points[at, attribute]
            assert found[attribute, at] == pytest.approx(predict(moved[None])[0])


def test_an_attribute_that_is_not_read_has_a_flat_curve() -> None:
    found = logit_curves(lambda rows: rows[:, 4] * 2, ROW, POINTS.numpy())
    assert (np.ptp(found, axis=1) > 0).tolist() == [False] * 4 + [True] + [False] * 2


def test_the_row_itself_is_not_changed() -> None:
    before = ROW.copy()
    logit_curves(lambda rows: rows.sum(axis=1), ROW, POINTS.numpy())
    assert np.array_equal(ROW, before)


@pytest.mark.parametrize("tokens", ["grid", "pooled"])
def test_a_kan_s_curve_of_an_attribute_ignores_the_others(tokens: str) -> None:
    encoder = kan(tokens)
    found = kan_curves(nn.Sequential(encoder), POINTS)
    assert found is not None
    assert found.shape[:2] == (7, 5)
    changed = POINTS.clone()
    changed[:, 3] = POINTS[:, 3].flip(0)
    again = kan_curves(nn.Sequential(encoder), changed)
    assert again is not None
    for attribute in range(7):
        same = torch.allclose(found[attribute], again[attribute], atol=1e-6)
        assert same == (attribute != 3)
    assert torch.allclose(again[3], found[3].flip(0), atol=1e-6)


def test_tokens_kept_apart_are_the_attribute_s_own_token() -> None:
    encoder = kan("grid")
    found = kan_curves(nn.Sequential(encoder), POINTS)
    assert found is not None
    assert torch.equal(found[2, 4], encoder(POINTS[4:5])[0, 2])


def test_pooled_curves_add_up_to_the_first_layer() -> None:
    """A KAN's layer is the sum of its curves (Liu et al. 2024, equation 2.5)."""
    encoder = kan("pooled")
    found = kan_curves(nn.Sequential(encoder), POINTS)
    assert found is not None
    assert torch.allclose(found.sum(0), encoder.layers[0](POINTS)[0], atol=1e-5)


def test_a_network_without_a_kan_has_no_such_curves() -> None:
    assert kan_curves(TableNet(), POINTS) is None
