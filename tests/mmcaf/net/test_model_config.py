"""What a network is built from: presets, normal form, and what is refused with which words."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from mmcaf.net.config import ModelConfig


def test_paper_has_token_grids_and_softmax() -> None:
    config = ModelConfig(preset="paper")
    assert (config.attention, config.tokens) == ("softmax", "grid")


def test_reference_has_pooled_tokens_and_softmax() -> None:
    config = ModelConfig(preset="reference")
    assert (config.attention, config.tokens) == ("softmax", "pooled")


def test_presets_differ_in_their_tokens_alone() -> None:
    assert replace(ModelConfig(preset="reference"), preset="paper", tokens="grid") == ModelConfig()


def test_an_override_wins_over_the_preset() -> None:
    assert ModelConfig(preset="reference", tokens="grid").tokens == "grid"


def test_lists_become_tuples() -> None:
    config = ModelConfig(preset="paper", heads=[2, 2, 2], kan_hidden=[8], token_grid=[1, 2, 2])
    assert (config.heads, config.kan_hidden, config.token_grid) == ((2, 2, 2), (8,), (1, 2, 2))


def test_sets_have_one_order() -> None:
    one = ModelConfig(pyramid_scales=(3, 2), kernel_sizes=(5, 1))
    assert one == ModelConfig(pyramid_scales=(2, 3), kernel_sizes=(1, 5))


def test_a_whole_width_is_a_float() -> None:
    assert repr(ModelConfig(width=1).width) == "1.0"


def test_equal_configs_hash_equal() -> None:
    assert hash(ModelConfig()) == hash(ModelConfig(preset="paper"))


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ModelConfig().width = 0.5  # type: ignore[misc]


def test_a_replaced_field_is_checked_too() -> None:
    with pytest.raises(ValueError, match="width: need one of"):
        replace(ModelConfig(), width=0.3)


@pytest.mark.parametrize("width", [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])
def test_channels_scale_with_the_width(width: float) -> None:
    config = ModelConfig(width=width)
    assert config.stage_channels == (256 * width, 512 * width, 1024 * width)


def test_attention_dims_are_those_of_the_paper() -> None:
    assert ModelConfig().attention_dims == (24, 12, 6)


@pytest.mark.parametrize(
    ("attention", "tokens", "effect"),
    [
        ("softmax", "pooled", False),
        ("softmax", "grid", True),
        ("linear", "pooled", True),
        ("linear", "grid", True),
    ],
)
def test_heads_have_no_effect_on_softmax_over_one_token(
    attention: str, tokens: str, effect: bool
) -> None:
    config = ModelConfig(preset="paper", attention=attention, tokens=tokens)
    assert config.heads_have_effect is effect


def test_every_field_of_the_paper_has_an_effect() -> None:
    assert ModelConfig(preset="paper").without_effect() == {}


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ({"tokens": "pooled"}, {"heads", "token_grid"}),
        ({"tokens": "pooled", "attention": "linear"}, {"token_grid"}),
        ({"pyramid_scales": [3]}, {"bfpu"}),
        ({"tabular": "mlp"}, {"kan_grid", "kan_order", "kan_hidden"}),
    ],
)
def test_fields_without_effect_are_named(overrides: dict[str, Any], names: set[str]) -> None:
    assert set(ModelConfig(preset="paper", **overrides).without_effect()) == names


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"preset": "published"}, "preset: need one of paper, reference, got 'published'"),
        ({"bfpu": "sum"}, "bfpu: need one of reference, paper, got 'sum'"),
        ({"attention": None}, "attention: need one of softmax, linear, got None"),
        ({"tokens": "one"}, "tokens: need one of pooled, grid, got 'one'"),
        ({"bsf_out": 48}, "bsf_out: need one of sum, concat, got 48"),
        ({"tabular": ["kan"]}, "tabular: need one of kan, mlp, got ('kan',)"),
        ({"width": 0.3}, "width: need one of 0.0625, 0.125, 0.25, 0.5, 1, got 0.3: channels"),
        ({"width": True}, "got True"),
        ({"width": "0.5"}, "got '0.5'"),
        ({"width": [0.5]}, "got (0.5,)"),
        ({"pyramid_scales": [1, 3]}, "pyramid_scales: need [3], [2, 3] or [1, 2, 3], got (1,"),
        ({"pyramid_scales": [1, 2]}, "got (1, 2): the pyramid starts at the coarsest scale, 3"),
        ({"pyramid_scales": []}, "got ()"),
        ({"pyramid_scales": 3}, "got 3"),
        ({"pyramid_scales": [3, 3]}, "got (3, 3)"),
        ({"kernel_sizes": [1, 4]}, "kernel_sizes: need some of 1, 3, 5, 7, each once, got (1, 4)"),
        ({"kernel_sizes": []}, "kernel_sizes: need some of 1, 3, 5, 7, each once, got ()"),
        ({"kernel_sizes": [3, 3]}, "kernel_sizes: need some of 1, 3, 5, 7, each once, got (3, 3)"),
        (
            {"heads": [5, 2, 2]},
            "heads[0]: need a divisor of its width 24: one of 1, 2, 3, 4, 6, 8, 12",
        ),
        (
            {"heads": [4, 8, 2]},
            "heads[1]: need a divisor of its width 12: one of 1, 2, 3, 4, 6, 12, go",
        ),
        ({"heads": [4, 2, 4]}, "heads[2]: need a divisor of its width 6: one of 1, 2, 3, 6, got 4"),
        ({"heads": [4, 2]}, "heads: need a list of 3 whole numbers from 1 to 1024, got (4, 2)"),
        ({"heads": [0, 2, 2]}, "got (0, 2, 2)"),
        ({"heads": [2.0, 2, 2]}, "got (2.0, 2, 2)"),
        ({"token_grid": [2, 3]}, "token_grid: need a list of 3 whole numbers from 1 to 16"),
        ({"token_grid": [0, 3, 3]}, "got (0, 3, 3)"),
        ({"kan_grid": 0}, "kan_grid: need a whole number from 1 to 64, got 0"),
        ({"kan_grid": True}, "got True"),
        ({"kan_order": 6}, "kan_order: need a whole number from 1 to 5, got 6"),
        ({"kan_hidden": [0]}, "kan_hidden: need a list of whole numbers from 1 to 1024"),
        ({"drop": "yes"}, "drop: need true or false, got 'yes'"),
        ({"embedding_dim": 22}, "embedding_dim: need a multiple of 4 from 4 to 1024, got 22"),
        ({"embedding_dim": 32, "heads": [3, 2, 2]}, "heads[0]: need a divisor of its width 32"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ModelConfig(**{"preset": "paper", **overrides})


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)width.*\n.*bfpu.*\n.*heads\[0\].*\n.*heads\[2\]"):
        ModelConfig(preset="paper", width=2, bfpu="no", heads=[7, 2, 4])


def test_an_unknown_field_is_named_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"kernel_size: no such setting. Did you mean 'kernel_sizes'\?"
    ):
        ModelConfig(preset="paper", kernel_size=[3])


def test_a_field_like_no_other_lists_them_all() -> None:
    with pytest.raises(ValueError, match=r"xyz: no such setting\. Known: name, preset, width, "):
        ModelConfig(preset="paper", xyz=1)


def test_a_config_is_made_without_torch() -> None:
    code = "import sys, mmcaf.net.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
