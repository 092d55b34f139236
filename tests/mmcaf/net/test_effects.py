"""Which settings change nothing, by what the sections together say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from mmcaf.config import DataConfig, Stage, TrainConfig
from mmcaf.net.config import ModelConfig
from mmcaf.net.effects import map_cells, without_effect
from mmcaf.net.penet import PENetTrunk
from mmcaf.net.registry import config_class
from mmcaf.training.loop import learning_rate

EARLIER = (Stage(part="trunk", epochs=2, lr=1e-3), Stage(part="image", epochs=2, lr=1e-3))
FUSION = (*EARLIER, Stage(part="fusion"))


def idle(model: Any = None, data: DataConfig | None = None, **train: Any) -> set[str]:
    found = without_effect(model or ModelConfig(), TrainConfig(**train), data or DataConfig())
    assert all(found.values())
    return set(found)


def test_the_published_settings_all_act_but_what_no_frozen_stage_reads() -> None:
    assert idle() == {"train.frozen_draws", "train.warmup_epochs"}


@pytest.mark.parametrize(
    ("train", "names"),
    [
        ({"optimizer": "adamw"}, {"train.momentum", "train.dampening"}),
        ({"momentum": 0.0}, {"train.dampening"}),
        ({"epochs": 1}, {"train.schedule", "train.warmup_epochs"}),
        ({"epochs": 1, "schedule": "cosine"}, {"train.schedule", "train.warmup_epochs"}),
        ({"epochs": 5, "warmup_epochs": 4}, {"train.schedule"}),
        ({"epochs": 5, "warmup_epochs": 3}, set()),
        ({"epochs": 5, "schedule": "cosine"}, set()),
        ({"epochs": 5, "schedule": "cosine", "warmup_epochs": 1}, set()),
    ],
)
def test_what_a_stage_does_not_read_is_named(train: dict[str, Any], names: set[str]) -> None:
    always = {"train.frozen_draws"}
    rises = train.get("warmup_epochs", 0) <= 1 and train.get("schedule") != "cosine"
    assert idle(**train) == names | always | ({"train.warmup_epochs"} if rises else set())


@pytest.mark.parametrize(
    ("epochs", "warmup"), [(e, w) for e in (1, 2, 3, 5) for w in (0, 1, 2) if w <= e]
)
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_what_is_said_of_the_rate_is_what_the_loop_does(
    epochs: int, warmup: int, schedule: Any
) -> None:
    config = TrainConfig(epochs=epochs, warmup_epochs=warmup, schedule=schedule)

    def rates(**changes: Any) -> list[float]:
        changed = replace(config, **changes)
        return [learning_rate(changed, epoch) for epoch in range(epochs)]

    said = without_effect(ModelConfig(), config, DataConfig())
    other = "constant" if schedule == "cosine" else "cosine"
    assert ("train.schedule" in said) == (rates(schedule=other) == rates())
    if warmup <= 1:  # another rise that does nothing either
        same = rates(warmup_epochs=1 - warmup) == rates()
        assert ("train.warmup_epochs" in said) == same


def test_an_earlier_stage_that_takes_a_setting_keeps_it_alive() -> None:
    by_sgd = (replace(EARLIER[0], optimizer="sgd"), EARLIER[1], FUSION[2])
    assert not {"train.momentum", "train.dampening"} & idle(optimizer="adamw", stages=by_sgd)
    own = (replace(by_sgd[0], momentum=0.5, dampening=0.0), EARLIER[1], FUSION[2])
    assert {"train.momentum", "train.dampening"} <= idle(optimizer="adamw", stages=own)
    long = (replace(EARLIER[0], epochs=9), EARLIER[1], FUSION[2])
    assert "train.schedule" not in idle(epochs=1, stages=long)


def test_draws_act_where_the_image_side_is_frozen_and_are_used_up() -> None:
    assert "train.frozen_draws" not in idle(stages=FUSION)
    rare = {"stages": FUSION, "oversample": False, "epochs": 4}
    assert "train.frozen_draws" in idle(**rare, frozen_draws=4)
    assert "train.frozen_draws" not in idle(**rare, frozen_draws=3)


def test_one_window_has_no_stride_and_a_table_no_window() -> None:
    assert "data.tile_stride" in idle(data=DataConfig(location="oracle"))
    assert "data.tile_stride" not in idle()
    table = idle(config_class("kan")())
    assert {"data.window", "data.hu", "data.flip", "data.location"} <= table
    solved = idle(config_class("logistic")(), epochs=1)
    assert {"train.lr", "train.optimizer", "train.batch_size", "train.loss"} <= solved


def test_a_network_with_steps_of_its_own_is_given_the_benefit() -> None:
    pecon = config_class("pecon")()
    stages = (EARLIER[0], FUSION[2])
    assert not {"train.momentum", "train.schedule"} & idle(pecon, stages=stages, optimizer="adamw")


@pytest.mark.parametrize("window", [(12, 48, 48), (8, 32, 32), (7, 40, 40), (1, 17, 17)])
def test_the_cells_are_those_of_the_trunks_coarsest_map(window: tuple[int, int, int]) -> None:
    trunk = PENetTrunk(ModelConfig(width=1 / 16)).eval()
    with torch.no_grad():
        coarsest = trunk(torch.zeros(1, 1, *window))[2]
    assert map_cells(DataConfig(window=window, tile_stride=1)) == tuple(coarsest.shape[2:])


def test_a_grid_finer_than_its_map_only_repeats_cells() -> None:
    small = DataConfig(window=(8, 32, 32))
    assert "model.token_grid" in idle(ModelConfig(token_grid=(2, 2, 2)), small)
    assert "model.token_grid" not in idle(ModelConfig(token_grid=(1, 2, 2)), small)
    pooled = ModelConfig(preset="reference", heads=(1, 1, 1))
    assert (
        "the tokens are pooled" in without_effect(pooled, TrainConfig(), small)["model.token_grid"]
    )
