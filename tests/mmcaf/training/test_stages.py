"""Stages and frozen features: what learns, what stays, what is computed once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmcaf.config import Stage, TrainConfig
from mmcaf.errors import DataError
from mmcaf.files.checkpoint import Checkpoint
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.penet import PENetTrunk
from mmcaf.net.stage_views import IMAGE_SIDE, FusionStage, ImageStage, TrunkStage
from mmcaf.training.loop import EpochReport, fit
from mmcaf.training.stages import LastStage, last_stage
from support.small_cohort import SmallCohort, small_cohort

MODEL = ModelConfig(width=1 / 16, token_grid=(1, 2, 2))
STAGES = (
    Stage(part="trunk", epochs=1, lr=1e-3),
    Stage(part="image", epochs=2, lr=1e-3),
    Stage(part="fusion"),
)
TRAIN = TrainConfig(
    stages=STAGES, epochs=5, batch_size=2, lr=1e-2, optimizer="adamw", frozen_draws=2
)


@pytest.fixture
def small() -> SmallCohort:
    return small_cohort()


def staged(
    small: SmallCohort,
    folder: Path | None,
    *,
    seed: int = 1,
    model: ModelConfig = MODEL,
    **changes: Any,
) -> tuple[LastStage, list[EpochReport]]:
    train = replace(TRAIN, **changes)
    windows = small.batches(rotate_degrees=15.0, jitter_slices=1)
    last = finished(
        last_stage(model, train, windows, seed=seed, shared_seed=7, source="small", folder=folder)
    )
    return last, list(fit(last.view, last.batches, train, seed=seed))


def finished(stages: Generator[None, None, LastStage]) -> LastStage:
    while True:
        try:
            next(stages)
        except StopIteration as done:
            last: LastStage = done.value
            return last


def image_side(net: nn.Module) -> dict[str, Tensor]:
    state = net.state_dict().items()
    return {name: t.clone() for name, t in state if name.split(".")[0] in IMAGE_SIDE}


def numbers(reports: list[EpochReport]) -> list[object]:
    return [(r.train_loss, r.rates, r.predictions.probability.tolist()) for r in reports]


def moved(view: nn.Module, batches: Any) -> set[str]:
    """Top-level modules whose parameters or statistics one epoch changes."""
    before = {name: t.clone() for name, t in view.state_dict().items()}
    config = replace(TRAIN, stages=(Stage(part="end_to_end"),), epochs=1)
    list(fit(view, batches, config, seed=0))
    changed = {name for name, t in view.state_dict().items() if not torch.equal(t, before[name])}
    return {name.removeprefix("net.").split(".")[0] for name in changed}


def test_each_stage_moves_its_own_part_and_nothing_else(small: SmallCohort, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trunk = TrunkStage(PENetTrunk(MODEL), MODEL)
    assert moved(trunk, small.batches()) == {"trunk", "head"}
    image = ImageStage(MMCAFNet(MODEL))
    own_head = image.head.weight.clone()
    assert moved(image, small.batches()) == {"pyramid", "fusions", "project", "head"}
    assert not torch.equal(image.head.weight, own_head)
    last, _ = staged(small, tmp_path)
    assert moved(last.view, last.batches) == {"tabular", "msca", "head"}


def test_frozen_parts_are_in_evaluation_mode_while_the_rest_trains() -> None:
    image = ImageStage(MMCAFNet(MODEL)).train()
    assert not any(part.training for part in image.net.trunk.modules())
    assert image.net.pyramid.training
    net = MMCAFNet(MODEL).eval()
    FusionStage(net).train()
    assert net.msca.training
    assert not any(net.get_submodule(name).training for name in IMAGE_SIDE)


def test_a_fusion_stage_leaves_the_image_side_and_its_checkpoint_small(
    small: SmallCohort, tmp_path: Path
) -> None:
    last, _ = staged(small, tmp_path)
    again, _ = staged(small, tmp_path, seed=2)
    for name, tensor in image_side(last.net).items():
        assert torch.equal(tensor, again.net.state_dict()[name]), name
    assert not any(name.split(".")[0] in IMAGE_SIDE for name in last.view.state_dict())
    assert not torch.equal(last.net.head.weight, again.net.head.weight)


def test_features_from_disk_give_every_number_of_computing_them_anew(
    small: SmallCohort, tmp_path: Path
) -> None:
    _, anew = staged(small, None)
    _, first = staged(small, tmp_path)
    _, second = staged(small, tmp_path)
    assert numbers(anew) == numbers(first) == numbers(second)


def test_later_epochs_and_trials_encode_no_window_again(
    small: SmallCohort, tmp_path: Path, encoded: list[int]
) -> None:
    staged(small, tmp_path)
    windows = small.batches().val
    expected = TRAIN.frozen_draws * 8 + sum(len(part) for part in windows.planned())
    assert len(encoded) == expected  # five epochs, two draws of eight cases
    staged(small, tmp_path, seed=2, lr=1e-3, epochs=3)
    staged(small, tmp_path, model=replace(MODEL, heads=(2, 2, 2)))
    assert len(encoded) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"model": replace(MODEL, token_grid=(1, 1, 1))},
        {"model": replace(MODEL, pyramid_scales=(2, 3))},
        {"stages": (*STAGES[:1], Stage(part="image", epochs=1, lr=1e-3), STAGES[2])},
        {"weight_decay": 0.5},
    ],
)
def test_another_image_side_is_encoded_anew(
    small: SmallCohort, tmp_path: Path, encoded: list[int], change: dict[str, Any]
) -> None:
    staged(small, tmp_path)
    before = len(encoded)
    staged(small, tmp_path, **change)
    assert len(encoded) == 2 * before


def test_stages_of_smaller_steps_are_others(small: SmallCohort, tmp_path: Path) -> None:
    """Batch norm sees micro-batches, so what a stage learns depends on their size."""
    for accumulate in (1, 2):
        staged(small, tmp_path, batch_size=4, accumulate=accumulate)
    assert len(list(tmp_path.glob("trunk-*.safetensors"))) == 2


def test_another_pyramid_keeps_the_trunk(small: SmallCohort, tmp_path: Path) -> None:
    staged(small, tmp_path)
    staged(small, tmp_path, model=replace(MODEL, pyramid_scales=(2, 3)))
    assert len(list(tmp_path.glob("trunk-*.safetensors"))) == 1
    assert len(list(tmp_path.glob("image-*.safetensors"))) == 2


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the size of the batch whenever a frozen image side is run."""
    seen: list[int] = []
    whole = MMCAFNet.image_tokens

    def counted(self: MMCAFNet, volume: Tensor) -> Tensor:
        if not torch.is_grad_enabled() and not self.trunk.training:
            seen.append(len(volume))
        return whole(self, volume)

    monkeypatch.setattr(MMCAFNet, "image_tokens", counted)
    monkeypatch.setattr(ImageStage, "forward", _uncounted(whole))
    return seen


