"""Every network through the path a trial takes: stages, steps, fit, snapshots, features on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mmcaf.training.stages as staging
from mmcaf.config import Stage, TrainConfig
from mmcaf.data.batches import FoldBatches, fold_batches
from mmcaf.data.encoding import LESION_SIZE
from mmcaf.data.splits import Fold
from mmcaf.files import checkpoint
from mmcaf.net.config import ModelConfig
from mmcaf.net.registry import NETWORKS, config_class, reads_image, table_columns
from mmcaf.net.stage_views import OnImageSide, StepStage
from mmcaf.training.frozen import FrozenFold
from mmcaf.training.loop import EpochReport, fit
from mmcaf.training.stages import LastStage, last_stage, whole_network
from support.small_cohort import SmallCohort, small_cohort

COMMON = {"optimizer": "adamw", "batch_size": 4}
TRUNK = Stage(part="trunk", epochs=1, lr=1e-3, **COMMON)  # type: ignore[arg-type]
IMAGE = Stage(part="image", epochs=1, lr=1e-3, **COMMON)  # type: ignore[arg-type]
STAGES = {
    "none": (Stage(part="end_to_end"),),
    "window": (TRUNK, Stage(part="end_to_end")),
    "embedding": (TRUNK, IMAGE, Stage(part="fusion")),
}
STILL: dict[str, dict[str, Any]] = {  # nothing dropped, and small enough for a second
    "pecon": {"image_dropout": 0.0, "table_dropout": 0.0},
    "medfuse": {"dropout": 0.0, "token_dim": 16, "hidden": 32},
    "drfuse": {"dropout": 0.0, "dim": 16, "feed_forward": 32},
    "mmtm": {"dropout": 0.0},
    "pefusion": {"fusion": "joint", "dropout": 0.0},
    "daft": {"inputs": 16, "identity_init": False},
    "penet_msca": {"drop": False},
}
LIVE = ("penet", "penet_msca")  # whose trunk reads every window again
NEURAL = [n for n in NETWORKS if n not in ("mmcaf_net", "sam_msca", "logistic", "lesion_box")]


def config_of(name: str, **given: Any) -> Any:
    return config_class(name)(width=1 / 16, **given)


def training(model: Any, **given: Any) -> TrainConfig:
    """As a spec would have it: the stages that lead to what the network reads."""
    entry = NETWORKS[model.name]
    reads = entry.image_of(model) or "embedding"
    stages = STAGES.get(reads, (TRUNK, Stage(part="fusion")))
    solved = {"epochs": 1} if entry.is_solved(model) else {}
    common = {"epochs": 3, "lr": 3e-3, "weight_decay": 0.0, "frozen_draws": 2, **COMMON}
    return TrainConfig(
        stages=stages, **{**common, "oversample": not entry.unique, **given, **solved}
    )


def begun(
    model: Any, train: TrainConfig, batches: FoldBatches, folder: Path | None, seed: int = 1
) -> LastStage:
    stages = last_stage(
        model, train, batches, seed=seed, shared_seed=7, source="small", folder=folder
    )
    while True:
        try:
            next(stages)
        except StopIteration as done:
            last: LastStage = done.value
            return last


def trained(
    model: Any, small: SmallCohort, folder: Path | None = None, seed: int = 1, **given: Any
) -> tuple[LastStage, list[EpochReport]]:
    train = training(model, **given)
    batches = fold_batches(
        small.rows,
        small.volumes if reads_image(model) else {},
        small.fold,
        data=small.data,
        train=train,
        seed=seed,
        columns=table_columns(model),
        images=reads_image(model),
    )
    last = begun(model, train, batches, folder, seed)
    return last, list(fit(last.view, last.batches, train, seed=seed))


def numbers(reports: list[EpochReport]) -> list[object]:
    return [(r.train_loss, r.rates, r.predictions.probability.tolist()) for r in reports]


@pytest.fixture
def small() -> SmallCohort:
    found = small_cohort()
    sizes = np.array([12, 55, 31, 44, 10, 60, 25, 38, 52, 20, 33, 47.0])  # validation within
    return replace(found, rows=found.rows.with_columns(max_diam_mm=sizes))


@pytest.fixture
def sixteen() -> SmallCohort:
    """Sixteen cases of one window each, which both train and validate."""
    whole = small_cohort()
    names = [f"c{index:02}" for index in range(16)]
    rows = whole.rows.sample(16, with_replacement=True, seed=1)
    random = np.random.default_rng(1)
    rows = rows.with_columns(
        case=np.array(names),
        label=np.arange(16) % 2,
        age_years=random.uniform(40, 80, 16),
        weight_kg=random.uniform(50, 90, 16),
        z_first_lesion=np.full(16, 2),
        z_last_lesion=np.full(16, 2),
    )
    volumes = {name: random.integers(-900, 900, (4, 16, 16)).astype(np.int16) for name in names}
    return replace(whole, rows=rows, volumes=volumes, fold=Fold(tuple(names), tuple(names)))


@pytest.mark.parametrize("name", NEURAL)
def test_a_network_learns_sixteen_cases_by_heart(
    name: str, sixteen: SmallCohort, tmp_path: Path
) -> None:
    model = config_of(name, **STILL.get(name, {}))
    given: dict[str, Any] = {"step_epochs": 5} if NETWORKS[name].earlier else {}
    given |= {"epochs": 25, "lr": 2e-3} if name in LIVE else {"epochs": 120, "lr": 1e-2}
    _, reports = trained(model, sixteen, tmp_path, frozen_draws=1, **given)
    assert max(report.rates["auroc"] or 0.0 for report in reports) == 1.0


@pytest.mark.parametrize("name", ["pecon", "drfuse", "mmtm", "kan", "late_fusion", "penet"])
def test_a_killed_trial_goes_on_to_the_same_numbers(
    name: str, small: SmallCohort, tmp_path: Path
) -> None:
    given = {"step_epochs": 2} if NETWORKS[name].earlier else {}
    _, whole = trained(config_of(name), small, tmp_path, **given)
    model, train = config_of(name), training(config_of(name), **given)
    batches = fold_batches(
        small.rows, small.volumes, small.fold, data=small.data, train=train, seed=1,
        images=reads_image(model),
    )  # fmt: skip
    first = begun(model, train, batches, tmp_path)
    snapshot = next(fit(first.view, first.batches, train, seed=1)).snapshot()
    again = begun(model, train, batches, tmp_path)
    rest = list(fit(again.view, again.batches, train, seed=1, resume=snapshot))
    assert numbers(whole[1:]) == numbers(rest)


@pytest.mark.parametrize("name", ["pecon", "daft", "cross_attention", "pefusion"])
def test_features_from_disk_give_every_number_of_computing_them_anew(
    name: str, small: SmallCohort, tmp_path: Path
) -> None:
    model = config_of(name, **STILL.get(name, {}))
    given = {"step_epochs": 1} if NETWORKS[name].earlier else {}
    _, anew = trained(model, small, None, **given)
    _, first = trained(model, small, tmp_path, **given)
    _, second = trained(model, small, tmp_path, **given)
    assert numbers(anew) == numbers(first) == numbers(second)


def test_one_trunk_serves_every_network_and_one_table_of_means_all_that_read_it(
    small: SmallCohort, tmp_path: Path
) -> None:
    for name in ("pecon", "medfuse", "drfuse", "mmtm", "daft", "penet", "late_fusion"):
        model = config_of(name, **STILL.get(name, {}))
        given = {"step_epochs": 1} if NETWORKS[name].earlier else {}
        # What a network's own last stage has must not reach the trunk.
        trained(model, small, tmp_path, epochs=1, batch_size=2 + len(name), **given)
    trained(ModelConfig(width=1 / 16, preset="reference"), small, tmp_path, epochs=1)
    assert len(list(tmp_path.glob("trunk-*.safetensors"))) == 1
    assert len(list(tmp_path.glob("image-*.safetensors"))) == 1  # one side, of two networks
    stores = {path.name.split("-")[0] for path in tmp_path.glob("*-val.npy")}
    assert len(stores) == 4  # means, deepest maps, embeddings, tokens


def test_a_contrastive_step_draws_no_patient_twice(
    small: SmallCohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[list[int]]] = {}
    plain = staging.fit

    def watched(view: Any, batches: Any, config: TrainConfig, **rest: Any) -> Iterator[EpochReport]:
        if isinstance(view, StepStage):
            drawn[view.step] = [batch.case.tolist() for batch in batches.train.epoch(0)]
        return plain(view, batches, config, **rest)

    monkeypatch.setattr(staging, "fit", watched)
    last, _ = trained(config_of("pecon"), small, tmp_path, step_epochs=1, step_batch_size=8)
    assert sorted(case for batch in drawn["align"] for case in batch) == list(range(8))
    last_step = [batch.case.tolist() for batch in last.batches.train.epoch(0)]
    assert sum(map(len, last_step)) == 12  # squamous cases to parity, as the last step has it


@pytest.mark.parametrize("name", ["kan", "mlp", "logistic", "lesion_box"])
def test_a_network_of_the_table_never_touches_a_volume(
    name: str, small: SmallCohort, tmp_path: Path
) -> None:
    last, reports = trained(config_of(name), replace(small, volumes={}), tmp_path)
    assert not list(tmp_path.iterdir())
    assert next(iter(last.batches.val)).volume.numel() == 0
    assert [len(batch.case) for batch in last.batches.val] == [4]  # each case once
    assert np.isfinite(reports[-1].predictions.probability).all()
    assert last.batches.fitted()["intensity"] is None


def test_what_is_solved_is_judged_once_and_has_no_learning_rate(
    small: SmallCohort, tmp_path: Path
) -> None:
    model = config_of("pefusion", strength=1.0, l1_ratio=0.5, class_weight="none")
    last, (report,) = trained(model, small, tmp_path)
    assert report.lr is None
    assert last.parameters == 8
    assert not any(p.requires_grad for p in last.view.parameters())
    resumed = fit(last.view, last.batches, training(model), seed=1, resume=report.snapshot())
    assert not list(resumed)


def test_the_lesions_size_orders_the_cases_as_it_is(small: SmallCohort, tmp_path: Path) -> None:
    last, (report,) = trained(config_of("lesion_box"), small, tmp_path)
    val = small.rows.filter(small.rows["case"].is_in(list(small.fold.val)))
    sizes = val["max_diam_mm"].to_numpy()
    ordered = sizes[np.argsort(report.predictions.probability)].tolist()
    assert ordered in (sorted(sizes), sorted(sizes, reverse=True))
    assert set(last.batches.fitted()["encoder"]) == {LESION_SIZE}


@pytest.mark.parametrize("name", ["pecon", "mmtm", "penet", "cross_attention", "kan", "pefusion"])
def test_the_whole_network_says_of_windows_what_the_last_stage_said_of_features(
    name: str, small: SmallCohort, tmp_path: Path
) -> None:
    model = config_of(name, **STILL.get(name, {}))
    given = {"step_epochs": 1} if NETWORKS[name].earlier else {}
    last, reports = trained(model, small, tmp_path, epochs=1, **given)
    torch.manual_seed(99)
    again = whole_network(model)  # as `predict` builds it, then fills it from a file
    again.load_state_dict({name: t.clone() for name, t in last.net.state_dict().items()})
    again.eval()
    windows = last.batches.windows if isinstance(last.batches, FrozenFold) else last.batches
    total, count = np.zeros(4), np.zeros(4)
    for batch in windows.val:  # type: ignore[attr-defined]
        with torch.no_grad():
            logits = again(batch.volume, batch.table)
        np.add.at(total, batch.case, torch.sigmoid(logits.double()).numpy())
        np.add.at(count, batch.case, 1)
    assert total / count == pytest.approx(reports[-1].predictions.probability, abs=1e-5)
    assert not isinstance(again, OnImageSide) or not again.training


def test_what_penet_has_learnt_alone_is_taken_over(small: SmallCohort, tmp_path: Path) -> None:
    model = config_of("pefusion", strength=1.0, l1_ratio=0.5, class_weight="none")
    last, _ = trained(model, small, tmp_path)
    (path,) = tmp_path.glob("trunk-*.safetensors")
    kept = checkpoint.load(path, path.parent).part("penet.")
    ours = last.net.get_submodule("net.image").state_dict()
    assert kept.keys() == ours.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in kept.items())
