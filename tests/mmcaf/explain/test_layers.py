"""Which inputs a network answers from, and in what order its parts come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmcaf.explain.layers import call_order, halves, image_layer, logits_of, reads
from support.phantoms import ImageNet, TableNet, fresh_image_net, phantoms

WINDOW, ROW = torch.randn(1, 1, 4, 16, 16), torch.linspace(-1, 1, 7)[None]


class Both(nn.Module):
    """Reads image and table; its parts are declared in another order than they are done."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4 + 7, 1)
        self.trunk = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU())
        self.aside = nn.Conv3d(4, 2, 1)

    def forward(self, volume: Tensor, table: Tensor) -> Any:
        features = self.trunk(volume)
        self.aside(features)  # a map that no logit comes from
        return SimpleNamespace(
            logit=self.out(torch.cat([features.mean((2, 3, 4)), table], 1))[:, 0]
        )


class Nothing(nn.Module):
    """Always the same answer."""

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        return torch.zeros(len(volume))


class Whole(nn.Module):
    """As MMCAF-Net: an image side and what follows it."""

    def image_tokens(self, window: Tensor) -> Tensor:
        return window.mean((1, 2, 3))

    def fused(self, tokens: Tensor, table: Tensor) -> Tensor:
        return tokens.sum(1) + table.sum(1)

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        return self.fused(self.image_tokens(volume), table)


class Sided(nn.Module):
    """As a comparator on an image side."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.AdaptiveAvgPool3d(1)
        self.net = Pooled()

    def forward(self, volume: Tensor, table: Tensor) -> Any:
        return self.net(self.features(volume), table)


class Pooled(nn.Module):
    def forward(self, features: Tensor, table: Tensor) -> Any:
        return SimpleNamespace(logit=features.flatten(1).sum(1) * 2 + table.sum(1))


@pytest.mark.parametrize(
    ("net", "found"),
    [
        (Both(), (True, True)),
        (fresh_image_net(0), (True, False)),
        (TableNet(), (False, True)),
        (Nothing(), (False, False)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_network_reads_is_found_from_gradients(
    net: nn.Module, found: tuple[bool, bool]
) -> None:
    assert reads(net.train(), WINDOW, ROW) == found
    assert not net.training


def test_a_logit_is_found_whether_it_is_the_answer_or_a_part_of_it() -> None:
    net = Both().eval()
    assert torch.equal(logits_of(net, WINDOW, ROW), net(WINDOW, ROW).logit)
    plain = TableNet()
    assert torch.equal(logits_of(plain, WINDOW, ROW), plain(WINDOW, ROW))


@pytest.mark.parametrize(
    "net", [Whole(), Sided(), TableNet(), Both()], ids=lambda n: type(n).__name__
)
def test_the_two_halves_one_after_the_other_are_the_network(net: nn.Module) -> None:
    net.eval()
    encode, answer = halves(net)
    assert torch.allclose(answer(encode(WINDOW), ROW), logits_of(net, WINDOW, ROW))


def test_a_network_without_an_image_side_meets_the_table_with_the_window_itself() -> None:
    encode, _ = halves(Both())
    assert encode(WINDOW) is WINDOW


def test_an_image_side_is_not_given_the_table() -> None:
    encode, _ = halves(Sided())
    assert encode(WINDOW).shape == (1, 1, 1, 1, 1)


def test_parts_come_in_the_order_in_which_they_are_done() -> None:
    assert call_order(Both(), WINDOW, ROW) == ["trunk", "aside", "out"]
    assert call_order(ImageNet(), phantoms(1, 0).volume, ROW) == [
        "first",
        "second",
        "third",
        "head",
    ]


def test_a_part_that_is_used_twice_is_done_when_it_is_used_last() -> None:
    class Again(Both):
        def forward(self, volume: Tensor, table: Tensor) -> Any:
            once = self.trunk(volume)
            self.aside(once)
            again = self.trunk(once.mean(1, keepdim=True))
            return self.out(torch.cat([again.mean((2, 3, 4)), table], 1))[:, 0]

    assert call_order(Again(), WINDOW, ROW) == ["aside", "trunk", "out"]


def test_a_part_that_is_not_done_has_no_place() -> None:
    net = TableNet()
    net.unused = nn.Linear(1, 1)
    assert call_order(net, WINDOW, ROW) == ["out"]


def test_grad_cam_looks_at_the_last_map_that_the_logit_comes_from() -> None:
    net = Both()
    assert image_layer(net, WINDOW, ROW) is net.trunk  # not `aside`, which comes later
    image = fresh_image_net(0)
    assert image_layer(image, phantoms(1, 0).volume, ROW) is image.third


def test_a_map_of_one_voxel_has_no_where() -> None:
    class Point(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.point = nn.Conv3d(1, 2, 1), nn.AdaptiveAvgPool3d(1)

        def forward(self, volume: Tensor, table: Tensor) -> Tensor:
            return self.point(self.wide(volume)).flatten(1).sum(1)

    net = Point()
    assert image_layer(net, WINDOW, ROW) is net.wide


@pytest.mark.parametrize("net", [TableNet(), Nothing()], ids=lambda net: type(net).__name__)
def test_a_network_without_a_map_has_no_layer_to_look_at(net: nn.Module) -> None:
    assert image_layer(net, WINDOW, ROW) is None


def test_looking_leaves_no_hook_and_no_gradient_behind() -> None:
    net = Both()
    call_order(net, WINDOW, ROW), image_layer(net, WINDOW, ROW), reads(net, WINDOW, ROW)
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())
