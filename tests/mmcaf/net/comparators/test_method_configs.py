"""Configs of the comparators: defaults, what is refused with which words, and no torch."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from mmcaf.net.comparators import ablation_configs as ablation_config
from mmcaf.net.comparators import method_configs as config
from mmcaf.net.comparators.base_config import NetworkConfig

CONFIGS: list[type[NetworkConfig]] = [
    getattr(module, name) for module in (config, ablation_config) for name in module.__all__
]


@pytest.mark.parametrize("kind", CONFIGS)
def test_defaults_are_right_and_no_two_share_a_name(kind: type[NetworkConfig]) -> None:
    built = kind()  # type: ignore[call-arg]  # each gives its own name
    assert [other for other in CONFIGS if other().name == built.name] == [kind]  # type: ignore[call-arg]
    assert hash(built) == hash(kind(width=1))  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_has_no_effect_is_a_field(kind: type[NetworkConfig]) -> None:
    built = kind()  # type: ignore[call-arg]
    assert all(hasattr(built, name) for name in built.without_effect())


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (
            config.PeconConfig,
            {"target": "simclr"},
            "target: need one of clip, sup, got 'simclr'",
        ),
        (config.PeconConfig, {"name": "daft"}, "name: need pecon, got 'daft'"),
        (config.PeconConfig, {"hidden": [512]}, "hidden: need a list of 2 whole numbers"),
        (config.PeconConfig, {"image_dropout": True}, "image_dropout: need a number from 0"),
        (config.PeconConfig, {"image_dropout": float("nan")}, "got nan"),
        (config.MedfuseConfig, {"tab_lstm": 1}, "tab_lstm: need true or false, got 1"),
        (config.MedfuseConfig, {"width": 0.3}, "width: need one of 0.0625"),
        (config.MedfuseConfig, {"hidden": 0}, "hidden: need a whole number from 1 to 2048"),
        (config.DrfuseConfig, {"heads": 3}, "heads: need a divisor of dim 256, got 3"),
        (config.MmtmConfig, {"trunk": "s3"}, "trunk: need frozen with modules: last"),
        (config.DaftConfig, {"activation": "sigmoid"}, "activation: need linear or tanh"),
        (config.PefusionConfig, {"class_weight": 1}, "need one of none, balanced, or null, got 1"),
        (config.DaftConfig, {"location": 5}, "location: need a whole number from 0 to 4"),
        (ablation_config.PenetMscaConfig, {"kernel_sizes": [2]}, "kernel_sizes: need some of"),
        (
            ablation_config.CrossAttentionConfig,
            {"heads": 5},
            "heads: need a divisor of embedding_dim 24, got 5",
        ),
        (
            ablation_config.KanConfig,
            {"embedding_dim": 10},
            "a multiple of 4 from 4 to 1024, got 10",
        ),
        (
            ablation_config.SamMscaConfig,
            {"weights": ""},
            "weights: need a text that is not empty, or null",
        ),
    ],
)
def test_a_wrong_field_is_named(kind: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**wrong)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="target: need one of clip, sup, got 'x'") as caught:
        config.PeconConfig(target="x", late="y", width=3)  # type: ignore[arg-type]
    assert len(str(caught.value).split("\n")) == 3


def test_what_does_nothing_is_told() -> None:
    late, early = config.PefusionConfig(), config.PefusionConfig(fusion="early")
    assert {"nodes", "layers", "activation", "dropout"} == late.without_effect().keys()
    assert {"strength", "l1_ratio", "class_weight", "image_weight"} == early.without_effect().keys()
    assert "forwarded" in config.MmtmConfig().without_effect()
    assert not config.MmtmConfig(modules="three").without_effect()
    assert "heads" in ablation_config.CrossAttentionConfig().without_effect()
    assert not ablation_config.CrossAttentionConfig(attention="linear").without_effect()


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys, mmcaf.net.comparators.method_configs, mmcaf.net.comparators.ablation_configs; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
