"""Other fusions of the two embeddings, each against its formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmcaf.net.comparators.combining import contrastive_loss
from support.all_networks import CASES, samples


def _normed(norm: Any, x: Tensor) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def _with_statistics(net: Any) -> Any:
    """Norms as after some training."""
    for norm in (net.image_norm, net.table_norm):
        torch.nn.init.normal_(norm.running_mean)
        torch.nn.init.normal_(norm.bias)
    return net


def test_attention_over_one_token_is_its_value() -> None:
    net = _with_statistics(CASES["cross_attention"].build())
    image, table, _ = samples(net, 4)
    f = _normed(net.image_norm, image)
    g = _normed(net.table_norm, net.tabular(table)[:, 0])
    value = net.attention.value
    expected = net.head((f + value(g) + g + value(f)) / 2)[:, 0]
    torch.testing.assert_close(net(image, table).logit, expected)


@pytest.mark.parametrize(("attention", "matter"), [("softmax", False), ("linear", True)])
def test_heads_matter_without_softmax_alone(attention: str, matter: bool) -> None:
    nets = [CASES["cross_attention"].build(attention=attention, heads=n) for n in (1, 4)]
    image, table, _ = samples(nets[0], 4)
    one, four = (net(image, table).logit for net in nets)
    assert torch.allclose(one, four, rtol=1e-5, atol=1e-6) != matter


def test_scores_are_scaled_by_a_heads_own_width() -> None:
    net: Any = CASES["cross_attention-linear"].build()
    image, table, _ = samples(net, 1)
    f, g = _normed(net.image_norm, image), _normed(net.table_norm, net.tabular(table)[:, 0])
    layer = net.attention
    found = []
    for own, other in ((f, g), (g, f)):
        q, k, v = (
            part.view(4, 6) for part in (layer.query(own), layer.key(other), layer.value(other))
        )
        found.append(own + ((q * k).sum(1, keepdim=True) / 6**0.5 * v).flatten())
    expected = net.head((found[0] + found[1]) / 2)[:, 0]
    torch.testing.assert_close(net(image, table).logit, expected)


def test_a_missing_embedding_is_zero_after_the_norm() -> None:
    net = _with_statistics(CASES["cross_attention"].build())
    image, table, _ = samples(net, 4)
    has = torch.tensor([True, False, True, False])
    f = _normed(net.image_norm, image) * has[:, None]
    g = _normed(net.table_norm, net.tabular(table)[:, 0])
    a, b = net.attention(f[:, None], g[:, None])
    expected = net.head((a + b)[:, 0] / 2)[:, 0]
    torch.testing.assert_close(net(image, table, has).logit, expected)
    nothing = torch.zeros(4, dtype=torch.bool)
    assert net(image, table, nothing).logit.isfinite().all()


def test_missing_samples_do_not_move_the_statistics() -> None:
    net: Any = CASES["cross_attention"].build().train()
    image, table, _ = samples(net, 8)
    has = torch.arange(8) < 5
    net(image, table, has)
    expected = 0.1 * image[:5].mean(0)
    torch.testing.assert_close(net.image_norm.running_mean, expected)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_contrast_is_weighed_against_cross_entropy(weight: float) -> None:
    net: Any = CASES["clip_fusion"].build(weight_clip=weight)
    image, table, label = samples(net, 8)
    output, g = net(image, table), net.tabular(table)[:, 0]
    logit = net.head(torch.cat([image, g], 1))[:, 0]
    torch.testing.assert_close(output.logit, logit)
    expected = F.binary_cross_entropy_with_logits(logit, label)
    expected = expected + weight * contrastive_loss(image, g, net.scale())
    torch.testing.assert_close(net.loss(output, label, "train"), expected)


def test_contrast_draws_each_patient_once() -> None:
    assert CASES["clip_fusion"].build().steps[0].recipe["oversample"] is False


def test_late_fusion_averages_probabilities_without_cross_talk() -> None:
    net: Any = CASES["late_fusion"].build()
    image, table, label = samples(net, 8)
    output = net(image, table)
    a, b = output.parts["image"], output.parts["table"]
    torch.testing.assert_close(output.logit.sigmoid(), (a.sigmoid() + b.sigmoid()) / 2)
    assert torch.equal(net(image, table.flip(0)).parts["image"], a)
    assert torch.equal(net(image.flip(0), table).parts["table"], b)
    expected = sum(F.binary_cross_entropy_with_logits(z, label) for z in (a, b))
    torch.testing.assert_close(net.loss(output, label, "train"), expected)


def test_one_head_on_both_is_linear() -> None:
    net: Any = CASES["late_fusion-concat"].build()
    image, table, _ = samples(net, 4)
    expected = net.head(torch.cat([image, net.tabular(table)[:, 0]], 1))[:, 0]
    torch.testing.assert_close(net(image, table).logit, expected)
