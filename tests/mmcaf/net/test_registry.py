"""The registry says of every network, without torch, what the network says of itself."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest
import torch

from mmcaf.config import Stage, TrainConfig
from mmcaf.net.comparators.base import Comparator
from mmcaf.net.config import ModelConfig
from mmcaf.net.registry import NETWORKS, build, config_class, image_side, network_of, reads_image
from mmcaf.net.stage_rules import stage_faults
from mmcaf.net.stage_views import OnImageSide

VARIANTS: dict[str, dict[str, Any]] = {
    "drfuse": {"image": "full"},
    "mmtm": {"modules": "three", "trunk": "s3"},
    "pefusion": {"fusion": "joint"},
    "daft": {"form": "shipped"},
    "medfuse": {"pretrain": False},
}
BUILT = [
    pytest.param(name, given, id=f"{name}-{'-'.join(map(str, given.values())) or 'default'}")
    for name in NETWORKS
    if name not in ("mmcaf_net", "sam_msca")  # the one is no comparator, the other needs weights
    for given in ({}, *([VARIANTS[name]] if name in VARIANTS else []))
]


def config_of(name: str, **given: Any) -> Any:
    return config_class(name)(width=1 / 16, **given)


def network(name: str, **given: Any) -> Comparator:
    torch.manual_seed(0)
    return build(config_of(name, **given))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_config_is_named_as_its_entry(name: str) -> None:
    config = config_of(name)
    assert config.name == name == network_of(config).name
    assert {"name", "width"} <= {field.name for field in fields(config)}
    assert isinstance(config.without_effect(), dict)


@pytest.mark.parametrize(("name", "given"), BUILT)
def test_an_entry_says_what_the_network_says(name: str, given: dict[str, Any]) -> None:
    config, net, entry = config_of(name, **given), network(name, **given), NETWORKS[name]
    *earlier, last = net.steps
    assert entry.image_of(config) == net.reads
    assert reads_image(config) == (net.reads != "none")
    assert entry.is_solved(config) == last.solved
    assert entry.earlier or not earlier
    draws_once = not last.solved and last.recipe.get("oversample") is False
    assert entry.unique == draws_once


def test_what_has_earlier_steps_has_them() -> None:
    stepped = {name for name, entry in NETWORKS.items() if entry.earlier}
    assert stepped == {"pecon", "medfuse", "mmtm"}
    assert all(len(network(name).steps) > 1 for name in stepped)


@pytest.mark.parametrize(("name", "given"), BUILT)
def test_a_network_answers_windows_through_what_it_reads(name: str, given: dict[str, Any]) -> None:
    config = config_of(name, **given)
    whole = OnImageSide(build(config), image_side(config)).eval()
    volume, table = torch.randn(2, 1, 8, 32, 32), torch.rand(2, 7)
    with torch.no_grad():
        features = whole.features(volume)
        logits = whole(volume, table)
        assert torch.equal(logits, whole.net(features, table).logit)
    assert logits.shape == (2,)
    shapes = {"pooled": (64,), "middle": (32, 2, 4, 4), "deepest": (64, 1, 2, 2)}
    shapes |= {"embedding": (24,), "window": (1, 8, 32, 32), "none": (1, 8, 32, 32)}
    assert features.shape[1:] == shapes[whole.net.reads]


@pytest.mark.parametrize(("name", "near"), [("pecom", "pecon"), ("daff", "daft"), (["kan"], None)])
def test_a_name_nobody_knows_is_answered_with_the_nearest(name: object, near: str | None) -> None:
    hint = f"Did you mean '{near}'" if near else "name: need one of mmcaf_net, clip_fusion, "
    with pytest.raises(ValueError, match=re.escape(hint)):
        config_class(name)


TRUNK = Stage(part="trunk", epochs=1, lr=1e-3)
IMAGE = Stage(part="image", epochs=1, lr=1e-3)
LISTS = {
    "end_to_end": (Stage(part="end_to_end"),),
    "trunk, end_to_end": (TRUNK, Stage(part="end_to_end")),
    "trunk, fusion": (TRUNK, Stage(part="fusion")),
    "trunk, image, end_to_end": (TRUNK, IMAGE, Stage(part="end_to_end")),
    "trunk, image, fusion": (TRUNK, IMAGE, Stage(part="fusion")),
}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("pecon", {"trunk, fusion"}),
        ("mmtm", {"trunk, fusion"}),
        ("penet", {"end_to_end", "trunk, end_to_end"}),
        ("late_fusion", {"trunk, image, fusion"}),
        ("kan", {"end_to_end"}),
        ("mmcaf_net", LISTS.keys() - {"trunk, fusion"}),
    ],
)
def test_stages_lead_to_what_a_network_reads(name: str, allowed: set[str]) -> None:
    fit = {
        words
        for words, stages in LISTS.items()
        if not list(stage_faults(config_of(name), TrainConfig(stages=stages)))
    }
    assert fit == allowed


def test_a_misfit_says_what_is_read() -> None:
    (fault,) = stage_faults(config_of("pecon"), TrainConfig())
    assert str(fault) == (
        "stages: need one of: trunk, fusion; got end_to_end, since pecon reads pooled"
    )


def test_what_is_solved_has_one_epoch_and_what_is_compared_comes_once() -> None:
    (fault,) = stage_faults(config_of("logistic"), TrainConfig(epochs=5))
    assert str(fault) == "epochs: need 1, since logistic is solved at once, got 5"
    train = TrainConfig(stages=LISTS["trunk, image, fusion"])
    (fault,) = stage_faults(config_of("clip_fusion"), train)
    assert "oversample: need false" in str(fault)
    steps = TrainConfig(step_lr=0.1, step_epochs=2)
    faults = [str(fault) for fault in stage_faults(config_of("kan"), steps)]
    assert faults == [
        f"{name}: kan has no steps of its own before its last; leave it out"
        for name in ("step_epochs", "step_lr")
    ]


def test_one_trunk_is_that_of_all_networks_of_a_width() -> None:
    sides = [image_side(config_of(name)) for name in NETWORKS if name != "mmcaf_net"]
    assert {side.width for side in sides} == {1 / 16}
    assert image_side(ModelConfig(width=1 / 8)) == ModelConfig(width=1 / 8)


def test_a_network_learns_at_the_share_its_last_stage_draws() -> None:
    even, own = TrainConfig(), TrainConfig(oversample=False)
    for name in NETWORKS:
        if name == "sam_msca":
            continue
        network = NETWORKS[name]
        config = config_of(name, **({"fusion": "joint"} if name == "pefusion" else {}))
        solved = network.is_solved(config)
        assert network.learnt_at(config, even) == ("own" if solved else "even"), name
        assert network.learnt_at(config, own) == "own", name


@pytest.mark.parametrize(
    ("fields", "trunk", "fusion", "learnt"),
    [
        ({"fusion": "late_nn"}, True, True, "even"),
        ({"fusion": "late_nn"}, True, False, "unknown"),
        ({"fusion": "late_nn"}, None, False, "own"),  # a stage that says nothing is as the last
        ({"fusion": "late_elastic"}, True, True, "unknown"),  # the data choose the weights
        ({"class_weight": "none"}, True, True, "unknown"),
        ({"class_weight": "none"}, False, True, "own"),
        ({"class_weight": "balanced"}, True, False, "even"),
        ({"class_weight": "none", "image_weight": 1.0}, True, True, "even"),
        ({"class_weight": "none", "image_weight": 0.0}, True, True, "own"),
    ],
)
def test_an_average_learns_at_a_share_only_if_both_models_do(
    fields: dict[str, Any], trunk: bool | None, fusion: bool, learnt: str
) -> None:
    stages = (Stage(part="trunk", epochs=1, lr=1e-3, oversample=trunk), Stage(part="fusion"))
    train = TrainConfig(stages=stages, oversample=fusion)
    config = config_of("pefusion", **fields)
    assert network_of(config).learnt_at(config, train) == learnt
