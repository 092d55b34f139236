"""Every network and variant the tests go through, with samples of what each reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmcaf.net.comparators.ablation_configs import (
    ClipFusionConfig,
    CrossAttentionConfig,
    KanConfig,
    LateFusionConfig,
    LogisticConfig,
    MlpConfig,
    PenetConfig,
    PenetMscaConfig,
)
from mmcaf.net.comparators.base import Comparator
from mmcaf.net.comparators.daft import DAFT
from mmcaf.net.comparators.drfuse import DrFuse
from mmcaf.net.comparators.fusions import ClipFusion, CrossAttentionFusion, LateFusion
from mmcaf.net.comparators.medfuse import MedFuse
from mmcaf.net.comparators.method_configs import (
    DaftConfig,
    DrfuseConfig,
    MedfuseConfig,
    MmtmConfig,
    PeconConfig,
    PefusionConfig,
)
from mmcaf.net.comparators.mmtm import MMTM
from mmcaf.net.comparators.pecon import PECon
from mmcaf.net.comparators.pefusion import pefusion
from mmcaf.net.comparators.single_modality import Logistic, PENet, PENetMSCA, TableAlone


@dataclass(frozen=True)
class Case:
    """A network, what of it is required, and what of it cannot learn."""

    make: Callable[[Any], Comparator]
    config: Callable[..., Any]
    fields: dict[str, Any]
    required: tuple[str, ...] = ()
    ignores: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()  # parameters a step lists that get a gradient of exactly 0

    def build(self, seed: int = 0, **fields: Any) -> Comparator:
        torch.manual_seed(seed)
        return self.make(self.config(**({"width": 1 / 16} | self.fields | fields))).eval()


_QUERY_KEY = tuple(f"attention.{p}.{k}" for p in ("query", "key") for k in ("weight", "bias"))
_RECURRENT = ("table.0.lstm.weight_hh_l0", "table.0.lstm.weight_hh_l1")
_SMALL_DRFUSE = {"dim": 16, "feed_forward": 32}
_IMAGE = {"required": ("image",), "ignores": ("table",)}
_TABLE = {"required": ("table",), "ignores": ("image",)}
_UNREAD_GATES = tuple(f"gates.{n}.image_gate.{k}" for n in (0, 1) for k in ("weight", "bias"))
_SQUEEZE = ("block.affine.squeeze.weight",)

CASES: dict[str, Case] = {
    "pecon-clip": Case(PECon, PeconConfig, {}),
    "pecon-sup": Case(PECon, PeconConfig, {"target": "sup", "late": "logit"}),
    "medfuse": Case(MedFuse, MedfuseConfig, {"token_dim": 16, "hidden": 24}),
    "medfuse-lstm": Case(
        MedFuse, MedfuseConfig, {"token_dim": 16, "hidden": 24, "tab_lstm": True}, dead=_RECURRENT
    ),
    "medfuse-at-once": Case(MedFuse, MedfuseConfig, {"token_dim": 8, "pretrain": False}),
    "drfuse": Case(DrFuse, DrfuseConfig, _SMALL_DRFUSE),
    "drfuse-full": Case(DrFuse, DrfuseConfig, {**_SMALL_DRFUSE, "image": "full", "jsd": "sum1"}),
    "mmtm": Case(MMTM, MmtmConfig, {}),
    "mmtm-three": Case(MMTM, MmtmConfig, {"modules": "three", "trunk": "s3"}),
    "mmtm-three-frozen": Case(MMTM, MmtmConfig, {"modules": "three", "pretrain": False}),
    "mmtm-as-coded": Case(
        MMTM,
        MmtmConfig,
        {"modules": "three", "gate_scale": 1.0, "ratio": 2, "forwarded": False},
        dead=_UNREAD_GATES,
    ),
    "pefusion": Case(pefusion, PefusionConfig, {}),
    "pefusion-nn": Case(pefusion, PefusionConfig, {"fusion": "late_nn"}),
    "pefusion-joint": Case(pefusion, PefusionConfig, {"fusion": "joint", "nodes": 16}),
    "pefusion-early": Case(pefusion, PefusionConfig, {"fusion": "early", "activation": "tanh"}),
    "daft": Case(DAFT, DaftConfig, {"inputs": 16}, ("image",), dead=_SQUEEZE),
    "daft-plain": Case(DAFT, DaftConfig, {"inputs": 16, "identity_init": False}, ("image",)),
    "daft-shipped": Case(DAFT, DaftConfig, {"form": "shipped"}, ("image",)),
    "penet": Case(PENet, PenetConfig, {}, **_IMAGE),
    "penet_msca": Case(PENetMSCA, PenetMscaConfig, {"drop": False}, **_IMAGE),
    "penet_msca-drop": Case(PENetMSCA, PenetMscaConfig, {}, **_IMAGE),
    "cross_attention": Case(CrossAttentionFusion, CrossAttentionConfig, {}, dead=_QUERY_KEY),
    "cross_attention-linear": Case(
        CrossAttentionFusion, CrossAttentionConfig, {"attention": "linear"}
    ),
    "clip_fusion": Case(ClipFusion, ClipFusionConfig, {}),
    "late_fusion": Case(LateFusion, LateFusionConfig, {}),
    "late_fusion-concat": Case(LateFusion, LateFusionConfig, {"form": "concat", "tabular": "mlp"}),
    "kan": Case(TableAlone, KanConfig, {}, **_TABLE),
    "mlp": Case(TableAlone, MlpConfig, {}, **_TABLE),
    "logistic": Case(Logistic, LogisticConfig, {}, **_TABLE),
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
