"""A network that has learnt what the phantoms show."""

from __future__ import annotations

import pytest
import torch
from explain_phantoms import ImageNet, fresh_image_net, phantoms
from torch import nn


@pytest.fixture(scope="session")
def learnt() -> ImageNet:
    net, given = fresh_image_net(0), phantoms(32, seed=1)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        logits = net(given.volume, torch.zeros(32, 7))
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(logits, given.label).backward()
        optimizer.step()
    assert ((logits > 0) == given.label.bool()).all()
    return net.eval()
