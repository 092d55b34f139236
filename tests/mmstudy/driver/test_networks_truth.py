"""What every network finds where it is known what there is to find.

One trunk per fold serves all networks of a cohort; windows and widths are tiny, features come from
disk. Seeds and the key of case names, which decides the folds, were fixed beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mmcaf.config import DataConfig, Stage, TrainConfig
from mmcaf.data import volumes
from mmcaf.data.batches import FoldSource, fold_batches
from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.splits import Fold, Protocol, assign
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.data.volumes import VolumeSpec
from mmcaf.net.registry import NETWORKS, config_class, reads_image, table_columns
from mmcaf.stats.areas import auroc
from mmcaf.stats.paired import holm
from mmcaf.training.loop import fit
from mmcaf.training.stages import LastStage, last_stage
from mmstudy.trial.compute import derive_seed
from support.keyed import keyed

pytestmark = pytest.mark.slow

PATIENTS, FOLDS, WIDTH = 72, 3, 1 / 16
SEEDS = {"both": 21, "null": 22, "image": 23, "clinical": 24}
SIGNALS = {"both": (3, 3), "null": (0, 0), "image": (3, 0), "clinical": (0, 3)}
DATA = DataConfig(window=(8, 32, 32), location="oracle", rotate_degrees=10)
EARLIER = {"batch_size": 4, "optimizer": "adamw", "weight_decay": 0.01, "oversample": True}
TRUNK = Stage(part="trunk", epochs=40, lr=2e-3, **EARLIER)  # type: ignore[arg-type]
IMAGE = Stage(part="image", epochs=3, lr=2e-3, **EARLIER)  # type: ignore[arg-type]
ROWS: dict[str, dict[str, Any]] = {
    "mmcaf_net": {"preset": "reference"},
    "pecon": {},
    "medfuse": {"token_dim": 64, "hidden": 128},
    "drfuse": {"dim": 64, "feed_forward": 256},
    "mmtm": {},
    "pefusion": {"strength": 1.0, "l1_ratio": 0.5, "class_weight": "balanced"},
    "daft": {"inputs": 16},
    "penet": {},
    "penet_msca": {"drop": False},
    "cross_attention": {},
    "clip_fusion": {},
    "late_fusion": {},
    "kan": {},
    "mlp": {},
    "logistic": {},
}
IMAGE_ONLY = ("penet", "penet_msca")
TABLE_ONLY = ("kan", "mlp", "logistic")


@dataclass(frozen=True)
class Found:
    """A network's mean AUROC over the folds, what chance gives, and without the right table."""

    auroc: float
    null_error: float  # standard error of `auroc` if scores say nothing
    shuffled: float  # with the tables of other patients

    @property
    def z(self) -> float:
        return (self.auroc - 0.5) / self.null_error


def training(model: Any) -> TrainConfig:
    entry = NETWORKS[model.name]
    reads = entry.image_of(model) or "embedding"
    stages = {
        "none": (Stage(part="end_to_end"),),
        "window": (TRUNK, Stage(part="end_to_end")),
        "embedding": (TRUNK, IMAGE, Stage(part="fusion")),
    }.get(reads, (TRUNK, Stage(part="fusion")))
    epochs = 1 if entry.is_solved(model) else 12 if reads == "window" else 20
    return TrainConfig(
        stages=stages,
        epochs=epochs,
        lr=3e-3 if model.name == "penet_msca" else 1e-3,
        batch_size=16 if reads != "window" else 4,
        optimizer="adamw",
        frozen_draws=3,
        oversample=not entry.unique,
        step_epochs=20 if entry.earlier else None,
    )


def cohort_of(kind: str, folder: Path) -> Cohort:
    image, clinical = SIGNALS[kind]
    spec = SyntheticSpec(
        patients=PATIENTS,
        size=64,
        slices=12,
        signal_image=image,
        signal_clinical=clinical,
        prevalence=0.5,
        seed=SEEDS[kind],
    )
    write(folder / "dicom", spec)
    cohort = ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=48)
    volumes.build(cohort, VolumeSpec(48))
    return cohort


def rows_of(kind: str, cohort: Cohort) -> pl.DataFrame:
    """The patients; where the image alone is to say something, T stages are dealt anew, since they
    follow the lesion's size."""
    rows = cohort.patients
    if kind != "image":
        return rows
    return rows.with_columns(pl.col("t_ord").shuffle(seed=SEEDS[kind]))


