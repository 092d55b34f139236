"""DrFuse: divergence, ranking, attention, and the guard against vectors that collapse."""

from __future__ import annotations

from itertools import permutations
from math import log
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmcaf.net.comparators.drfuse import Jsd
from mmcaf.net.comparators.drfuse.network import jensen_shannon, ranking_loss
from mmcaf.net.penet import PENetHead, PENetTrunk
from support.all_networks import CASES, samples

FORMS = ("sum1", "mean1", "mean2")


def _net(**fields: Any) -> Any:
    return CASES["drfuse"].build(**fields)


def _logits(seed: int = 0, width: int = 256) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 64, width, generator=generator)
    return a, b


@pytest.mark.parametrize("form", FORMS)
def test_divergence_is_zero_between_equals_alone(form: Jsd) -> None:
    a, b = _logits()
    assert jensen_shannon(a, a, form).item() == pytest.approx(0, abs=1e-6)
    assert jensen_shannon(a, b, form) > 0.01
    torch.testing.assert_close(jensen_shannon(a, b, form), jensen_shannon(b, a, form))


@pytest.mark.parametrize(("form", "bound"), [("sum1", 128.0), ("mean1", 0.5), ("mean2", 1.0)])
def test_divergence_has_its_bound_and_gradient_at_the_extremes(form: Jsd, bound: float) -> None:
    a = torch.full((2, 256), 120.0, requires_grad=True)
    b = torch.full((2, 256), -120.0, requires_grad=True)
    found = jensen_shannon(a, b, form)
    found.backward()
    assert found.item() == pytest.approx(bound * log(2), rel=1e-5)
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (a, b))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("logit", [-120.0, 120.0])
def test_divergence_of_saturated_equals_is_zero_with_a_gradient(form: Jsd, logit: float) -> None:
    a, b = (torch.full((2, 4), logit, requires_grad=True) for _ in range(2))
    found = jensen_shannon(a, b, form)
    found.backward()
    assert found.item() == 0
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (a, b))


def test_divergence_of_the_published_code_outweighs_the_rest() -> None:
    a, b = _logits()
    assert jensen_shannon(a, b, "sum1").item() == pytest.approx(6.4, rel=0.1)
    torch.testing.assert_close(jensen_shannon(a, b, "sum1"), 256 * jensen_shannon(a, b, "mean1"))
    ratio = jensen_shannon(a, b, "mean2") / jensen_shannon(a, b, "mean1")
    assert ratio.item() == pytest.approx(2, rel=0.05)


def test_two_sided_divergence_is_that_of_bernoulli_variables() -> None:
    a, b = (x.double() for x in _logits(width=4))
    p, q = a.sigmoid(), b.sigmoid()

    def entropy(x: Tensor) -> Tensor:
        return -(x * x.log() + (1 - x) * (1 - x).log())

    expected = (entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2).mean()
    torch.testing.assert_close(jensen_shannon(a, b, "mean2"), expected)


def test_ranking_is_zero_where_the_order_agrees() -> None:
    logits, label = torch.tensor([[3.0, 1.0, -1.0]]), torch.ones(1)
    for order in permutations((0.6, 0.3, 0.1)):
        loss = ranking_loss(torch.tensor([order]), logits, label)
        assert (loss == 0) == (order == (0.6, 0.3, 0.1))


def test_ranking_is_the_mean_over_the_wrongly_ordered() -> None:
    label, logits = torch.ones(4), torch.tensor([[0.0, 0.0, 1.0]]).repeat(4, 1)
    weight = torch.tensor([[0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.3, 0.3, 0.4], [0.3, 0.3, 0.4]])
    # the image predicts best: table against image is wrong by 0.1 twice, no other pair is wrong
    assert ranking_loss(weight, logits, label).item() == pytest.approx(0.1 / 3, abs=1e-6)


