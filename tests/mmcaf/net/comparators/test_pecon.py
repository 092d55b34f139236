"""PECon: what it reports, and what each step looks at. Identities of its loss: `test_combining`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from mmcaf.net.comparators.combining import contrastive_loss
from support.all_networks import CASES, samples


def _net(**fields: Any) -> Any:
    return CASES["pecon-clip"].build(**fields)


def test_the_reported_score_is_the_mean_probability_or_logit() -> None:
    image, table, _ = samples(_net(), 8)
    there, missing = torch.ones(8, dtype=torch.bool), torch.zeros(8, dtype=torch.bool)
    net, by_logit = _net(), _net(late="logit")
    alone = [net(image, table, *has).logit for has in ((there, missing), (missing, there))]
    expected = (alone[0].sigmoid() + alone[1].sigmoid()) / 2
    torch.testing.assert_close(net(image, table).logit.sigmoid(), expected)
    torch.testing.assert_close(by_logit(image, table).logit, (alone[0] + alone[1]) / 2)
    assert not torch.allclose(net(image, table).logit, by_logit(image, table).logit, atol=1e-3)


@pytest.mark.parametrize("late", ["prob", "logit"])
def test_it_is_trained_on_the_mean_of_both_logits(late: str) -> None:
    net = _net(late=late)
    image, table, label = samples(net, 8)
    scores = (net.image_head(net.image(image)) + net.table_head(net.table(table))) / 2
    expected = F.cross_entropy(scores, label.long())
    torch.testing.assert_close(net.loss(net(image, table), label, "classify"), expected)


@pytest.mark.parametrize("target", ["clip", "sup"])
def test_alignment_compares_pairs_alone(target: str) -> None:
    net = _net(target=target)
    image, table, label = samples(net, 8)
    there = torch.arange(8) % 3 > 0
    loss = net.loss(net(image, table, there), label, "align")
    a, b = net.image(image[there]), net.table(table[there])
    classes = label[there] if target == "sup" else None
    torch.testing.assert_close(loss, contrastive_loss(a, b, net.scale(), classes))


def test_labels_count_in_the_supervised_target_only() -> None:
    for target, same in (("clip", True), ("sup", False)):
        net = _net(target=target)
        image, table, label = samples(net, 8)
        output = net(image, table)
        losses = [net.loss(output, y, "align") for y in (label, (torch.arange(8) < 3).float())]
        assert torch.equal(*losses) == same


def test_alignment_draws_each_patient_once() -> None:
    align, classify = _net().steps
    assert align.recipe["oversample"] is False
    assert "oversample" not in classify.recipe


def test_weights_are_kaiming_normal() -> None:
    net = CASES["pecon-clip"].build(width=1.0)
    assert net.image[0].weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.01)
    assert net.table[3].weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.02)
