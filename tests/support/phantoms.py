"""A phantom whose bright cube decides the label, and a small network that has learnt it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmcaf.explain.pictures import Box

SIZE = (8, 64, 64)


@dataclass(frozen=True)
class Phantoms:
    volume: Float[Tensor, "n 1 d h w"]
    label: Float[Tensor, " n"]
    boxes: list[Box]


class ImageNet(nn.Module):
    """Of the image alone: three convolutions, the mean, one logit."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 8, 3, stride=(1, 2, 2), padding=1)
        self.second = nn.Conv3d(8, 8, 3, stride=2, padding=1)
        self.third = nn.Conv3d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 1)

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        x = torch.relu(self.first(volume))
        x = torch.relu(self.third(torch.relu(self.second(x))))
        logits: Tensor = self.head(x.mean((2, 3, 4)))[:, 0]
        return logits


class TableNet(nn.Module):
    """Linear in the table; the image is not read."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(7, 1)

    def forward(self, volume: Tensor, table: Tensor) -> Tensor:
        logits: Tensor = self.out(table)[:, 0]
        return logits


def phantoms(n: int, seed: int) -> Phantoms:
    """Noise; in every other one a cube of 4 x 16 x 16, somewhere, and then it is squamous."""
    random = torch.Generator().manual_seed(seed)
    volume = 0.3 * torch.randn(n, 1, *SIZE, generator=random)
    label = (torch.arange(n) % 2).float()
    boxes = []
    for index in range(n):
        y, x = torch.randint(0, 48, (2,), generator=random).tolist()
        boxes.append(Box((2, 5), (x, x + 16), (y, y + 16)))
        if label[index]:
            volume[index, 0, 2:6, y : y + 16, x : x + 16] += 3
    return Phantoms(volume, label, boxes)


def fresh_image_net(seed: int) -> ImageNet:
    torch.manual_seed(seed)
    return ImageNet().eval()


@cache
def learnt() -> ImageNet:
    """A network that has learnt what the phantoms show."""
    net, given = fresh_image_net(0), phantoms(32, seed=1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        logits = net(given.volume, torch.zeros(32, 7))
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(logits, given.label).backward()
        optimizer.step()
    assert ((logits > 0) == given.label.bool()).all()
    return net.eval()
