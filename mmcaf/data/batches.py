"""From cached volumes and cohort rows to batches of tensors.

Axis letters: B batch, D slices, H rows, W columns. A training epoch is a function of (seed, epoch)
alone, so a run that goes on after an interruption sees the batches it would have seen. Evaluation
windows are fixed, and a case's probability is the mean over its windows: adding slices does not
raise it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.data.augment import centre_crop, cut, evaluation_starts, generator, training_window
from mmcaf.data.encoding import Intensity, TableEncoder
from mmcaf.data.splits import Fold

__all__ = ["Batch", "EvalBatches", "FoldBatches", "TrainBatches", "fold_batches"]

Volumes = Mapping[str, NDArray[np.int16]]  # case -> HU [slices, rows, columns]


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows with their clinical rows; `case` has one index into the rows per window."""

    volume: Float[Tensor, "b 1 d h w"]
    table: Float[Tensor, "b 7"]
    label: Float[Tensor, " b"]
    case: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Cases:
    """What is common to training and evaluation: rows, volumes and the fitted state."""

    rows: pl.DataFrame
    volumes: Volumes
    encoder: TableEncoder
    intensity: Intensity
    config: DataConfig
    batch_size: int

    @property
    def case(self) -> tuple[str, ...]:
        """Case names, in row order."""
        return tuple(self.rows["case"])

    @property
    def label(self) -> NDArray[np.int64]:
        """1 for squamous, 0 for adenocarcinoma; shape (cases,)."""
        return self.rows["label"].to_numpy().astype(np.int64)

    def _batch(
        self, windows: list[NDArray[np.float32]], case: NDArray[np.int64], table: NDArray[Any]
    ) -> Batch:
        volume = self.intensity.apply(np.stack(windows))
        return Batch(
            volume=_tensor(volume).unsqueeze(1),
            table=_tensor(table[case]),
            label=_tensor(self.label[case].astype(np.float32)),
            case=case,
        )

    def _lesion(self, index: int) -> tuple[int, int]:
        """First and last annotated slice; the middle of the volume where nothing is annotated."""
        first, last = self.rows["z_first_lesion"][index], self.rows["z_last_lesion"][index]
        if first < 0:
            middle = len(self.volumes[self.case[index]]) // 2
            return middle, middle
        return int(first), int(last)


@dataclass(frozen=True, slots=True)
class TrainBatches(_Cases):
    """One augmented window per case and epoch, squamous cases repeated to parity if asked."""

    seed: int
    oversample: bool

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, a function of the seed and it alone."""
        random = generator(self.seed, number)
        order = random.permutation(self._drawn(random))
        table = self.encoder.transform(self.rows)
        names, seen = self.case, np.zeros(self.rows.height, dtype=np.int64)
        for case in self._split(order):
            windows = []
            for index in case:
                draw = generator(self.seed, number, _key(names[index]), int(seen[index]))
                seen[index] += 1
                volume = self.volumes[names[index]]
                windows.append(training_window(volume, self._lesion(int(index)), self.config, draw))
            yield self._batch(windows, case, table)

    def _drawn(self, random: np.random.Generator) -> NDArray[np.int64]:
        everyone = np.arange(self.rows.height)
        positive, negative = everyone[self.label == 1], everyone[self.label == 0]
        missing = len(negative) - len(positive)
        if not self.oversample or missing <= 0 or not len(positive):
            return everyone
        times, rest = divmod(missing, len(positive))
        extra = random.choice(positive, size=rest, replace=False)
        return np.concatenate([everyone, np.repeat(positive, times), extra])

    def _split(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Batches of `batch_size`; a rest of one joins its neighbour, batch norm needs two."""
        starts = list(range(0, len(order), self.batch_size))
        if len(starts) > 1 and len(order) - starts[-1] == 1:
            starts.pop()
        return [order[a:b] for a, b in zip(starts, [*starts[1:], len(order)], strict=True)]


@dataclass(frozen=True, slots=True)
class EvalBatches(_Cases):
    """All fixed windows of every case, or the lesion-centred one where the config says oracle."""

    def __iter__(self) -> Iterator[Batch]:
        table = self.encoder.transform(self.rows)
        planned = [
            (index, start) for index in range(self.rows.height) for start in self._starts(index)
        ]
        depth, rows, columns = self.config.window
        for first in range(0, len(planned), self.batch_size):
            part = planned[first : first + self.batch_size]
            windows = [
                centre_crop(cut(self.volumes[self.case[i]], start, depth), rows, columns)
                for i, start in part
            ]
            yield self._batch(windows, np.array([i for i, _ in part]), table)

    def _starts(self, index: int) -> tuple[int, ...]:
        slices, depth = len(self.volumes[self.case[index]]), self.config.window[0]
        if self.config.location == "oracle" and slices > depth:
            first, last = self._lesion(index)
            start = (first + last + 1) // 2 - depth // 2
            return (min(max(start, 0), slices - depth),)
        return evaluation_starts(slices, depth, self.config.tile_stride)


@dataclass(frozen=True, slots=True)
class FoldBatches:
    """Training and validation of one fold, with what was fitted on its training part."""

    train: TrainBatches
    val: EvalBatches

    def fitted(self) -> dict[str, Any]:
        """The fitted state as JSON values, for the checkpoint."""
        return {
            "encoder": self.train.encoder.to_json(),
            "intensity": self.train.intensity.to_json(),
        }


def fold_batches(
    rows: pl.DataFrame,
    volumes: Volumes,
    fold: Fold,
    *,
    data: DataConfig,
    train: TrainConfig,
    seed: int,
) -> FoldBatches:
    """Fit on the training cases of `fold`, and on nothing else; prepare both parts."""
    train_rows, val_rows = (
        rows.filter(pl.col("case").is_in(list(part))).sort("case")
        for part in (fold.train, fold.val)
    )
    encoder = TableEncoder.fit(train_rows)
    intensity = Intensity.fit([volumes[case] for case in train_rows["case"]], data.hu)
    return FoldBatches(
        train=TrainBatches(
            train_rows,
            volumes,
            encoder,
            intensity,
            data,
            train.batch_size,
            seed=seed,
            oversample=train.oversample,
        ),
        val=EvalBatches(val_rows, volumes, encoder, intensity, data, 2 * train.batch_size),
    )


def _tensor(array: NDArray[np.float32]) -> Tensor:
    """A copy in torch's own memory: numpy's is aligned by luck, and sums may depend on that."""
    return torch.from_numpy(array).clone()


def _key(case: str) -> int:
    return int.from_bytes(case.encode(), "big")
