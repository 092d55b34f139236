"""Steps, presence and filling, apart from any method."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Step, filled, presence


class Nested(Comparator):
    """Two learning steps: a module within another, and a parameter."""

    reads = "none"
    steps = (Step("deep", ("trunk.1",)), Step("factor", ("factor", "head")))

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.BatchNorm1d(7), nn.Linear(7, 7), nn.Dropout(0.5))
        self.head = nn.Linear(7, 1)
        self.factor = nn.Parameter(torch.ones(()))

    def answer(self, given: Inputs) -> Output:
        return Output(self.factor * self.head(self.trunk(given.table))[:, 0])


class Echo(Comparator):
    """Answers the sums of what it was given."""

    reads = "pooled"
    steps = ()
    required = ("image",)

    def answer(self, given: Inputs) -> Output:
        parts = {"has_image": given.has_image, "has_table": given.has_table}
        return Output(given.image.sum(1) + given.table.sum(1), parts)


def test_a_network_is_given_zeros_for_what_is_missing_and_who_has_what() -> None:
    table = torch.ones(2, 7)
    table[1] = float("nan")
    output = Echo()(torch.ones(2, 3), table, has_table=torch.tensor([True, False]))
    assert output.logit.tolist() == [10, 3]
    assert output.parts["has_image"].tolist() == [True, True]
    assert output.parts["has_table"].tolist() == [True, False]


def test_what_a_network_requires_is_asked_of_every_sample() -> None:
    with pytest.raises(ValueError, match="Need the image of every sample, got none at position 1"):
        Echo()(torch.ones(2, 3), torch.ones(2, 7), has_image=torch.tensor([True, False]))


def _learning(net: nn.Module) -> set[str]:
    return {name for name, parameter in net.named_parameters() if parameter.requires_grad}


def test_a_step_frees_what_it_learns_and_freezes_the_rest() -> None:
    net = Nested()
    assert _learning(net.enter("deep")) == {"trunk.1.weight", "trunk.1.bias"}
    assert _learning(net.enter("factor")) == {"factor", "head.weight", "head.bias"}


def test_what_is_frozen_stays_in_evaluation_mode() -> None:
    net = Nested().enter("deep")
    for _ in range(2):
        modes = [net.training, net.trunk.training, *(part.training for part in net.trunk)]
        assert modes == [True, False, False, True, False]
        net.eval()
        assert not any(part.training for part in net.modules())
        net.train()


def test_before_any_step_everything_learns() -> None:
    net = Nested().train()
    assert all(part.training for part in net.modules())


def test_a_network_without_a_solution_says_so() -> None:
    with pytest.raises(ValueError, match="Nested has no step 'deep' to be solved"):
        Nested().solve("deep", torch.zeros(2, 7), torch.zeros(2))


def test_everything_is_there_unless_said_otherwise() -> None:
    has_image, has_table = presence(torch.zeros(3, 7), None, torch.tensor([True, False, True]))
    assert has_image.tolist() == [True] * 3
    assert has_table.tolist() == [True, False, True]


def test_what_is_filled_is_zero_whatever_it_was() -> None:
    x = torch.full((2, 3, 1, 1, 1), float("nan"))
    x[0] = 5.0
    found = filled(x, torch.tensor([True, False]))
    assert found[0].eq(5).all()
    assert found[1].eq(0).all()
