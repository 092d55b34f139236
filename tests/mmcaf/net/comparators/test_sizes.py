"""Parameters at full width, as `specs/comparators.md` counts them; nothing is computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import ImageSide
from mmcaf.net.penet import ASPP, PENetTrunk
from support.all_networks import CASES

PARTS: list[tuple[str, dict[str, Any], tuple[str, ...], int]] = [
    ("pecon-clip", {}, ("image",), 689_024),
    ("pecon-clip", {}, ("table",), 17_536),
    ("pecon-clip", {}, ("",), 707_077),
    ("medfuse", {"token_dim": 256, "hidden": 512}, ("table", "image", "lstm", "head"), 1_907_713),
    ("medfuse", {"token_dim": 64, "hidden": 128}, ("table", "image", "lstm", "head"), 169_729),
    ("drfuse", {"dim": 256, "feed_forward": 2048}, ("",), 5_000_708),
    ("drfuse", {"dim": 64, "feed_forward": 256}, ("",), 315_524),
    ("drfuse", {"dim": 256, "feed_forward": 2048}, ("table.layers.0",), 1_315_072),
    ("drfuse-full", {"dim": 256, "feed_forward": 2048}, ("image.stages",), 2 * 8_700_288),
    ("mmtm", {}, ("",), 863_938),
    ("mmtm", {}, ("table",), 41_856),
    ("mmtm-three", {}, ("gates.0",), 51_600),
    ("mmtm-three", {}, ("gates.1",), 205_600),
    ("mmtm-three", {}, ("gates.2",), 820_800),
    ("mmtm-three", {}, ("table", "gates", "image_head", "table_head"), 1_121_138),
    ("pefusion", {}, ("table",), 8),
    ("daft", {"inputs": 64}, ("",), 741_959),
    ("daft", {"inputs": 64}, ("block.affine",), 3_910),
    ("daft-shipped", {}, ("",), 56_854),
    ("daft-shipped", {"location": 3, "bottleneck": 3}, ("",), 56_714),
    ("penet", {}, ("trunk",), 10_502_896),
    ("penet", {}, ("head.aspp",), 8_063_232),
    ("cross_attention", {}, ("attention",), 1_800),
    ("cross_attention", {}, ("image_norm", "table_norm"), 96),
    ("cross_attention", {}, ("head",), 25),
    ("kan", {}, ("tabular",), 1_680),
    ("mlp", {}, ("tabular",), 792),
    ("logistic", {}, ("",), 8),
]


def _count(net: torch.nn.Module, prefixes: tuple[str, ...]) -> int:
    return sum(
        p.numel()
        for name, p in net.named_parameters()
        if p.requires_grad and any(not k or f"{name}.".startswith(f"{k}.") for k in prefixes)
    )


@pytest.mark.parametrize(("case", "fields", "prefixes", "expected"), PARTS, ids=str)
def test_full_width_has_the_published_size(
    case: str, fields: dict[str, Any], prefixes: tuple[str, ...], expected: int
) -> None:
    with torch.device("meta"):
        net = CASES[case].build(width=1.0, **fields)
    assert _count(net, prefixes) == expected


@pytest.mark.parametrize(
    ("case", "shape"),
    [
        ("pecon-clip", (1024,)),
        ("medfuse", (1024,)),
        ("drfuse", (1024,)),
        ("pefusion-joint", (1024,)),
        ("pefusion", (1024, 2, 12, 12)),
        ("mmtm", (1024, 2, 12, 12)),
        ("daft", (1024, 2, 12, 12)),
        ("drfuse-full", (512, 3, 24, 24)),
    ],
)
def test_full_width_reads_the_papers_maps(case: str, shape: tuple[int, ...]) -> None:
    net = CASES[case].build(width=1.0)
    with torch.no_grad():
        logit = net(torch.zeros(1, *shape), torch.zeros(1, 7)).logit
    assert logit.shape == (1,)
    assert logit.isfinite().all()


def test_the_pyramid_has_the_published_size() -> None:
    with torch.device("meta"):
        side = ImageSide(ModelConfig(preset="reference"))
    assert _count(side, ("pyramid.spatial_gate",)) == 686
    gates = [_count(side, (f"pyramid.channel_gates.{scale}",)) for scale in (1, 2, 3)]
    assert gates == [8_192, 32_768, 131_072]
    assert _count(side.fusions, ("2",)) == 57_371_652
    assert _count(side.fusions, ("1",)) == 14_398_980
    parts = (
        "pyramid.channel_gates",
        "pyramid.spatial_gate",
        "pyramid.fusions",
        "pyramid.ups",
        "fusions",
    )
    assert _count(side, parts) == 78_729_654


def test_the_trunk_has_the_published_size() -> None:
    with torch.device("meta"):
        trunk, aspp = PENetTrunk(ModelConfig()), ASPP(ModelConfig())
    assert [_count(stage, ("",)) for stage in trunk.stages] == [258_864, 1_477_760, 8_700_288]
    assert _count(trunk.stem, ("",)) == 65_984
    assert _count(aspp, ("",)) == 8_063_232