def test_ranking_moves_the_attention_and_no_prediction() -> None:
    weight = torch.tensor([[0.1, 0.3, 0.6]], requires_grad=True)
    logits = torch.tensor([[3.0, 1.0, -1.0]], requires_grad=True)
    ranking_loss(weight, logits, torch.ones(1)).backward()
    assert weight.grad is not None
    assert weight.grad.any()
    assert logits.grad is None


def test_attention_weighs_what_is_there() -> None:
    net = _net()
    image, table, _ = samples(net, 4)
    weight = net(image, table).parts["weight"]
    torch.testing.assert_close(weight.sum(1), torch.ones(4))
    assert (weight > 0).all()
    has_image = torch.tensor([True, False, True, False])
    weight = net(image, table, has_image).parts["weight"]
    assert (weight[:, 2] == 0).tolist() == (~has_image).tolist()
    torch.testing.assert_close(weight.sum(1), torch.ones(4))


@pytest.mark.parametrize("missing", [None, "table", "image"])
def test_the_query_is_the_mean_of_what_is_there(missing: str | None) -> None:
    net = _net()
    image, table, _ = samples(net, 1)
    has = {f"has_{missing}": torch.tensor([False])} if missing else {}
    seen: list[Tensor] = []
    net.attention.register_forward_hook(lambda _, args, out: seen.extend([args[0], out]))
    output = net(image, table, **has)
    there = [i for i, name in enumerate(("table", "shared", "image")) if name != missing]
    q, k, v = seen[1][0, there].chunk(3, -1)
    weight = (k @ q.mean(0) / 16**0.5).softmax(0)
    torch.testing.assert_close(output.parts["weight"][0, there], weight)
    torch.testing.assert_close(output.logit, net.head(weight @ v))


def test_without_a_pair_the_shared_vector_is_the_one_there_is() -> None:
    net = _net()
    image, table, _ = samples(net, 4)
    output = net(image, table, torch.zeros(4, dtype=torch.bool))
    alone = net.heads["shared"](output.parts["table_shared"])[:, 0]
    torch.testing.assert_close(output.parts["shared"], alone)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    net = _net()
    image, table, label = samples(net, 8)
    output = net(image, table)
    terms = net.terms(output, label)
    alone = {"fused", "shared", "table", "image", "jsd", "ranking"}
    assert terms.keys() == alone | {"orthogonal_table", "orthogonal_image"}
    torch.testing.assert_close(net.loss(output, label, "train"), sum(terms.values()))
    likeness = F.cosine_similarity(output.parts["image_shared"], output.parts["image_alone"])
    torch.testing.assert_close(terms["orthogonal_image"], likeness.abs().mean())
    zero = _net(**{f"weight_{name}": 0 for name in terms if name != "fused"})
    torch.testing.assert_close(zero.loss(output, label, "train"), terms["fused"])


def test_a_lone_modality_has_no_term_of_pairs() -> None:
    net = _net()
    image, table, label = samples(net, 4)
    terms = net.terms(net(image, table, torch.zeros(4, dtype=torch.bool)), label)
    assert not terms.keys() & {"jsd", "ranking", "orthogonal_table"}
    assert terms["image"] == 0


def test_shared_vectors_do_not_collapse() -> None:
    net = _net(dropout=0.0)
    image, table, label = samples(net, 16)
    net.enter("train")
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for _ in range(100):
        optimizer.zero_grad()
        net.loss(net(image, table), label, "train").backward()
        optimizer.step()
    parts = net(image, table).parts
    assert parts["table_shared"].std(0).mean() > 1e-3
    assert parts["image_shared"].std(0).mean() > 1e-3


def test_both_copies_of_the_last_stage_begin_as_penets() -> None:
    net: Any = CASES["drfuse-full"].build()
    config = CASES["drfuse-full"].config(width=1 / 16).trunk_config
    trunk = PENetTrunk(config)
    net.adopt(trunk, PENetHead(config))
    for stage in net.image.stages:
        found, expected = stage.state_dict(), trunk.stages[2].state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len(net.image.stages) == 2
