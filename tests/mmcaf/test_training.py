from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from mmcaf import checkpoint
from mmcaf.checkpoint import Checkpoint
from mmcaf.config import DataConfig, TrainConfig
from mmcaf.data.augment import cut, evaluation_starts
from mmcaf.data.batches import FoldBatches, fold_batches
from mmcaf.data.encoding import CLINICAL, TableEncoder
from mmcaf.data.splits import Fold
from mmcaf.errors import DataError
from mmcaf.training import fit, predict

CASES = tuple(f"case{i}" for i in range(10))
DATA = DataConfig(window=(4, 8, 8), tile_stride=2)
TRAIN = TrainConfig(epochs=3, lr=0.01)
FOLD = Fold(train=CASES[:7], val=CASES[7:])


def cohort() -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "case": CASES,
            "label": [0, 0, 0, 0, 0, 1, 1, 0, 1, 0],
            "z_first_lesion": [2] * 9 + [-1],
            "z_last_lesion": [4] * 9 + [-1],
            **{name: random.normal(60, 9, 10) for name in CLINICAL},
        }
    ).with_columns(pl.lit(1).alias("sex"), pl.lit(0).alias("smoker"))
    volumes = {c: random.integers(-1000, 400, (9, 24, 24)).astype(np.int16) for c in CASES}
    return rows, volumes


def batches(train: TrainConfig = TRAIN, data: DataConfig = DATA) -> FoldBatches:
    rows, volumes = cohort()
    return fold_batches(rows, volumes, FOLD, data=data, train=train, seed=3)


class Tiny(nn.Module):
    """Has all that could break an exact resumption: dropout and running statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm1d(8)
        self.out = nn.Linear(8, 1)

    def forward(self, volume: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        features = torch.cat([volume.mean(dim=(1, 2, 3, 4))[:, None], table], dim=1)
        return self.out(nn.functional.dropout(self.norm(features), 0.5, self.training)).squeeze(1)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    optimizer: str, after: int, tmp_path: Path
) -> None:
    config = replace(TRAIN, optimizer=optimizer)
    whole = list(fit(Tiny(), batches(), config, seed=1))
    for report in fit(Tiny(), batches(), config, seed=1):
        if report.epoch == after:
            checkpoint.save(tmp_path / "c.safetensors", report.snapshot())
            break
    kept = checkpoint.load(tmp_path / "c.safetensors")
    rest = list(fit(Tiny(), batches(), config, seed=1, resume=kept))
    assert [r.epoch for r in rest] == [r.epoch for r in whole[after + 1 :]]
    for old, new in zip(whole[after + 1 :], rest, strict=True):
        assert new.train_loss == old.train_loss
        assert np.array_equal(new.predictions.probability, old.predictions.probability)


def test_training_lowers_the_loss() -> None:
    config = TrainConfig(epochs=60, lr=0.05, optimizer="adamw")
    reports = list(fit(Tiny(), batches(), config, seed=1))
    assert reports[-1].train_loss < 0.8 * reports[0].train_loss


def test_a_loss_that_is_not_finite_names_its_place() -> None:
    model = Tiny()
    nn.init.constant_(model.out.weight, float("nan"))
    with pytest.raises(FloatingPointError, match="epoch 0, batch 0"):
        next(fit(model, batches(), TRAIN, seed=1))


def test_squamous_cases_are_repeated_to_parity_in_training_alone() -> None:
    drawn = torch.cat([batch.label for batch in batches().train.epoch(0)])
    assert (drawn == 1).sum() == (drawn == 0).sum() == 5
    validated = {int(case) for batch in batches().val for case in batch.case}
    assert validated == {0, 1, 2}


def test_an_epoch_is_the_same_whenever_it_is_asked_for() -> None:
    made = batches()
    first = [batch.volume for batch in made.train.epoch(1)]
    list(made.train.epoch(0))
    assert all(map(torch.equal, first, (batch.volume for batch in made.train.epoch(1))))
    assert not torch.equal(first[0], next(iter(made.train.epoch(0))).volume)


def test_nothing_of_the_validation_cases_reaches_training() -> None:
    rows, volumes = cohort()
    held = pl.col("case").is_in(list(FOLD.val))
    rows = rows.with_columns(pl.when(held).then(999.0).otherwise("age_years").alias("age_years"))
    volumes |= {case: volumes[case] + np.int16(500) for case in FOLD.val}
    other = fold_batches(rows, volumes, FOLD, data=DATA, train=TRAIN, seed=3)
    made = batches()
    assert other.fitted() == made.fitted()
    pairs = zip(made.train.epoch(0), other.train.epoch(0), strict=True)
    assert all(torch.equal(a.volume, b.volume) and torch.equal(a.table, b.table) for a, b in pairs)


def test_a_probability_is_the_mean_over_the_windows_of_its_case() -> None:
    made = batches()
    model = Tiny().eval()
    with torch.no_grad():
        parts = [(batch.case, model(batch.volume, batch.table)) for batch in made.val]
    found = predict(model, made.val).probability
    for case in range(3):
        of_case = [torch.sigmoid(z.double())[torch.from_numpy(c == case)] for c, z in parts]
        assert found[case] == pytest.approx(float(torch.cat(of_case).mean()), abs=1e-12)


@pytest.mark.parametrize(("slices", "depth", "stride"), [(9, 4, 2), (64, 12, 6), (12, 12, 6)])
def test_evaluation_windows_cover_every_slice(slices: int, depth: int, stride: int) -> None:
    starts = evaluation_starts(slices, depth, stride)
    assert {z for start in starts for z in range(start, start + depth)} == set(range(slices))


def test_a_short_series_is_padded_with_air_on_both_sides() -> None:
    found = cut(np.ones((2, 3, 3), dtype=np.int16), -1, 4)
    assert found[:, 0, 0].tolist() == [-1024, 1, 1, -1024]


def test_missing_values_become_the_training_median() -> None:
    rows = cohort()[0].with_columns(pl.Series("age_years", [50.0, 60, 70, *[60.0] * 7]))
    encoder = TableEncoder.fit(rows)
    gap = rows.head(1).with_columns(pl.lit(None, dtype=pl.Float64).alias("age_years"))
    assert encoder.transform(gap)[0, 1] == 0.0
    assert encoder.transform(rows)[:3, 1].tolist() == [-1.0, 0.0, 1.0]
    assert TableEncoder.from_json(encoder.to_json()) == encoder


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, Checkpoint({"a": torch.ones(4)}, {}))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="Cannot load the checkpoint"):
        checkpoint.load(path)
