"""The fusion stage at full width: image tokens from disk beside the encoder run in every step.

    python tests/benchmarks/bench_features.py

Same windows, same seeds, in turn in one run; the metrics of every epoch must be equal. The samples
are training windows, the seconds those of whole epochs with their validation.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.data.batches import FoldBatches, fold_batches
from mmcaf.data.splits import Fold
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.stage_views import FusionStage
from mmcaf.training.frozen import digest_of, frozen_fold
from mmcaf.training.loop import EpochReport, fit

CASES, TRAINED, SLICES, EPOCHS = 26, 24, 12, 2
TRAIN = TrainConfig(epochs=EPOCHS, batch_size=4, frozen_draws=2, oversample=False)


def windows() -> FoldBatches:
    """Noise: what a window holds does not change how long it takes."""
    random = np.random.default_rng(0)
    names = [f"c{i:02}" for i in range(CASES)]
    columns = {
        "label": pl.Series([i % 2 for i in range(CASES)], dtype=pl.Int8),
        "z_first_lesion": [SLICES // 2] * CASES,
        "z_last_lesion": [SLICES // 2] * CASES,
    }
    values = ("sex", "age_years", "weight_kg", "t_ord", "n_ord", "m_ord", "smoker")
    table = {name: random.uniform(0, 1, CASES) for name in values}
    rows = pl.DataFrame({"case": names, **columns, **table})
    volumes = {n: random.integers(-1000, 400, (SLICES, 208, 208)).astype(np.int16) for n in names}
    fold = Fold(train=tuple(names[:TRAINED]), val=tuple(names[TRAINED:]))
    data = DataConfig(tile_stride=12)
    return fold_batches(rows, volumes, fold, data=data, train=TRAIN, seed=0)


def run(batches: FoldBatches, folder: Path | None, epochs: int) -> list[EpochReport]:
    """The fusion stage, its weights and windows decided by fixed seeds."""
    torch.manual_seed(0)
    net = MMCAFNet(ModelConfig()).eval()

    @torch.no_grad()
    def encode(window: torch.Tensor) -> torch.Tensor:
        return net.image_tokens(window)

    frozen = frozen_fold(
        batches,
        encode,
        draws=TRAIN.frozen_draws,
        window_seed=0,
        folder=folder,
        digest=digest_of(net.state_dict()),
    )
    config = replace(TRAIN, epochs=epochs)
    return list(fit(FusionStage(net), frozen, config, seed=0))


def numbers(reports: list[EpochReport]) -> list[object]:
    return [(r.train_loss, r.rates, r.predictions.probability.tolist()) for r in reports]


def main() -> None:
    batches = windows()
    with tempfile.TemporaryDirectory() as folder:
        run(batches, Path(folder), 2)  # computes the tokens
        anew = run(batches, None, EPOCHS)
        cached = run(batches, Path(folder), 40)
    assert numbers(anew) == numbers(cached[:EPOCHS]), "the epochs' metrics differ"
    slow, fast = (TRAINED / min(r.seconds for r in reports) for reports in (anew, cached))
    threads = torch.get_num_threads()
    print(f"Fusion stage, width 1, batch {TRAIN.batch_size}, {threads} threads")
    print(f"encoder in every step {slow:8.3f} samples/s")
    print(
        f"tokens from disk      {fast:8.1f} samples/s  ratio {fast / slow:.0f}  metrics identical"
    )


if __name__ == "__main__":
    main()
