"""A small cohort in memory: rows as ingestion writes them, volumes whose voxels are noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.data.batches import FoldBatches, fold_batches
from mmcaf.data.splits import Fold

STILL = DataConfig(
    window=(4, 16, 16),
    hu=(-1000.0, 1000.0),
    tile_stride=2,
    jitter_slices=0,
    rotate_degrees=0.0,
    flip=False,
    sharpen=False,
)
BRIEF = TrainConfig(epochs=4, batch_size=2, lr=0.05)
SLICES = (9, 3, 14, 6, 4, 11, 7, 5, 8, 10, 12, 13)  # some shorter than the window, some long


@dataclass(frozen=True)
class SmallCohort:
    """Twelve cases, of which c0, c4 and c8 are squamous; the last four validate."""

    rows: pl.DataFrame
    volumes: dict[str, NDArray[np.int16]]
    fold: Fold
    data: DataConfig = STILL
    train: TrainConfig = BRIEF

    def batches(self, seed: int = 0, **changes: Any) -> FoldBatches:
        """Batches of the fold; `changes` replace fields of the data or train config."""
        own = {name for name in changes if hasattr(self.data, name)}
        return fold_batches(
            self.rows,
            self.volumes,
            self.fold,
            data=replace(self.data, **{name: changes[name] for name in own}),
            train=replace(self.train, **{n: v for n, v in changes.items() if n not in own}),
            seed=seed,
        )


def small_cohort() -> SmallCohort:
    """A fresh one, the same every time."""
    names = [f"c{index:02}" for index in range(len(SLICES))]
    random = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "case": names,
            "label": pl.Series([int(i % 4 == 0) for i in range(len(names))], dtype=pl.Int8),
            "z_first_lesion": [n // 2 for n in SLICES],
            "z_last_lesion": [n // 2 for n in SLICES],
            "sex": pl.Series([i % 2 for i in range(len(names))], dtype=pl.Int8),
            "age_years": random.uniform(40, 80, len(names)),
            "weight_kg": random.uniform(50, 90, len(names)),
            "t_ord": random.integers(0, 8, len(names)).astype(float),
            "n_ord": random.integers(0, 4, len(names)).astype(float),
            "m_ord": random.integers(0, 2, len(names)).astype(float),
            "smoker": pl.Series([i % 3 - 1 for i in range(len(names))], dtype=pl.Int8),
        }
    )
    volumes = {
        name: random.integers(-900, 900, (n, 32, 32)).astype(np.int16)
        for name, n in zip(names, SLICES, strict=True)
    }
    return SmallCohort(rows, volumes, Fold(train=tuple(names[:8]), val=tuple(names[8:])))