def last_of(
    name: str, cohort: Cohort, rows: pl.DataFrame, fold: Fold, index: int, folder: Path
) -> LastStage:
    """The network trained in one fold."""
    model = config_class(name)(width=WIDTH, **ROWS[name])
    train, seed = training(model), derive_seed(0, index)
    images = reads_image(model)
    batches = fold_batches(
        rows,
        volumes.open_volumes(cohort, VolumeSpec(48)) if images else {},
        fold,
        data=DATA,
        train=train,
        seed=seed,
        columns=table_columns(model),
        images=images,
    )
    stages = last_stage(
        model, train, batches, seed=seed, shared_seed=seed, source=cohort.digest, folder=folder
    )
    while True:
        try:
            next(stages)
        except StopIteration as done:
            last: LastStage = done.value
            break
    for _ in fit(last.view, last.batches, train, seed=seed):
        pass
    return last


@torch.no_grad()
def scores(view: nn.Module, batches: FoldSource, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of every validation case, given the table of the case `order` puts there."""
    view.eval()
    tables = {}
    for batch in batches.val:
        tables |= dict(zip(batch.case.tolist(), batch.table, strict=True))
    total, count = np.zeros(len(order)), np.zeros(len(order))
    for batch in batches.val:
        answer = view(batch.volume, torch.stack([tables[order[i]] for i in batch.case]))
        logit = answer if isinstance(answer, torch.Tensor) else answer.logit
        np.add.at(total, batch.case, torch.sigmoid(logit.double()).numpy())
        np.add.at(count, batch.case, 1)
    return np.asarray(total / count)


def found_in(kind: str, names: tuple[str, ...], folder: Path) -> dict[str, Found]:
    cohort = cohort_of(kind, folder)
    rows = rows_of(kind, cohort)
    split = assign(
        rows["case"].to_list(),
        rows["label"].to_list(),
        rows["group_id"].to_list(),
        protocol=Protocol(kind="kfold", folds=FOLDS, seed=0),
    )
    found = {}
    for name in names:
        areas, others, variances = [], [], []
        for index, fold in enumerate(split.folds):
            last = last_of(name, cohort, rows, fold, index, folder / "shared")
            label = last.batches.val.label
            everyone = np.arange(len(label))
            areas.append(auroc(label, scores(last.view, last.batches, everyone)))
            random = np.random.default_rng(index)
            shuffles = [random.permutation(everyone) for _ in range(10)]
            other = [auroc(label, scores(last.view, last.batches, order)) for order in shuffles]
            others.append(np.mean(other))
            positive, negative = label.sum(), (1 - label).sum()
            variances.append((positive + negative + 1) / (12 * positive * negative))
        error = float(np.sqrt(np.sum(variances)) / FOLDS)
        found[name] = Found(float(np.mean(areas)), error, float(np.mean(others)))
    return found


def told(found: dict[str, Found]) -> str:
    return "; ".join(
        f"{name} {one.auroc:.3f} z {one.z:+.1f} shuffled {one.shuffled:.3f}"
        for name, one in found.items()
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    return found_in("both", tuple(ROWS), tmp_path_factory.mktemp("both"))


def test_every_network_finds_what_there_is(both: dict[str, Found]) -> None:
    corrected = holm([1 - NormalDist().cdf(one.z) for one in both.values()])
    assert all(p is not None and p < 0.05 for p in corrected), told(both)


def test_the_table_of_another_patient_makes_a_network_worse(both: dict[str, Found]) -> None:
    reading = {name: one for name, one in both.items() if name not in IMAGE_ONLY}
    assert all(one.shuffled < one.auroc for one in reading.values()), told(reading)
    blind = {name: one for name, one in both.items() if name in IMAGE_ONLY}
    assert all(one.shuffled == pytest.approx(one.auroc) for one in blind.values()), told(blind)


def test_no_network_finds_what_there_is_not(tmp_path: Path) -> None:
    found = found_in("null", tuple(ROWS), tmp_path)
    assert all(abs(one.z) < 3.5 for one in found.values()), told(found)


def test_images_alone_say_nothing_to_a_network_of_the_table(tmp_path: Path) -> None:
    found = found_in("image", TABLE_ONLY, tmp_path)
    assert all(abs(one.z) < 3.5 for one in found.values()), told(found)


def test_tables_alone_say_nothing_to_a_network_of_the_image(tmp_path: Path) -> None:
    found = found_in("clinical", IMAGE_ONLY, tmp_path)
    assert all(abs(one.z) < 3.5 for one in found.values()), told(found)
