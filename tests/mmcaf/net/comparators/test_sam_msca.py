"""SAM's encoder from the user's file: a tiny SAM stands in, written as transformers writes one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmcaf.errors import DataError
from mmcaf.net.comparators.sam_msca import SamMscaConfig
from mmcaf.net.comparators.sam_msca.network import SamMSCA, load_encoder
from mmcaf.stats.areas import auroc

sam = pytest.importorskip("transformers.models.sam", reason="the extra `sam` is not installed")

TINY = {
    "hidden_size": 16,
    "mlp_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "window_size": 3,
    "global_attn_indexes": [1],
    "output_channels": 8,
    "initializer_range": 0.3,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    model = sam.modeling_sam.SamVisionModel(sam.configuration_sam.SamVisionConfig(**TINY))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "pos" in name:  # zeros as they are drawn, learnt by everyone's SAM
                parameter.normal_(std=0.3)
    folder = tmp_path_factory.mktemp("sam")
    model.save_pretrained(folder)
    return str(folder)


def _net(weights: str, **fields: Any) -> SamMSCA:
    torch.manual_seed(1)
    return SamMSCA(SamMscaConfig(width=1 / 16, weights=weights, **fields)).eval()


def _window(batch: int = 2, windows: int = 1, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(batch, windows, 4, size, size, generator=generator)


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("bf16", [False, True])
def test_windows_of_any_kind_give_logits(
    weights: str, batch: int, windows: int, bf16: bool
) -> None:
    net = _net(weights)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = net(_window(batch, windows, size=40), torch.zeros(batch, 7))
        loss = net.loss(output, torch.ones(batch), "train")
    assert output.logit.shape == (batch,)
    assert loss.isfinite()


def test_tokens_are_those_of_transformers(weights: str) -> None:
    net, window = _net(weights), _window()
    slices = window.transpose(1, 2).flatten(0, 1).expand(-1, 3, -1, -1)
    expected = net.encoder(slices).last_hidden_state
    tokens = net.encoded(window).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(net.encoder.neck(tokens.permute(0, 2, 3, 1)), expected)


def test_the_published_size_has_the_trunks_maps(weights: str) -> None:
    net, shapes = _net(weights), []
    for branch in net.branches:
        branch.register_forward_hook(lambda _, args, out: shapes.append(tuple(out.shape[1:])))
    net(torch.zeros(1, 1, 12, 192, 192), torch.zeros(1, 7))
    assert shapes == [(16, 6, 48, 48), (32, 3, 24, 24), (64, 2, 12, 12)]


def test_slices_are_encoded_by_themselves(weights: str) -> None:
    net, window, order = _net(weights), _window(), torch.tensor([2, 0, 3, 1])
    permuted = net.encoded(window[:, :, order])
    torch.testing.assert_close(permuted, net.encoded(window)[:, :, order])
    assert not torch.allclose(net.encoded(window)[:, :, 0], net.encoded(window)[:, :, 1])


def test_no_logit_depends_on_its_neighbours(weights: str) -> None:
    net, window, table = _net(weights), _window(4), torch.zeros(4, 7)
    alone = torch.cat([net(window[i : i + 1], table[:1]).logit for i in range(4)])
    torch.testing.assert_close(net(window, table).logit, alone, rtol=1e-4, atol=1e-5)


def test_an_image_is_required(weights: str) -> None:
    has = torch.tensor([True, False])
    with pytest.raises(ValueError, match="Need the image of every sample, got none at position 1"):
        _net(weights)(_window(), torch.zeros(2, 7), has)


def test_the_encoder_is_frozen(weights: str) -> None:
    net, given = _net(weights), load_encoder(weights).state_dict()
    net.enter("train")
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net.loss(net(_window(), torch.zeros(2, 7)), torch.tensor([0.0, 1.0]), "train").backward()
    optimizer.step()
    assert not net.encoder.training
    assert all(torch.equal(v, given[k]) for k, v in net.encoder.state_dict().items())
    learning = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning == {n for n, _ in net.named_parameters() if not n.startswith("encoder.")}


def test_sixteen_samples_are_learnt_by_heart(weights: str) -> None:
    net, window, table = _net(weights, drop=False), _window(16, size=32), torch.zeros(16, 7)
    label = (torch.arange(16) % 2).float()
    net.enter("train")
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    found = []
    while len(found) < 20 and 1.0 not in found:
        for _ in range(10):
            optimizer.zero_grad()
            net.loss(net(window, table), label, "train").backward()
            optimizer.step()
        scores = net.eval()(window, table).logit.detach().numpy()
        found.append(auroc(label.numpy(), scores))
        net.train()
    assert found[-1] == 1.0


def test_without_drop_nothing_is_dropped(weights: str) -> None:
    net = _net(weights, drop=False)
    assert {m.p for m in net.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}


def test_a_whole_sam_will_do(weights: str, tmp_path: Path) -> None:
    said = json.loads((Path(weights) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({"vision_config": said}))
    tensors = load_file(Path(weights) / "model.safetensors")
    save_file({**tensors, "mask_decoder.x": torch.ones(1)}, tmp_path / "model.safetensors")
    assert torch.equal(_net(str(tmp_path)).encoded(_window()), _net(weights).encoded(_window()))


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_without_weights_the_row_is_not_reproducible(folder: str | None) -> None:
    with pytest.raises(DataError, match=f"not reproducible here: need model.weights.*{folder}"):
        SamMSCA(SamMscaConfig(weights=folder))


def test_weights_of_something_else_are_refused(weights: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((Path(weights) / "config.json").read_text())
    tensors = load_file(Path(weights) / "model.safetensors")
    tensors.pop("vision_encoder.pos_embed")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=r"holds no vision encoder of SAM: (.|\n)*pos_embed"):
        load_encoder(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(DataError, match="Cannot read SAM from"):
        load_encoder(str(tmp_path))
