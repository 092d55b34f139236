"""Configs of the comparators: defaults, what is refused with which words, and no torch."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter

from mmcaf.net.comparators.base_config import NetworkConfig
from mmcaf.net.registry import NETWORKS, config_class

CONFIGS: list[type[NetworkConfig]] = [
    network.config for name, network in NETWORKS.items() if name != "mmcaf_net"
]


@pytest.mark.parametrize("kind", CONFIGS)
def test_defaults_are_right_and_equal_configs_hash_equal(kind: type[NetworkConfig]) -> None:
    assert hash(kind()) == hash(kind(width=1))  # type: ignore[call-arg]  # each gives its own name


@pytest.mark.parametrize("name", NETWORKS)
def test_the_schema_has_the_bounds_and_the_default_of_every_field(name: str) -> None:
    schema = TypeAdapter(config_class(name)).json_schema()
    assert schema["additionalProperties"] is False
    for field, part in schema["properties"].items():
        assert "default" in part or field == "tokens"
        text = str(part)
        counted = text.count("'type': 'number'") + text.count("'type': 'integer'")
        assert text.count("'minimum'") == text.count("'maximum'") == counted - (field == "width")


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_has_no_effect_is_a_field(kind: type[NetworkConfig]) -> None:
    built = kind()  # type: ignore[call-arg]
    assert all(hasattr(built, name) for name in built.without_effect())


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (
            "pecon",
            {"target": "simclr"},
            "target: need one of clip, sup, got 'simclr'",
        ),
        ("pecon", {"name": "daft"}, "name: need pecon, got 'daft'"),
        ("pecon", {"hidden": [512]}, "hidden: need a list of 2 whole numbers"),
        ("pecon", {"image_dropout": True}, "image_dropout: need a number from 0"),
        ("pecon", {"image_dropout": float("nan")}, "got nan"),
        ("medfuse", {"tab_lstm": 1}, "tab_lstm: need true or false, got 1"),
        ("medfuse", {"width": 0.3}, "width: need one of 0.0625"),
        ("medfuse", {"hidden": 0}, "hidden: need a whole number from 1 to 2048"),
        ("drfuse", {"heads": 3}, "heads: need a divisor of dim 256, got 3"),
        ("mmtm", {"trunk": "s3"}, "trunk: need frozen with modules: last"),
        ("daft", {"activation": "sigmoid"}, "activation: need linear or tanh"),
        ("pefusion", {"class_weight": 1}, "need one of none, balanced, or null, got 1"),
        ("daft", {"location": 5}, "location: need a whole number from 0 to 4"),
        ("penet_msca", {"kernel_sizes": [2]}, "kernel_sizes: need some of"),
        (
            "cross_attention",
            {"heads": 5},
            "heads: need a divisor of embedding_dim 24, got 5",
        ),
        (
            "kan",
            {"embedding_dim": 10},
            "a multiple of 4 from 4 to 1024, got 10",
        ),
        (
            "sam_msca",
            {"weights": ""},
            "weights: need a text that is not empty, or null",
        ),
    ],
)
def test_a_wrong_field_is_named(name: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        config_class(name)(**wrong)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="target: need one of clip, sup, got 'x'") as caught:
        config_class("pecon")(target="x", late="y", width=3)  # type: ignore[arg-type]
    assert len(str(caught.value).split("\n")) == 3


def test_what_does_nothing_is_told() -> None:
    late, early = config_class("pefusion")(), config_class("pefusion")(fusion="early")
    assert {"nodes", "layers", "activation", "dropout"} == late.without_effect().keys()
    assert {"strength", "l1_ratio", "class_weight", "image_weight"} == early.without_effect().keys()
    assert "forwarded" in config_class("mmtm")().without_effect()
    assert not config_class("mmtm")(modules="three").without_effect()
    assert "heads" in config_class("cross_attention")().without_effect()
    assert not config_class("cross_attention")(attention="linear").without_effect()


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys; from mmcaf.net.registry import NETWORKS; "
        "print(len([network.config() for network in NETWORKS.values()]), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(NETWORKS)), "False"]
