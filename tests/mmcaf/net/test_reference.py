"""The authors' weights: which names are translated, dropped, or refused, and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmcaf.errors import DataError
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.reference import load_reference, reference_name

_KEYS = Path(__file__).parents[2] / "fixtures" / "reference_keys.json"


def _entries() -> dict[str, Tensor]:
    """The authors' 461 entries, each one stored number shown at every place of its shape."""
    return {
        key: torch.tensor(i % 7, dtype=getattr(torch, dtype)).expand(shape)
        for i, (key, (shape, dtype)) in enumerate(json.loads(_KEYS.read_text()).items())
    }


def _names(**overrides: Any) -> list[str]:
    with torch.device("meta"):
        return list(MMCAFNet(ModelConfig(preset="reference", **overrides)).state_dict())


def test_our_names_are_386_of_theirs() -> None:
    theirs = [reference_name(name) for name in _names()]
    assert len(set(theirs)) == len(theirs) == 386
    assert set(theirs) <= set(_entries())


def test_full_width_has_the_published_parameters() -> None:
    with torch.device("meta"):
        model = MMCAFNet(ModelConfig(preset="reference"))
    assert sum(p.numel() for p in model.parameters()) == 89_267_539


def test_a_part_of_our_own_has_no_name_there() -> None:
    with pytest.raises(ValueError, match=r"no counterpart of 'fusions.1.merge.weight'"):
        reference_name("fusions.1.merge.weight")


def _without(*dropped: str) -> dict[str, Tensor]:
    return {key: value for key, value in _entries().items() if key not in dropped}


def test_missing_entries_are_listed() -> None:
    with pytest.raises(DataError, match=r"(?s)2 entries.*missing: fin_cls.bias\nmissing: kan.coef"):
        load_reference(_without("kan.coef", "fin_cls.bias"))


def test_unknown_and_misshapen_entries_are_listed_with_the_missing() -> None:
    state = _without("kan.mask") | {"extra": torch.zeros(1), "kan.coef": torch.zeros(7, 24, 9)}
    with pytest.raises(DataError) as caught:
        load_reference(state)
    assert str(caught.value).splitlines()[1:] == [
        "missing: kan.mask",
        "unexpected: extra",
        "wrong shape: kan.coef is [7, 24, 9], need [7, 24, 8]",
    ]


def test_what_is_no_tensor_is_named() -> None:
    with pytest.raises(DataError, match=r"no tensor: kan\.grid is a list"):
        load_reference({**_entries(), "kan.grid": [1.0]})


def test_a_head_for_48_values_is_refused_with_the_reason() -> None:
    state = _entries() | {"fin_cls.weight": torch.zeros(1, 48)}
    with pytest.raises(DataError, match="head for 48 values while its fusion returns 24"):
        load_reference(state)


def test_a_checkpoint_of_several_gpus_is_known_by_its_prefix() -> None:
    state = {f"module.{key}": value for key, value in _without("kan.grid").items()}
    with pytest.raises(DataError, match=r"(?s)structure\.\nmissing: kan\.grid$"):
        load_reference(state)
