"""Loads the weights of the authors' own network into ours, or says exactly why not.

Each module of ours has one counterpart in theirs, under another name. Parts of their class that
never influence the fused output (decoders, ASPP, single-modality heads) are accepted and dropped.
Nothing is read from disk here: `torch.load(path, weights_only=True)` gives the entries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmcaf.errors import DataError
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet

__all__ = ["load_reference", "reference_name"]

_DROPPED = re.compile(
    r"(image_encoder\.(encoder\.(asp_pool|decoders|out_conv)|fused_cls)|tab_cls|img_cls)\."
)
_BLOCK_PARTS = {
    "shortcut": "down_sample",
    "excitation.squeeze": "se_block.excite.0",
    "excitation.excite": "se_block.excite.2",
}


def _image_modules() -> dict[str, str]:
    """Our names of the image encoder's modules -> the authors'."""
    there = "image_encoder"
    names = {
        "trunk.stem.conv": f"{there}.encoder.in_conv.0",
        "trunk.stem.norm": f"{there}.encoder.in_conv.1",
        "pyramid.spatial_gate": f"{there}.sab",
        "project": f"{there}.fc",
    }
    for scale in (1, 2, 3):
        names |= {
            f"pyramid.entries.{scale}": f"{there}.scale{scale}",
            f"pyramid.channel_gates.{scale}.squeeze": f"{there}.cab{scale}.fc1",
            f"pyramid.channel_gates.{scale}.excite": f"{there}.cab{scale}.fc2",
            f"pyramid.fusions.{scale}.expand": f"{there}.dcfb{scale}.pconv1",
            f"pyramid.fusions.{scale}.branches": f"{there}.dcfb{scale}.msdc.dwconvs",
            f"pyramid.fusions.{scale}.reduce": f"{there}.dcfb{scale}.pconv2",
            f"pyramid.ups.{scale}.depthwise": f"{there}.ucb{scale}.up_dwc.1",
            f"pyramid.ups.{scale}.norm": f"{there}.ucb{scale}.up_dwc.2",
            f"pyramid.ups.{scale}.pointwise": f"{there}.ucb{scale}.pwc.0",
            f"fusions.{scale}.deep_conv": f"{there}.bfpu{scale}.query_conv",
            f"fusions.{scale}.shallow_conv": f"{there}.bfpu{scale}.key_conv",
            f"fusions.{scale}.match": f"{there}.bfpu{scale}.adjust_c",
            f"fusions.{scale}.deep_maps": f"{there}.bfpu{scale}.gamma1",
            f"fusions.{scale}.shallow_maps": f"{there}.bfpu{scale}.gamma2",
        }
    return names


def _table_modules() -> dict[str, str]:
    """Our names of the other modules -> the authors', who count from 1."""
    there = "multiscale_fusion"
    names = {
        "tabular.layers.0": "kan",
        "msca.norms.image": f"{there}.norm_img",
        "msca.norms.table": f"{there}.norm_tab",
        "head": "fin_cls",
    }
    for i in range(3):
        for part in ("query", "key", "value"):
            names[f"msca.attention.{i}.{part}"] = f"{there}.cross_attention{i + 1}.{part[0]}_proj"
    for i in range(2):
        names |= {
            f"msca.narrow.{i}": f"{there}.down{i + 1}.0",
            f"msca.carry.image.{i}": f"{there}.sample_img{i + 1}",
            f"msca.carry.table.{i}": f"{there}.sample_tab{i + 1}",
            f"msca.fusions.{i}.wide": f"{there}.SF{i + 1}.fc1x",
            f"msca.fusions.{i}.narrow": f"{there}.SF{i + 1}.fc1y",
        }
    return names


_MODULES = _image_modules() | _table_modules()


def reference_name(key: str) -> str:
    """What the authors' network calls the entry `key` of our state dict."""
    if match := re.match(r"trunk\.stages\.(\d)\.(\d)\.(.*)", key):
        stage, block, part = match.groups()
        for ours, theirs in _BLOCK_PARTS.items():
            if part.startswith(f"{ours}."):
                part = theirs + part.removeprefix(ours)
        return f"image_encoder.encoder.encoders.{stage}.penet_blocks.{block}.{part}"
    module = key
    while module not in _MODULES:
        module = module.rpartition(".")[0]
        if not module:
            raise ValueError(f"The authors' network has no counterpart of {key!r}.")
    return _MODULES[module] + key.removeprefix(module)


def load_reference(state_dict: Mapping[str, Any]) -> MMCAFNet:
    """The `reference` network with the weights of an authors' state dict, in evaluation mode.

    Keys may start with `module.`, as a network wrapped for several GPUs saves them.

    Raises:
        DataError: entries are missing, unknown or of another shape; the message lists them all.
    """
    given = {key.removeprefix("module."): value for key, value in state_dict.items()}
    given = {key: value for key, value in given.items() if not _DROPPED.match(key)}
    with torch.device("meta"):  # names and shapes; no time or memory for weights to be replaced
        model = MMCAFNet(ModelConfig(preset="reference"))
    wanted = {reference_name(key): (key, value) for key, value in model.state_dict().items()}
    faults = [f"missing: {key}" for key in wanted if key not in given]
    faults += [f"unexpected: {key}" for key in given if key not in wanted]
    for key in given.keys() & wanted.keys():
        if fault := _misfit(key, given[key], wanted[key][1]):
            faults.append(fault)
    if faults:
        raise DataError(
            f"These are not the weights of the reference MMCAF-Net; {len(faults)} entries do not "
            "fit. Give the model_state of a network of that structure.\n"
            + "\n".join(sorted(faults))
        )
    weights = {
        ours: torch.empty_like(value, device="cpu").copy_(given[theirs])
        for theirs, (ours, value) in wanted.items()
    }
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _misfit(key: str, given: object, wanted: Tensor) -> str | None:
    if not isinstance(given, Tensor):
        return f"no tensor: {key} is a {type(given).__name__}"
    if given.shape == wanted.shape:
        return None
    fault = f"wrong shape: {key} is {list(given.shape)}, need {list(wanted.shape)}"
    if key == "fin_cls.weight" and list(given.shape) == [1, 48]:
        fault += (
            " (the published class declares a head for 48 values while its fusion returns 24, so"
            " it cannot run as published; a checkpoint of the repaired class has 24)"
        )
    return fault
