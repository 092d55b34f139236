from __future__ import annotations

from itertools import combinations
from math import factorial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmcaf.explain.response_curves import kan_curves, logit_curves
from mmcaf.explain.shapley import shapley, table_logits
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.tabular import KanEncoder

Rows = NDArray[np.float64]


def game(rows: Rows) -> Rows:
    """The first two are worth the same, the third alone something, the last three nothing."""
    return 2 * rows[:, 0] * rows[:, 1] + np.sin(rows[:, 2]) + rows[:, 2] * rows[:, 3]


def by_definition(row: Rows, background: Rows) -> Rows:
    """The sum over all coalitions, written out."""
    n = len(row)

    def worth(coalition: tuple[int, ...]) -> float:
        rows = background.copy()
        rows[:, list(coalition)] = row[list(coalition)]
        return float(game(rows).mean())

    values = np.zeros(n)
    for one in range(n):
        rest = [other for other in range(n) if other != one]
        for size in range(n):
            share = factorial(size) * factorial(n - size - 1) / factorial(n)
            for coalition in combinations(rest, size):
                values[one] += share * (worth((*coalition, one)) - worth(coalition))
    return values


def test_values_are_the_games_own_add_up_and_dummies_get_nothing() -> None:
    random = np.random.default_rng(0)
    background = random.uniform(-1, 1, (10, 7))
    background[:, 1] = background[:, 0]  # so that the first two cannot be told apart
    row = np.array([0.8, 0.8, -0.5, 0.9, 0.1, -1.0, 1.0])
    found = shapley(game, row, background)
    np.testing.assert_allclose(found.values, by_definition(row, background), atol=1e-9)
    assert found.base == pytest.approx(game(background).mean())
    assert found.base + found.values.sum() == pytest.approx(found.logit)
    assert found.values[0] == pytest.approx(found.values[1])
    np.testing.assert_allclose(found.values[4:], 0, atol=1e-12)
    assert abs(found.values[2]) > 0.1


def test_values_that_do_not_add_up_are_refused() -> None:
    calls = iter(range(100))

    def restless(rows: Rows) -> Rows:
        return game(rows) + next(calls)

    with pytest.raises(ArithmeticError, match="must add up to the logit"):
        shapley(restless, np.ones(7), np.zeros((2, 7)))


def network(**changes: object) -> MMCAFNet:
    torch.manual_seed(0)
    return MMCAFNet(ModelConfig(width=1 / 16, **changes)).eval()  # type: ignore[arg-type]


def test_the_logit_of_a_case_is_the_mean_over_its_windows_the_image_held_fixed() -> None:
    net, windows = network(), torch.randn(3, 1, 4, 32, 32)
    rows = torch.rand(5, 7) * 2 - 1
    with torch.no_grad():
        expected = torch.stack([net(w.expand(5, 1, 4, 32, 32), rows) for w in windows]).mean(0)
    for of in (net, _Whole(net), _OnImageSide(net)):
        found = table_logits(of, windows)(rows.double().numpy())
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


class _OnImageSide(torch.nn.Module):
    """In two halves, as comparators are, whose answer is no tensor."""

    def __init__(self, whole: MMCAFNet) -> None:
        super().__init__()
        self.trunk, self.pyramid, self.project = whole.trunk, whole.pyramid, whole.project
        self.fusions = whole.fusions
        self.net = _Answer(whole)
        self.features = whole.image_tokens

    def forward(self, volume: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the image is to be read once")


class _Answer(torch.nn.Module):
    def __init__(self, whole: MMCAFNet) -> None:
        super().__init__()
        self.fused = whole.fused

    def forward(self, features: torch.Tensor, table: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logit=self.fused(features, table))


class _Whole(torch.nn.Module):
    """Hides that the image can be read by itself."""

    def __init__(self, net: MMCAFNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, volume: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.net(volume, table)
        return logits


@pytest.mark.parametrize("tokens", ["grid", "pooled"])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_a_kan_curve_is_what_the_layer_says_of_that_attribute_alone(
    tokens: str, hidden: tuple[int, ...]
) -> None:
    net = network(tokens=tokens, kan_hidden=hidden)
    kan = net.tabular
    assert isinstance(kan, KanEncoder)
    points = torch.linspace(-1, 1, 9)[:, None] * torch.linspace(0.4, 1, 7)
    found = kan_curves(net, points)
    assert found is not None
    elsewhere = torch.rand(7) * 2 - 1
    for attribute in range(7):
        table = elsewhere.repeat(9, 1)  # the others are held anywhere
        table[:, attribute] = points[:, attribute]
        with torch.no_grad():
            if tokens == "grid":
                expected = kan(table)[:, attribute]
            else:
                # What moves the sum is the curve: it is known up to what the others add.
                sums = kan.layers[0](table)[0]
                expected = sums - sums[:1] + found[attribute, :1]
        torch.testing.assert_close(found[attribute], expected, atol=1e-5, rtol=1e-5)


def test_without_a_kan_there_are_no_curves() -> None:
    assert kan_curves(network(tabular="mlp"), torch.zeros(3, 7)) is None


def test_curves_of_the_logit_move_one_attribute_at_a_time() -> None:
    row, points = np.full(7, 0.5), np.stack([np.linspace(-1, 1, 5)] * 7, axis=1)
    found = logit_curves(game, row, points)
    assert found.shape == (7, 5)
    np.testing.assert_allclose(found[0], 2 * points[:, 0] * 0.5 + np.sin(0.5) + 0.25)
    np.testing.assert_array_equal(found[6], game(row[None])[0])
