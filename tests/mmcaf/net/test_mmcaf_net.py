"""The whole network, small: shapes, choices that must matter, and independence of neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
import torch
from plain_model import plain_net
from torch import Tensor, nn

from mmcaf.net.mmcaf_net import MMCAFNet

Network = Callable[..., MMCAFNet]
Sample = Callable[..., tuple[Tensor, Tensor]]


@pytest.mark.parametrize("window", [(8, 48, 48), (9, 80, 112), (24, 64, 64), (1, 16, 16)])
@pytest.mark.parametrize("batch", [1, 3])
def test_any_window_gives_one_logit_a_sample(
    network: Network, sample: Sample, window: tuple[int, int, int], batch: int
) -> None:
    with torch.no_grad():
        logits = network()(*sample(batch, window))
    assert logits.shape == (batch,)
    assert logits.isfinite().all()


@pytest.mark.parametrize("window", [(12, 192, 192), (24, 128, 128)])
def test_the_papers_windows_fit(
    network: Network, sample: Sample, window: tuple[int, int, int]
) -> None:
    assert network()(*sample(1, window)).shape == (1,)


@pytest.mark.parametrize("preset", ["paper", "reference"])
@pytest.mark.parametrize("scales", [(3,), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("bfpu", ["paper", "reference"])
def test_any_pyramid_fits(
    network: Network, sample: Sample, preset: str, scales: tuple[int, ...], bfpu: str
) -> None:
    model = network(preset, pyramid_scales=scales, bfpu=bfpu)
    assert model(*sample()).shape == (2,)
    assert len(model.fusions) == len(scales) - 1


@pytest.mark.parametrize("width", [1 / 8, 1 / 4])
def test_wider_networks_fit(network: Network, sample: Sample, width: float) -> None:
    config = network().config
    torch.manual_seed(0)
    wider = MMCAFNet(type(config)(width=width)).eval()
    assert wider(*sample(1)).shape == (1,)


def _logits_with_shared_weights(
    network: Network, sample: Sample, preset: str, **change: Any
) -> Any:
    """Logits before and after a change of config, every weight of equal name and shape shared."""
    before, after = network(preset), network(preset, seed=0, **change)
    own, shared = after.state_dict(), before.state_dict()
    fitting = {k: v for k, v in shared.items() if k in own and own[k].shape == v.shape}
    after.load_state_dict(fitting, strict=False)
    return before(*sample()), after(*sample())


@pytest.mark.parametrize(
    "change",
    [
        {"pyramid_scales": (2, 3)},
        {"kernel_sizes": (1, 3)},
        {"bfpu": "paper"},
        {"attention": "linear"},
        {"tokens": "pooled"},
        {"token_grid": (1, 2, 2)},
        {"heads": (2, 2, 2)},
        {"heads": (4, 2, 1)},
        {"bsf_out": "concat"},
        {"tabular": "mlp"},
        {"kan_grid": 8},
        {"kan_order": 2},
        {"kan_hidden": (5,)},
        {"embedding_dim": 48},
    ],
    ids=str,
)
def test_each_choice_changes_the_paper_network(
    network: Network, sample: Sample, change: dict[str, Any]
) -> None:
    before, after = _logits_with_shared_weights(network, sample, "paper", **change)
    assert not torch.allclose(before, after, rtol=1e-6, atol=1e-7)


def test_dropout_changes_training_only(network: Network, sample: Sample) -> None:
    with_drop, without = network(drop=True), network(drop=False)
    assert torch.equal(with_drop(*sample()), without(*sample()))
    logits = []
    for model in (with_drop.train(), without.train()):
        torch.manual_seed(1)
        logits.append(model(*sample()))
    assert not torch.equal(*logits)


def _query_and_key_gradients(model: MMCAFNet, sample: Sample) -> list[Tensor]:
    model(*sample()).sum().backward()
    return [
        p.grad
        for name, p in model.named_parameters()
        if (".query." in name or ".key." in name) and p.grad is not None
    ]


def test_queries_and_keys_of_the_reference_never_learn(network: Network, sample: Sample) -> None:
    gradients = _query_and_key_gradients(network("reference"), sample)
    assert len(gradients) == 12
    assert all(torch.count_nonzero(gradient) == 0 for gradient in gradients)


def test_heads_of_the_reference_change_nothing(network: Network, sample: Sample) -> None:
    before, after = _logits_with_shared_weights(network, sample, "reference", heads=(1, 1, 1))
    torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "overrides", [{}, {"tokens": "pooled", "attention": "linear"}], ids=["paper", "linear"]
)
def test_queries_and_keys_learn_elsewhere(
    network: Network, sample: Sample, overrides: dict[str, Any]
) -> None:
    gradients = _query_and_key_gradients(network(**overrides), sample)
    # a key's bias adds the same to all scores of a query, which softmax does not see
    assert sum(gradient.abs().max().item() > 1e-9 for gradient in gradients) >= 9


def test_every_other_parameter_gets_a_gradient(network: Network, sample: Sample) -> None:
    model = network()
    model(*sample()).sum().backward()
    silent = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []


def test_image_and_table_both_count(network: Network, sample: Sample) -> None:
    model, (volume, table) = network(), sample()
    before = model(volume, table)
    assert (model(volume.flip(0), table) != before).all()
    assert (model(volume, table.flip(0)) != before).all()


@pytest.mark.parametrize("preset", ["paper", "reference"])
def test_a_logit_does_not_depend_on_its_neighbours(
    network: Network, sample: Sample, preset: str
) -> None:
    model, (volume, table) = network(preset), sample(4)
    with torch.no_grad():
        together = model(volume, table)
        alone = torch.cat([model(volume[i : i + 1], table[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def test_one_cell_of_the_grid_is_the_pooled_image(network: Network, sample: Sample) -> None:
    volume, _ = sample()
    cell, pooled = network(token_grid=(1, 1, 1)), network(tokens="pooled")
    assert torch.equal(cell.image_tokens(volume), pooled.image_tokens(volume))


def test_image_tokens_follow_the_grid(network: Network, sample: Sample) -> None:
    tokens = network(token_grid=(2, 3, 4)).image_tokens(sample()[0])
    assert tokens.shape == (2, 24, 24)


def test_the_seed_decides_weights_and_a_training_step(network: Network, sample: Sample) -> None:
    steps = []
    for _ in range(2):
        model = network(seed=3).train()
        torch.manual_seed(9)
        logits = model(*sample())
        logits.sum().backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        steps.append([logits, *gradients, *model.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*steps, strict=True))


def test_a_few_steps_learn_four_samples(network: Network, sample: Sample) -> None:
    model, labels = network(seed=1).train(), torch.tensor([0.0, 1.0, 0.0, 1.0])
    inputs = sample(4, (2, 16, 16))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(16):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(*inputs), labels)
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < sum(losses[:4]) / 2


def test_channels_last_computes_the_same(network: Network, sample: Sample) -> None:
    model, (volume, table) = network(), sample()
    expected = model(volume, table)
    model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch forgot it
    last = volume.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(model(last, table), expected, rtol=1e-4, atol=1e-5)


def test_shapes_in_signatures_are_checked_here(network: Network, sample: Sample) -> None:
    volume, table = sample()
    with pytest.raises(jaxtyping.TypeCheckError):
        network()(volume, table[:, :6])


@pytest.mark.parametrize("preset", ["paper", "reference"])
def test_the_network_computes_what_its_plain_form_computes(
    network: Network, sample: Sample, preset: str
) -> None:
    ours = network(preset).double().train()
    plain = plain_net(ours.config).double().train()
    plain.load_state_dict(ours.state_dict())
    volume, table = (part.double() for part in sample(2, (6, 48, 48)))
    logits, gradients = [], []
    for net in (ours, plain):
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # what is dropped depends on the layout in memory
        torch.manual_seed(5)  # the same blocks survive
        logits.append(net(volume, table))
        logits[-1].square().sum().backward()
        gradients.append({k: p.grad for k, p in net.named_parameters() if p.requires_grad})
    torch.testing.assert_close(*logits)
    torch.testing.assert_close(*gradients)
