"""Networks here are small and run on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet

NetworkMaker = Callable[..., MMCAFNet]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def network() -> NetworkMaker:
    """Builds a network at 1/16 of the width, in evaluation mode; same seed, same weights."""

    def make(preset: str = "paper", *, seed: int = 0, **overrides: Any) -> MMCAFNet:
        torch.manual_seed(seed)
        return MMCAFNet(ModelConfig(preset=preset, width=1 / 16, **overrides)).eval()

    return make


@pytest.fixture
def sample() -> Callable[..., tuple[Tensor, Tensor]]:
    """Draws a volume in [0, 1] and a table in [-1, 1]."""

    def draw(batch: int = 2, window: tuple[int, int, int] = (4, 32, 32)) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(7)
        volume = torch.rand(batch, 1, *window, generator=generator)
        return volume, torch.rand(batch, 7, generator=generator) * 2 - 1

    return draw


@pytest.fixture
def scrambled() -> Callable[[nn.Module], nn.Module]:
    """Makes a module float64, in evaluation mode, with every parameter and statistic at random."""

    def scramble(module: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(3)
        module = module.double().eval()
        with torch.no_grad():
            for tensor in module.state_dict().values():
                if tensor.is_floating_point():  # within (0.2, 1.2): a variance must be positive
                    drawn = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
                    tensor.copy_(drawn + 0.2 if tensor.ndim == 1 else drawn - 0.5)
        return module

    return scramble
