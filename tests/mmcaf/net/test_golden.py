"""Agreement with numbers the authors' network computed, at full width and the paper's window.

Weights and inputs are rebuilt from a formula. The trunk, the clinical encoder and the fusion are
checked each on its own in every run; the whole network with its gradients takes half a minute.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.msca import MultiscaleAttention
from mmcaf.net.penet import PENetTrunk
from mmcaf.net.reference import load_reference, reference_name
from mmcaf.net.tabular import tabular_encoder

_FIXTURES = Path(__file__).parents[2] / "fixtures"
_CONFIG = ModelConfig(preset="reference")

Golden = dict[str, np.ndarray[Any, np.dtype[Any]]]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(_FIXTURES / "golden_A.npz") as arrays:
        return dict(arrays)


@pytest.fixture(autouse=True)
def _two_threads(_one_thread: None) -> None:
    torch.set_num_threads(2)


def _drawn(tag: str, *shape: int) -> Tensor:
    i = np.arange(np.prod(shape), dtype=np.float64)
    v = np.sin(12.9898 * i + 0.6180339887 * (crc32(tag.encode()) % 10007)) * 43758.5453
    return torch.from_numpy((v - np.floor(v)).reshape(shape))


def _entry(key: str, shape: list[int]) -> Tensor:
    """The value of the authors' entry `key`."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if key == "kan.mask":
        return torch.ones(shape)
    if key == "kan.grid":
        return torch.linspace(-2.2, 2.2, 12, dtype=torch.float64).expand(7, 12).float()
    u = _drawn(f"A/{key}", *shape)
    if key.endswith("running_var"):
        value = 1 + 0.5 * (u - 0.5)
    elif key.endswith(("running_mean", "bias")):
        value = 0.2 * (u - 0.5)
    elif key.startswith("kan."):
        value = u - 0.5
    elif len(shape) == 1:
        value = 1 + 0.4 * (u - 0.5)
    else:
        value = (u - 0.5) * np.sqrt(12 / np.prod(shape[1:]))
    return value.float()


def _volume() -> Tensor:
    return (_drawn("A/volume", 2, 1, 12, 192, 192) - 0.159).float()


def _table() -> Tensor:
    return _drawn("A/table", 2, 7).float()


def _weighted(module: nn.Module, prefix: str) -> Any:
    """`module` with the golden weights, in evaluation mode; `prefix` is its name in the network."""
    state = {
        key: _entry(reference_name(f"{prefix}.{key}"), list(value.shape))
        for key, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.eval()


def _assert_agrees(golden: Golden, probe: str, value: Tensor) -> None:
    """Within 1e-4 of the map's spread at every probed place, and in its mean and spread."""
    mean, std = golden[f"{probe}#mean"]
    shape, flat = golden[f"{probe}#shape"], value.detach().flatten().double()
    assert flat.numel() == shape.prod()
    places = torch.from_numpy(golden[f"{probe}#index"])
    np.testing.assert_allclose(flat[places], golden[probe], rtol=0, atol=1e-4 * std)
    assert flat.mean().item() == pytest.approx(mean, abs=1e-4 * std)
    assert flat.std().item() == pytest.approx(std, rel=1e-4)


def _tap(module: nn.Module, seen: dict[str, Tensor], probe: str) -> None:
    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen[probe] = output.detach()

    module.register_forward_hook(keep)


def test_the_trunk_agrees_at_every_stage(golden: Golden) -> None:
    trunk, seen = _weighted(PENetTrunk(_CONFIG), "trunk"), dict[str, Tensor]()
    _tap(trunk.stem, seen, "penet_stem")
    with torch.no_grad():
        stages = trunk(_volume())
    _assert_agrees(golden, "penet_stem", seen["penet_stem"])
    assert len(stages) == 3
    for number, stage in enumerate(stages, 1):
        _assert_agrees(golden, f"penet_stage{number}", stage)


def test_the_clinical_encoder_agrees(golden: Golden) -> None:
    encoder = _weighted(tabular_encoder(_CONFIG), "tabular")
    tokens = encoder(_table())
    assert tokens.shape == (2, 1, 24)
    _assert_agrees(golden, "kan", tokens)


def test_the_fusion_agrees_from_the_embeddings_on(golden: Golden) -> None:
    msca = _weighted(MultiscaleAttention(_CONFIG), "msca")
    head = _weighted(nn.Linear(24, 1), "head")
    image, table = (
        torch.empty(48, dtype=torch.float64).index_put(
            (torch.from_numpy(golden[f"{name}#index"]),), torch.from_numpy(golden[name])
        )
        for name in ("fc", "kan")
    )
    fused = msca(image.view(2, 1, 24).float(), table.view(2, 1, 24).float())
    _assert_agrees(golden, "msca", fused)
    np.testing.assert_allclose(head(fused).detach(), golden["logit"], atol=1e-5)


@pytest.fixture(scope="module")
def whole() -> MMCAFNet:
    shapes = json.loads((_FIXTURES / "reference_keys.json").read_text())
    used = {k: v for k, v in shapes.items() if "encoder.decoders" not in k and "asp_pool" not in k}
    model = load_reference({f"module.{k}": _entry(k, shape) for k, (shape, _) in used.items()})
    for parameter in model.parameters():
        parameter.requires_grad_(True)  # KAN's grid and mask too
    return model


@pytest.mark.slow
def test_the_whole_network_agrees_forward_and_backward(golden: Golden, whole: MMCAFNet) -> None:
    seen: dict[str, Tensor] = {}
    parts: dict[str, nn.Module] = {"fc": whole.project, "kan": whole.tabular, "msca": whole.msca}
    parts |= {f"dcfb{scale}": whole.pyramid.fusions[str(scale)] for scale in (1, 2, 3)}
    for scale in (1, 2):
        parts[f"ucb{scale}"] = whole.pyramid.ups[str(scale)]
        parts[f"bfpu{scale}"] = whole.fusions[str(scale)]
    for probe, part in parts.items():
        _tap(part, seen, probe)
    logits = whole(_volume(), _table())
    loss = F.binary_cross_entropy_with_logits(logits, torch.tensor([1.0, 0.0]))
    for probe, value in seen.items():
        _assert_agrees(golden, probe, value)
    np.testing.assert_allclose(logits.detach(), golden["logit"][:, 0], atol=1e-5)
    assert loss.item() == pytest.approx(golden["bce"].item(), abs=1e-5)
    torch.autograd.backward(loss)
    _assert_gradients_agree(golden, whole)


def _assert_gradients_agree(golden: Golden, model: MMCAFNet) -> None:
    errors = {}
    for name, parameter in model.named_parameters():
        norm = golden[f"gradnorm/{reference_name(name)}"].item()
        assert parameter.grad is not None
        errors[name] = abs(parameter.grad.norm().item() - norm) / (norm or 1)
    assert len(errors) == sum(key.startswith("gradnorm/") for key in golden) == 320
    assert max(errors.values()) < 1e-2, max(errors, key=errors.__getitem__)
    assert np.median(list(errors.values())) < 1e-3