def _uncounted(whole: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def forward(self: ImageStage, volume: Tensor, table: Tensor) -> Tensor:
        return self.head(whole(self.net, volume).mean(1))[:, 0]

    return forward


def test_a_killed_stage_goes_on_to_the_same_weights(
    small: SmallCohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, _ = staged(small, tmp_path / "whole")
    import mmcaf.training.stages as staging

    save = staging.checkpoint.save

    def killed(path: Path, checkpoint: Checkpoint) -> None:
        save(path, checkpoint)
        if path.name.startswith("image-") and len(checkpoint.meta["epochs"]) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(staging.checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        staged(small, tmp_path / "killed")
    trained: list[int] = []

    def counted(path: Path, checkpoint: Checkpoint) -> None:
        trained.extend([1] * path.name.endswith("-last.safetensors"))
        save(path, checkpoint)

    monkeypatch.setattr(staging.checkpoint, "save", counted)
    again, _ = staged(small, tmp_path / "killed")
    assert len(trained) == 1  # of two epochs one was stored
    for name, tensor in image_side(last.net).items():
        assert torch.equal(tensor, again.net.state_dict()[name]), name
    assert not list((tmp_path / "killed").glob("*-last*"))


def _in_another_process(folder: Path, out: Path, together: Barrier) -> None:
    torch.set_num_threads(1)
    encoded, whole = 0, MMCAFNet.image_tokens

    def slow(self: MMCAFNet, volume: Tensor) -> Tensor:
        nonlocal encoded
        if not torch.is_grad_enabled() and not self.trunk.training:
            encoded += len(volume)
            time.sleep(0.02)  # long enough for the other process to come to the same file
        return whole(self, volume)

    MMCAFNet.image_tokens = slow  # type: ignore[method-assign]
    ImageStage.forward = _uncounted(whole)  # type: ignore[method-assign]
    together.wait(60)
    _, reports = staged(small_cohort(), folder)
    np.save(out, [encoded, *(report.train_loss for report in reports)])


def test_processes_that_want_the_same_features_share_them(
    small: SmallCohort, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    outs, together = [tmp_path / f"{i}.npy" for i in range(2)], context.Barrier(2)
    workers = [
        context.Process(target=_in_another_process, args=(tmp_path / "shared", out, together))
        for out in outs
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    (first, *losses), (second, *others) = (np.load(out).tolist() for out in outs)
    assert losses == others
    once = TRAIN.frozen_draws * 8 + sum(len(part) for part in small.batches().val.planned())
    assert first + second == once  # whoever waited read what the other had computed
    assert len(list((tmp_path / "shared").glob("trunk-*.safetensors"))) == 1
    assert not list((tmp_path / "shared").glob(".*tmp*"))


@pytest.mark.parametrize(
    "stages",
    [
        (),
        (Stage(part="fusion"),),
        (Stage(part="image", epochs=1, lr=0.1), Stage(part="fusion")),
        (STAGES[1], STAGES[0], STAGES[2]),
        STAGES[:2],
    ],
)
def test_an_order_that_makes_no_network_is_refused(stages: tuple[Stage, ...]) -> None:
    with pytest.raises(ValueError, match="stages: need one of: end_to_end; trunk"):
        TrainConfig(stages=stages)


def test_earlier_stages_say_how_long_and_the_last_does_not() -> None:
    with pytest.raises(ValueError, match=r"stages\[0\]: need epochs and lr of every stage"):
        TrainConfig(stages=(Stage(part="trunk"), Stage(part="end_to_end")))
    with pytest.raises(
        ValueError, match=r"stages\[0\]: the last stage, end_to_end, takes train\.epochs"
    ):
        TrainConfig(stages=(Stage(part="end_to_end", epochs=3),))


def test_every_case_meets_all_of_its_draws(small: SmallCohort) -> None:
    train = replace(small.batches(batch_size=2).train, draws=8)
    met: dict[int, set[int]] = {}
    for epoch in range(8):
        for planned in train.planned(epoch):
            for index, (draw,) in planned:
                met.setdefault(index, set()).add(draw)
    assert len(met) == 8
    assert all(draws == set(range(8)) for draws in met.values())


def test_tokens_of_another_image_side_are_not_gone_on_with(
    small: SmallCohort, tmp_path: Path
) -> None:
    _, reports = staged(small, tmp_path, epochs=1)
    snapshot = reports[0].snapshot()
    train = replace(TRAIN, weight_decay=0.5)
    windows = small.batches(rotate_degrees=15.0, jitter_slices=1)
    other = finished(
        last_stage(MODEL, train, windows, seed=1, shared_seed=7, source="small", folder=tmp_path)
    )
    with pytest.raises(DataError, match="trained on the image side"):
        next(fit(other.view, other.batches, train, seed=1, resume=snapshot))


def test_the_papers_optimiser_trains_a_trunk_whose_blocks_come_and_go(small: SmallCohort) -> None:
    train = replace(TRAIN, stages=(Stage(part="end_to_end"),), optimizer="sgd", epochs=3)
    torch.manual_seed(0)
    reports = list(fit(MMCAFNet(MODEL), small.batches(), train, seed=0))
    assert len(reports) == 3
