"""What holds for every network: shapes, what stays frozen, what learns, what may be missing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mmcaf.config import TrainConfig
from mmcaf.net.comparators.base import Comparator
from mmcaf.stats.areas import auroc
from support.all_networks import CASES, Case, samples

networks = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
LEARNING = [name for name, case in CASES.items() if not case.build().steps[-1].solved]
learning = pytest.mark.parametrize("case", [CASES[name] for name in LEARNING], ids=LEARNING)


def _losses(net: Comparator, batch: int) -> list[Tensor]:
    """The loss of every step; a single sample is no batch to normalise in training mode."""
    *inputs, label = samples(net, batch)
    found = []
    for step in net.steps:
        net.enter(step.name).train(batch > 1)
        output = net(*inputs)
        assert output.logit.shape == (batch,)
        assert output.logit.isfinite().all()
        found.append(net.loss(output, label, step.name))
    return found


@networks
@pytest.mark.parametrize("batch", [1, 2, 4, 16])
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_logits_and_losses_are_finite(case: Case, batch: int, bf16: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        losses = _losses(case.build(), batch)
    assert all(loss.shape == () and loss.dtype == torch.float32 for loss in losses)
    assert all(loss.isfinite() for loss in losses)


@learning
def test_focal_loss_stands_for_cross_entropy(case: Case) -> None:
    net = case.build()
    *inputs, label = samples(net, 4)
    output, step = net(*inputs), net.steps[-1].name
    assert net.loss(output, label, step, "focal") < net.loss(output, label, step, "bce")


def _gradients(net: Comparator, step: str) -> dict[str, Tensor | None]:
    """Of every parameter, nothing dropped."""
    *inputs, label = samples(net, 16)
    net.enter(step).eval()
    net.zero_grad()
    net.loss(net(*inputs), label, step).backward()
    return {name: p.grad for name, p in net.named_parameters()}


@learning
def test_exactly_what_is_expected_gets_no_gradient(case: Case) -> None:
    net = case.build()
    for step in net.steps:
        listed = {
            name
            for name, _ in net.named_parameters()
            if any(f"{name}.".startswith(f"{known}.") for known in step.learns)
        }
        fixed = {name for name in listed if name.endswith((".grid", ".mask"))}  # of pykan
        gradients = _gradients(net, step.name)
        silent = {name for name, grad in gradients.items() if grad is None or not grad.any()}
        outside = gradients.keys() - listed
        assert silent == outside | fixed | (set(case.dead) & listed)
        assert all(gradients[name] is None for name in outside | fixed)


@learning
def test_a_step_moves_what_it_learns_and_nothing_else(case: Case) -> None:
    for index, step in enumerate(case.build().steps):
        net = case.build()
        *inputs, label = samples(net, 16)
        before = {name: value.clone() for name, value in net.state_dict().items()}
        net.enter(step.name)
        optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
        net.loss(net(*inputs), label, step.name).backward()
        optimizer.step()
        moved = {n for n, value in net.state_dict().items() if not torch.equal(value, before[n])}
        assert moved
        assert all(any(f"{n}.".startswith(f"{k}.") for k in step.learns) for n in moved), index


@networks
def test_steps_name_what_there_is_and_a_recipe_that_can_be_trained(case: Case) -> None:
    net = case.build()
    known = {name for name, _ in [*net.named_modules(), *net.named_parameters()]}
    for step in net.steps:
        assert set(step.learns) <= known
        TrainConfig(**step.recipe)
    assert [step.solved for step in net.steps[:-1]] == [False] * (len(net.steps) - 1)


@networks
def test_repeated_evaluation_is_identical(case: Case) -> None:
    net = case.build()
    *inputs, _ = samples(net, 4)
    assert torch.equal(net(*inputs).logit, net(*inputs).logit)


@networks
def test_the_seed_decides_the_network(case: Case) -> None:
    *inputs, _ = samples(case.build(), 4)
    first, same, other = (case.build(seed)(*inputs).logit for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@networks
def test_a_permuted_batch_gives_permuted_logits(case: Case) -> None:
    net = case.build()
    image, table, _ = samples(net, 8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    expected = net(image, table).logit[order]
    torch.testing.assert_close(
        net(image[order], table[order]).logit, expected, rtol=1e-4, atol=1e-5
    )


@networks
def test_no_logit_depends_on_its_neighbours(case: Case) -> None:
    net = case.build()
    image, table, _ = samples(net, 4)
    alone = torch.cat([net(image[i : i + 1], table[i : i + 1]).logit for i in range(4)])
    torch.testing.assert_close(net(image, table).logit, alone, rtol=1e-4, atol=1e-5)


@networks
@pytest.mark.parametrize("modality", ["image", "table"])
def test_only_a_modality_that_is_read_counts(case: Case, modality: str) -> None:
    net = case.build(**({"identity_init": False} if "daft" in case.config().name else {}))
    image, table, _ = samples(net, 8)
    if modality == "image":
        changed = net(image.flip(0), table).logit
    else:
        changed = net(image, table.flip(0)).logit
    assert torch.equal(net(image, table).logit, changed) == (modality in case.ignores)


@networks
@pytest.mark.parametrize("modality", ["image", "table"])
def test_what_is_missing_has_no_influence_not_even_as_nan(case: Case, modality: str) -> None:
    net = case.build()
    inputs = dict(zip(("image", "table"), samples(net, 4)[:2], strict=True))
    has = {f"has_{modality}": torch.tensor([True, False, True, False])}
    if modality in case.required:
        with pytest.raises(ValueError, match=f"Need the {modality} of every sample, got none at"):
            net(**inputs, **has)
        return
    whole, expected = net(**inputs).logit, net(**inputs, **has).logit
    for nonsense in (float("nan"), float("inf"), 1e30):
        spoilt = {**inputs, modality: inputs[modality].clone()}
        spoilt[modality][1::2] = nonsense
        assert torch.equal(net(**spoilt, **has).logit, expected)
    torch.testing.assert_close(expected[::2], whole[::2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        (name, modality)
        for name in LEARNING
        for modality in ("image", "table")
        if modality not in CASES[name].required + CASES[name].ignores
    ],
)
def test_what_is_missing_spoils_no_gradient(name: str, modality: str) -> None:
    case = CASES[name]
    for index in range(len(case.build().steps)):
        net = case.build()
        image, table, label = samples(net, 16)
        there = torch.arange(16) % 4 > 0
        {"image": image, "table": table}[modality][~there] = float("nan")
        step = net.steps[index].name
        net.enter(step)
        net.loss(net(image, table, **{f"has_{modality}": there}), label, step).backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)


@networks
def test_a_sample_without_anything_is_refused(case: Case) -> None:
    net = case.build()
    image, table, _ = samples(net, 3)
    there = torch.tensor([True, True, False])
    with pytest.raises(ValueError, match="of every sample, got none at position 2 of the batch"):
        net(image, table, there, there)


@networks
def test_an_unknown_step_is_refused(case: Case) -> None:
    net = case.build()
    with pytest.raises(ValueError, match=f"Need step to be one of {net.steps[0].name}"):
        net.enter("finetune")


@learning
def test_sixteen_samples_are_learnt_by_heart(case: Case) -> None:
    net = case.build(seed=1)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "survival"):
            module.survival = 1.0
    *inputs, label = samples(net, 16)
    step = net.steps[-1].name
    net.enter(step)
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    for count in range(200):
        optimizer.zero_grad()
        net.loss(net(*inputs), label, step).backward()
        optimizer.step()
        if count % 10 == 9:
            scores = net.eval()(*inputs).logit.detach().numpy()
            net.train()
            if auroc(label.numpy(), scores) == 1.0:
                return
    pytest.fail(f"AUROC is {auroc(label.numpy(), scores)} after 200 steps.")
