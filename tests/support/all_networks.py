"""Every network and variant the tests go through, with samples of what each reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmcaf.net.comparators.base import Comparator
from mmcaf.net.registry import NETWORKS, build, config_class


@dataclass(frozen=True)
class Case:
    """A network with some settings, what of it is required, and what of it cannot learn."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()  # parameters a step lists that get a gradient of exactly 0

    def config(self, **fields: Any) -> Any:
        return config_class(self.name)(**({"width": 1 / 16} | self.fields | fields))

    def build(self, seed: int = 0, **fields: Any) -> Comparator:
        torch.manual_seed(seed)
        return build(self.config(**fields)).eval()


_QUERY_KEY = tuple(f"attention.{p}.{k}" for p in ("query", "key") for k in ("weight", "bias"))
_RECURRENT = ("table.0.lstm.weight_hh_l0", "table.0.lstm.weight_hh_l1")
_SMALL_DRFUSE = {"dim": 16, "feed_forward": 32}
_IMAGE = {"required": ("image",), "ignores": ("table",)}
_TABLE = {"required": ("table",), "ignores": ("image",)}
_UNREAD_GATES = tuple(f"gates.{n}.image_gate.{k}" for n in (0, 1) for k in ("weight", "bias"))
_SQUEEZE = ("block.affine.squeeze.weight",)

CASES: dict[str, Case] = {
    "pecon-clip": Case("pecon"),
    "pecon-sup": Case("pecon", {"target": "sup", "late": "logit"}),
    "medfuse": Case("medfuse", {"token_dim": 16, "hidden": 24}),
    "medfuse-lstm": Case(
        "medfuse", {"token_dim": 16, "hidden": 24, "tab_lstm": True}, dead=_RECURRENT
    ),
    "medfuse-at-once": Case("medfuse", {"token_dim": 8, "pretrain": False}),
    "drfuse": Case("drfuse", _SMALL_DRFUSE),
    "drfuse-full": Case("drfuse", {**_SMALL_DRFUSE, "image": "full", "jsd": "sum1"}),
    "mmtm": Case("mmtm"),
    "mmtm-three": Case("mmtm", {"modules": "three", "trunk": "s3"}),
    "mmtm-three-frozen": Case("mmtm", {"modules": "three", "pretrain": False}),
    "mmtm-as-coded": Case(
        "mmtm",
        {"modules": "three", "gate_scale": 1.0, "ratio": 2, "forwarded": False},
        dead=_UNREAD_GATES,
    ),
    "pefusion": Case("pefusion"),
    "pefusion-nn": Case("pefusion", {"fusion": "late_nn"}),
    "pefusion-joint": Case("pefusion", {"fusion": "joint", "nodes": 16}),
    "pefusion-early": Case("pefusion", {"fusion": "early", "activation": "tanh"}),
    "daft": Case("daft", {"inputs": 16}, ("image",), dead=_SQUEEZE),
    "daft-plain": Case("daft", {"inputs": 16, "identity_init": False}, ("image",)),
    "daft-shipped": Case("daft", {"form": "shipped"}, ("image",)),
    "penet": Case("penet", {}, **_IMAGE),
    "penet_msca": Case("penet_msca", {"drop": False}, **_IMAGE),
    "penet_msca-drop": Case("penet_msca", {}, **_IMAGE),
    "cross_attention": Case("cross_attention", {}, dead=_QUERY_KEY),
    "cross_attention-linear": Case("cross_attention", {"attention": "linear"}),
    "clip_fusion": Case("clip_fusion"),
    "late_fusion": Case("late_fusion"),
    "late_fusion-concat": Case("late_fusion", {"form": "concat", "tabular": "mlp"}),
    "kan": Case("kan", {}, **_TABLE),
    "mlp": Case("mlp", {}, **_TABLE),
    "logistic": Case("logistic", {}, **_TABLE),
}


def _of_defaults(name: str) -> Case:
    """A network nobody has listed above, as it says of itself."""
    net = Case(name).build()
    ignores = ("image",) if net.reads == "none" else ()
    return Case(name, required=net.required, ignores=ignores)


_LISTED = {case.name for case in CASES.values()} | {"mmcaf_net"}  # which is no comparator
CASES |= {
    name: _of_defaults(name)
    for name, network in NETWORKS.items()
    if name not in _LISTED and not any(row.needs for row in network.rows)
}

_SHAPES = {
    "none": (0,),
    "pooled": (64,),
    "middle": (32, 3, 4, 4),
    "deepest": (64, 2, 3, 3),
    "embedding": (24,),
    "window": (1, 4, 16, 16),
}


def samples(net: Comparator, batch: int, seed: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Image as the network reads it, table, and labels of both classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, *_SHAPES[net.reads], generator=generator)
    table = torch.rand(batch, 7, generator=generator) * 2 - 1
    return image, table, (torch.arange(batch) % 2).float()
