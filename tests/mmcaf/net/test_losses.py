"""Losses of a logit against their formulae, and in float32 whatever the network computed in."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from mmcaf.net.losses import Loss, binary_loss, focal_loss


@pytest.mark.parametrize("logit", [-200.0, -1.0, 0.0, 3.0, 200.0])
def test_focal_loss_agrees_with_its_formula(logit: float) -> None:
    logits = torch.tensor([logit, logit], dtype=torch.float64)
    p = 1 / (1 + math.exp(-logit))
    expected = -((1 - p) ** 2 * math.log(p) if p else logit) / 2  # -> -logit where p vanishes
    q = 1 / (1 + math.exp(logit))
    expected += -((1 - q) ** 2 * math.log(q) if q else -logit) / 2
    found = focal_loss(logits, torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert float(found) == pytest.approx(expected)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, labels = torch.randn(5), torch.tensor([1.0, 0, 1, 0, 0])
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    assert torch.allclose(focal_loss(logits, labels, gamma=0.0), expected)


@pytest.mark.parametrize("kind", ["bce", "focal"])
def test_losses_are_computed_in_float32(kind: Loss) -> None:
    logits, labels = torch.tensor([3.01, -0.5, 8.0]).bfloat16(), torch.tensor([1.0, 1.0, 0.0])
    found = binary_loss(logits, labels, kind)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, binary_loss(logits.float(), labels, kind))
