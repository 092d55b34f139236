"""MedFuse: a sequence of two tokens, or of the one that is there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from support.all_networks import CASES, samples


def _net(**fields: Any) -> Any:
    return CASES["medfuse"].build(**fields)


def _read(net: Any, *tokens: Tensor) -> Tensor:
    """The logit after a sequence of these tokens."""
    out: Tensor = net.head(net.lstm(torch.stack(tokens, 1))[0][:, -1])[:, 0]
    return out


def _all(value: bool) -> Tensor:
    return torch.full((4,), value)


def test_the_table_is_read_before_the_image() -> None:
    net = _net()
    image, table, _ = samples(net, 4)
    tokens = net.table(table), net.image(image)
    torch.testing.assert_close(net(image, table).logit, _read(net, *tokens))
    assert not torch.allclose(_read(net, *tokens), _read(net, *tokens[::-1]), atol=1e-3)


def test_a_missing_modality_shortens_the_sequence() -> None:
    net = _net()
    image, table, _ = samples(net, 4)
    only_table = net(image, table, _all(False), _all(True)).logit
    torch.testing.assert_close(only_table, _read(net, net.table(table)))
    only_image = net(image, table, _all(True), _all(False)).logit
    torch.testing.assert_close(only_image, _read(net, net.image(image)))


def test_mixed_batches_are_their_samples() -> None:
    net = _net()
    image, table, _ = samples(net, 4)
    has = torch.tensor([True, False, True, True]), torch.tensor([True, True, False, True])
    mixed = net(image, table, *has).logit
    for i in range(4):
        row = slice(i, i + 1)
        alone = net(image[row], table[row], has[0][row], has[1][row]).logit
        torch.testing.assert_close(mixed[row], alone)


def test_the_hidden_state_is_one_vector_a_sample() -> None:
    net = _net(hidden=40)
    assert net(*samples(net, 1)[:2]).parts["hidden"].shape == (1, 40)


def test_the_tables_lstm_starts_as_published() -> None:
    lstm = _net(tab_lstm=True).table[0].lstm
    for layer in range(2):
        recurrent = lstm.get_parameter(f"weight_hh_l{layer}")
        torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(16))
        assert not lstm.get_parameter(f"bias_ih_l{layer}").any()


def test_without_pretraining_there_is_one_step_and_no_spare_head() -> None:
    net = _net(pretrain=False)
    assert [step.name for step in net.steps] == ["fuse"]
    assert not hasattr(net, "table_head")
