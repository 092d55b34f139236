"""Cross-attention and the fusion of scales against short formulae of their own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmcaf.net.config import Attention, ModelConfig
from mmcaf.net.msca import CrossAttention, MultiscaleAttention, ScaleFusion

Array = np.ndarray[Any, np.dtype[np.float64]]
Scramble = Callable[[nn.Module], Any]


def _tokens(count: int, width: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, count, width, generator=generator, dtype=torch.float64)


def _linear(x: Array, layer: Any) -> Array:
    out: Array = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    return out


def _softmax(x: Array) -> Array:
    e = np.exp(x)
    out: Array = e / e.sum(-1, keepdims=True)
    return out


@pytest.mark.parametrize("kind", ["softmax", "linear"])
@pytest.mark.parametrize("heads", [1, 2, 6])
def test_attention_is_that_of_the_paper(scrambled: Scramble, kind: Attention, heads: int) -> None:
    layer = scrambled(CrossAttention(12, heads, kind))
    tokens = _tokens(5, 12), _tokens(7, 12, seed=2)
    both = layer(*tokens)
    for b, own in product(range(3), (0, 1)):
        x, y = tokens[own][b].numpy(), tokens[1 - own][b].numpy()
        q, k, v = _linear(x, layer.query), _linear(y, layer.key), _linear(y, layer.value)
        found = []
        for columns in np.split(np.arange(12), heads):
            scores = q[:, columns] @ k[:, columns].T / np.sqrt(12)
            found.append((_softmax(scores) if kind == "softmax" else scores) @ v[:, columns])
        expected = x + np.concatenate(found, 1)
        np.testing.assert_allclose(both[own][b].detach(), expected, rtol=1e-10)


@pytest.mark.parametrize("out", ["sum", "concat"])
def test_fusion_amplifies_where_both_agree(scrambled: Scramble, out: Any) -> None:
    layer = scrambled(ScaleFusion(6, out))
    wide, narrow = _tokens(1, 6)[:, 0], _tokens(1, 3)[:, 0]
    a, b = _linear(wide.numpy(), layer.wide), _linear(narrow.numpy(), layer.narrow)
    w = _softmax(a * b)
    terms = (a + w * a, b + w * b)
    expected = sum(terms) if out == "sum" else np.concatenate(terms, 1)
    np.testing.assert_allclose(layer(wide, narrow).detach(), expected, rtol=1e-12)


def _msca(scrambled: Scramble, **overrides: Any) -> Any:
    return scrambled(MultiscaleAttention(ModelConfig(preset="paper", **overrides)))


def _both_ways(attention: Any, image: Array, table: Array) -> tuple[Array, Array]:
    """The module's own attention, proven above, on arrays."""
    found = attention(torch.from_numpy(image), torch.from_numpy(table))
    return found[0].detach().numpy(), found[1].detach().numpy()


def test_scales_are_chained_carried_and_averaged(scrambled: Scramble) -> None:
    msca = _msca(scrambled)
    tokens = {"image": _tokens(18, 24), "table": _tokens(7, 24, seed=2)}
    x = {}
    for name, value in tokens.items():
        s = {k: v.numpy() for k, v in msca.norms[name].state_dict().items()}
        scaled = (value.numpy() - s["running_mean"]) / np.sqrt(s["running_var"] + 1e-5)
        x[name] = scaled * s["weight"] + s["bias"]
    full = _both_ways(msca.attention[0], x["image"], x["table"])
    attended, pooled = full, [(full[0].mean(1) + full[1].mean(1)) / 2]
    for step in range(2):
        inputs = [
            np.maximum(_linear(x[name], msca.narrow[step]), 0)
            + _linear(carried, msca.carry[name][step])
            for name, carried in zip(("image", "table"), attended, strict=True)
        ]
        attended = _both_ways(msca.attention[step + 1], *inputs)
        pooled.append((attended[0].mean(1) + attended[1].mean(1)) / 2)
    full_, half, quarter = (torch.from_numpy(p) for p in pooled)
    expected = msca.fusions[1](full_, msca.fusions[0](half, quarter))
    torch.testing.assert_close(msca(tokens["image"], tokens["table"]), expected)


def test_equal_tokens_count_as_one(scrambled: Scramble) -> None:
    msca, image, table = _msca(scrambled), _tokens(1, 24), _tokens(1, 24, seed=2)
    many = msca(image.expand(-1, 18, -1), table.expand(-1, 7, -1))
    torch.testing.assert_close(many, msca(image, table))


def test_the_order_of_tokens_is_of_no_matter(scrambled: Scramble) -> None:
    msca, image, table = _msca(scrambled), _tokens(18, 24), _tokens(7, 24, seed=2)
    torch.testing.assert_close(msca(image.flip(1), table.flip(1)), msca(image, table))


@pytest.mark.parametrize(("out", "width"), [("sum", 24), ("concat", 48)])
def test_only_the_last_fusion_may_be_wide(scrambled: Scramble, out: str, width: int) -> None:
    msca = _msca(scrambled, bsf_out=out)
    assert msca.out_dim == width
    assert msca(_tokens(2, 24), _tokens(7, 24)).shape == (3, width)


def test_other_embeddings_are_possible(scrambled: Scramble) -> None:
    msca = _msca(scrambled, embedding_dim=32, heads=(8, 4, 2))
    assert msca(_tokens(2, 32), _tokens(7, 32)).shape == (3, 32)


def test_exchanging_the_modalities_changes_what_is_their_own_alone(scrambled: Scramble) -> None:
    msca = _msca(scrambled)
    image, table = _tokens(1, 24), _tokens(1, 24, seed=2)
    assert not torch.allclose(msca(image, table), msca(table, image))
    for part in (msca.norms, msca.carry):  # batch norm and the layers between scales
        part["table"].load_state_dict(part["image"].state_dict())
    torch.testing.assert_close(msca(image, table), msca(table, image))
