"""Late averages and the contrastive loss: identities, limits and gradients."""

from __future__ import annotations

from collections.abc import Callable
from math import log

import pytest
import torch
from torch import Tensor

from mmcaf.net.comparators.combining import (
    ContrastiveScale,
    available,
    contrastive_loss,
    mean_probability,
    stream_loss,
)

SCALE = torch.tensor(1 / 0.07, dtype=torch.float64)


def _pair(rows: int = 8, width: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, rows, width, generator=generator, dtype=torch.float64)
    return a, b


def test_pooled_logits_have_the_mean_probability() -> None:
    a, b = _pair()
    expected = (a.sigmoid() + b.sigmoid()) / 2
    torch.testing.assert_close(mean_probability(a, b).sigmoid(), expected, rtol=0, atol=1e-15)
    weighted = 0.2 * a.sigmoid() + 0.8 * b.sigmoid()
    torch.testing.assert_close(mean_probability(a, b, 0.2).sigmoid(), weighted, rtol=0, atol=1e-15)


def test_pooled_logits_are_the_published_formula() -> None:
    a, b = _pair()
    expected = (2 * (a + b).exp() + a.exp() + b.exp()).log() - (2 + a.exp() + b.exp()).log()
    torch.testing.assert_close(mean_probability(a, b), expected, rtol=0, atol=1e-13)


def test_pooling_is_symmetric_odd_and_keeps_what_agrees() -> None:
    a, b = _pair()
    torch.testing.assert_close(mean_probability(a, b), mean_probability(b, a), rtol=0, atol=1e-14)
    torch.testing.assert_close(mean_probability(-a, -b), -mean_probability(a, b))
    torch.testing.assert_close(mean_probability(a, a), a)


@pytest.mark.parametrize("value", [(120.0, -120.0), (120.0, 120.0), (-500.0, 3.0), (0.0, 0.0)])
def test_extreme_logits_stay_finite(value: tuple[float, float]) -> None:
    a, b = (torch.tensor([v], requires_grad=True) for v in value)
    pooled = mean_probability(a, b)
    pooled.sum().backward()
    assert all(t is not None and t.isfinite().all() for t in (pooled, a.grad, b.grad))


def test_all_the_weight_is_one_of_the_two() -> None:
    a, b = _pair()
    assert torch.equal(mean_probability(a, b, 1.0), a)
    assert torch.equal(mean_probability(a, b, 0.0), b)


def test_what_is_there_is_taken() -> None:
    both, image, table = torch.tensor([[1.0] * 3, [2.0] * 3, [3.0] * 3])
    has_image, has_table = torch.tensor([True, True, False]), torch.tensor([True, False, True])
    assert available(both, image, table, has_image, has_table).tolist() == [1, 2, 3]


def test_streams_count_the_samples_they_are_there_for() -> None:
    logits = torch.tensor([0.0, 50.0])
    parts = {"image": logits, "table_alone": logits}
    parts |= {"has_image": torch.tensor([True, False]), "has_table": torch.tensor([False, False])}
    loss = stream_loss(parts, torch.tensor([1.0, 0.0]), "bce", "image", "table_alone")
    assert loss.item() == pytest.approx(log(2))


@pytest.mark.parametrize(
    "change",
    [
        lambda a, b: (a[[3, 0, 1, 2, 7, 6, 5, 4]], b[[3, 0, 1, 2, 7, 6, 5, 4]]),
        lambda a, b: (a * torch.rand(8, 1, dtype=a.dtype).add(0.1), b),
        lambda a, b: (a, 7 * b),
        lambda a, b: (b, a),
    ],
    ids=["permuted", "rescaled rows", "rescaled", "swapped"],
)
def test_contrast_sees_directions_of_pairs_alone(
    change: Callable[..., tuple[Tensor, Tensor]],
) -> None:
    a, b = _pair()
    expected = contrastive_loss(a, b, SCALE)
    torch.testing.assert_close(contrastive_loss(*change(a, b), SCALE), expected)
    assert not torch.isclose(contrastive_loss(a, b.flip(0), SCALE), expected)


def test_aligned_distinct_rows_have_no_loss() -> None:
    rows = torch.eye(8, dtype=torch.float64)
    assert 0 < contrastive_loss(rows, rows, SCALE) < 1.3e-5


@pytest.mark.parametrize(("rows", "about"), [(4, 1.9), (16, 3.5)])
def test_untrained_embeddings_are_worse_than_chance(rows: int, about: float) -> None:
    losses = [contrastive_loss(*_pair(rows, 128, seed), SCALE) for seed in range(50)]
    mean = torch.stack(losses).mean().item()
    assert mean > log(rows)
    assert mean == pytest.approx(about, rel=0.15)


def test_with_distinct_labels_a_class_is_a_sample() -> None:
    a, b = _pair()
    distinct = torch.arange(8.0)
    torch.testing.assert_close(
        contrastive_loss(a, b, SCALE, distinct), contrastive_loss(a, b, SCALE)
    )


def test_collapsed_classes_cannot_fall_below_their_number() -> None:
    label = torch.tensor([1.0, 0.0] * 4)
    rows = torch.stack([label, 1 - label], 1).double()
    assert contrastive_loss(rows, rows, SCALE, label).item() == pytest.approx(log(4), abs=1e-5)


def test_no_pair_is_no_loss() -> None:
    a = torch.zeros(0, 4, requires_grad=True)
    loss = contrastive_loss(a, torch.zeros(0, 4), SCALE.float())
    loss.backward()
    assert loss.item() == 0


def test_the_scale_learns_within_its_bounds() -> None:
    scale = ContrastiveScale()
    assert scale().item() == pytest.approx(1 / 0.07)
    contrastive_loss(*_pair(), scale()).backward()
    assert scale.log_scale.grad is not None
    assert scale.log_scale.grad.item() != 0
    for value, expected in ((-3.0, 1.0), (50.0, 100.0)):
        with torch.no_grad():
            scale.log_scale.fill_(value)
        assert scale().item() == pytest.approx(expected)
