"""From cached volumes and cohort rows to batches of tensors.

Axis letters: B batch, C HU windows (one, or three), D slices, H rows, W columns. A training epoch
is a function of (seed, epoch) alone, so a run that goes on after an interruption sees the batches
it would have seen. Evaluation windows are fixed, and a case's probability is the mean over its
windows: adding slices does not raise it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.data.augment import (
    centre_crop,
    centred_start,
    cut,
    evaluation_starts,
    stream,
    training_window,
)
from mmcaf.data.encoding import CLINICAL, Intensity, TableEncoder
from mmcaf.data.splits import Fold
from mmcaf.errors import DataError

__all__ = [
    "Batch",
    "Draw",
    "EvalBatches",
    "EvalSource",
    "FoldBatches",
    "FoldSource",
    "TrainBatches",
    "TrainSource",
    "fold_batches",
]

Draw = tuple[int, ...]  # (epoch, how often the case came in it), or (which of finitely many,)
Volumes = Mapping[str, NDArray[np.int16]]  # case -> HU [slices, rows, columns]
_NO_WINDOW = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows with their clinical rows."""

    volume: Float[Tensor, "b ..."]  # windows [b,c,d,h,w], normalised; or what is known of them
    table: Float[Tensor, "b 7"]  # within [-1, 1]
    label: Float[Tensor, " b"]  # 1 squamous, 0 adenocarcinoma
    case: NDArray[np.int64]  # for each window the index of its case among the rows


class TrainSource(Protocol):
    """Whatever gives the batches of a training epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, a function of it alone."""


class EvalSource(Protocol):
    """Whatever gives all batches of some cases once, always the same."""

    @property
    def case(self) -> tuple[str, ...]:
        """Case names, to which `Batch.case` refers."""

    @property
    def label(self) -> NDArray[np.int64]:
        """1 for squamous, 0 for adenocarcinoma; shape (cases,)."""

    def __iter__(self) -> Iterator[Batch]: ...


class FoldSource(Protocol):
    """Training and validation of one fold."""

    @property
    def train(self) -> TrainSource:
        """Its training part."""

    @property
    def val(self) -> EvalSource:
        """Its validation part."""

    def fitted(self) -> dict[str, Any]:
        """What was fitted on the training part, as JSON values."""


@dataclass(frozen=True, slots=True)
class _Cases:
    """What is common to training and evaluation: rows, volumes and the fitted state."""

    rows: pl.DataFrame
    volumes: Volumes
    encoder: TableEncoder
    intensity: Intensity | None  # None: no volume is looked at, a window is empty, [b, 0]
    config: DataConfig
    batch_size: int

    def __post_init__(self) -> None:
        if self.rows.is_empty():
            raise DataError("Need at least one case to make batches of, got none.")
        if self.intensity is None:
            return
        side = self.config.window[1]
        for case in self.case:
            if case not in self.volumes:
                raise DataError(f"Case {case} has no cached volume; ingest the cohort again.")
            found = self.volumes[case].shape
            if len(found) != 3 or 0 in found or min(found[1:]) < side:
                raise DataError(
                    f"The volume of case {case} has shape {list(found)}, too small for a window "
                    f"of {side} x {side}; choose a smaller data.window, or ingest with more pixels."
                )

    @property
    def case(self) -> tuple[str, ...]:
        """Case names, in row order."""
        return tuple(self.rows["case"].to_list())

    @property
    def label(self) -> NDArray[np.int64]:
        """1 for squamous, 0 for adenocarcinoma; shape (cases,)."""
        return self.rows["label"].to_numpy().astype(np.int64)

    def _lesion(self, index: int) -> tuple[int, int]:
        """First and last annotated slice; the volume's middle slice where nothing is annotated."""
        first, last = self.rows.select("z_first_lesion", "z_last_lesion").row(index)
        if first is None or last is None or first < 0:
            middle = len(self.volumes[self.case[index]]) // 2
            return middle, middle
        return int(first), int(last)

    def columns(self) -> tuple[Float[Tensor, "n 7"], Float[Tensor, " n"]]:
        """Clinical values and label of every row, once."""
        return _tensor(self.encoder.transform(self.rows)), _tensor(self.label.astype(np.float32))

    def _batch(
        self,
        windows: Sequence[NDArray[np.float32]],
        case: NDArray[np.int64],
        table: NDArray[np.float32],
        label: NDArray[np.int64],
    ) -> Batch:
        return Batch(
            volume=self._normalised(windows),
            table=_tensor(table[case]),
            label=_tensor(label[case].astype(np.float32)),
            case=case,
        )

    def _normalised(self, windows: Sequence[NDArray[np.float32]]) -> Float[Tensor, "b ..."]:
        stacked = np.stack(windows)
        if self.intensity is None:
            return _tensor(stacked)
        return _tensor(self.intensity.apply(stacked))  # b d h w -> b c d h w


@dataclass(frozen=True, slots=True)
class TrainBatches(_Cases):
    """One augmented window per case and epoch, squamous cases repeated to parity if asked.

    A repeated case is drawn anew, so its windows differ. Windows are always drawn around the
    annotated lesion.
    """

    seed: int
    oversample: bool
    draws: int | None = None  # augmented windows per case, drawn again and again; None: ever new
    window_seed: int = 0  # of those, where they are finite

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, a function of the seeds and it alone."""
        table, label = self.encoder.transform(self.rows), self.label
        for planned in self.planned(number):
            windows = [self._window(index, key) for index, key in planned]
            yield self._batch(windows, np.array([index for index, _ in planned]), table, label)

    def planned(self, number: int) -> Iterator[list[tuple[int, Draw]]]:
        """For each batch of epoch `number` the row index and the draw of every window."""
        random = stream(self.seed, number)
        drawn = self._drawn(random)
        times = np.bincount(drawn)  # so that every case meets all of its draws, one after the other
        seen = np.zeros(len(self.case), dtype=np.int64)
        for part in self._split(random.permutation(drawn)):
            planned: list[tuple[int, Draw]] = []
            for index in part.tolist():
                nth = int(seen[index])
                seen[index] += 1
                again = self.draws and ((number * int(times[index]) + nth) % self.draws,)
                planned.append((index, again or (number, nth)))
            yield planned

    def window(self, index: int, draw: Draw) -> Float[Tensor, "1 c d h w"]:
        """One normalised window: row `index` of the fold, as `draw` has it."""
        return self._normalised([self._window(index, draw)])

    def _window(self, index: int, draw: Draw) -> NDArray[np.float32]:
        if self.intensity is None:
            return _NO_WINDOW
        seed = self.seed if self.draws is None else self.window_seed
        name = self.case[index]
        *epoch, nth = draw
        random = stream(seed, *epoch, name, nth)
        return training_window(self.volumes[name], self._lesion(index), self.config, random)

    def _drawn(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Row indices of one epoch, each case at least once."""
        label = self.label
        everyone = np.arange(len(label))
        positive = everyone[label == 1]
        lacking = len(label) - 2 * len(positive)
        if not self.oversample or lacking <= 0 or not len(positive):
            return everyone
        times, rest = divmod(lacking, len(positive))
        extra = random.choice(positive, size=rest, replace=False)
        return np.concatenate([everyone, np.repeat(positive, times), extra])

    def _split(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Batches of `batch_size`; a rest of one joins its neighbour, batch norm needs two."""
        starts = list(range(0, len(order), self.batch_size))
        if len(starts) > 1 and len(order) - starts[-1] == 1:
            starts.pop()
        return np.split(order, starts[1:])


@dataclass(frozen=True, slots=True)
class EvalBatches(_Cases):
    """All fixed windows of every case, or the lesion-centred one where the config says oracle."""

    def __iter__(self) -> Iterator[Batch]:
        table, label = self.encoder.transform(self.rows), self.label
        for planned in self.planned():
            windows = [self._window(index, start) for index, start in planned]
            yield self._batch(windows, np.array([index for index, _ in planned]), table, label)

    def planned(self) -> Iterator[list[tuple[int, int]]]:
        """For each batch the row index and the first slice of every window."""
        places = [
            (index, start) for index in range(len(self.case)) for start in self._starts(index)
        ]
        for first in range(0, len(places), self.batch_size):
            yield places[first : first + self.batch_size]

    def window(self, index: int, start: int) -> Float[Tensor, "1 c d h w"]:
        """One normalised window: row `index` of the fold, from slice `start`."""
        return self._normalised([self._window(index, start)])

    def _window(self, index: int, start: int) -> NDArray[np.float32]:
        if self.intensity is None:
            return _NO_WINDOW
        depth, side, _ = self.config.window
        return centre_crop(cut(self.volumes[self.case[index]], start, depth), side)

    def _starts(self, index: int) -> tuple[int, ...]:
        if self.intensity is None:
            return (0,)
        n_slices, depth = len(self.volumes[self.case[index]]), self.config.window[0]
        if self.config.location == "oracle":
            return (centred_start(self._lesion(index), n_slices, depth),)
        return evaluation_starts(n_slices, depth, self.config.tile_stride)


@dataclass(frozen=True, slots=True)
class FoldBatches:
    """Training and validation of one fold, with what was fitted on its training part."""

    train: TrainBatches
    val: EvalBatches

    def fitted(self) -> dict[str, Any]:
        """The fitted state as JSON values, for the checkpoint."""
        intensity = self.train.intensity
        return {
            "encoder": self.train.encoder.to_json(),
            "intensity": None if intensity is None else intensity.to_json(),
        }

    def sampled(self, config: TrainConfig, *, seed: int | None = None) -> FoldBatches:
        """This fold with training batches as `config` has them, in another order with `seed`."""
        train = replace(
            self.train,
            batch_size=config.batch_size,
            oversample=config.oversample,
            seed=self.train.seed if seed is None else seed,
        )
        return replace(self, train=train)


def fold_batches(
    rows: pl.DataFrame,
    volumes: Volumes,
    fold: Fold,
    *,
    data: DataConfig,
    train: TrainConfig,
    seed: int,
    columns: Sequence[str] | None = None,
    images: bool = True,
) -> FoldBatches:
    """Fit on the training cases of `fold`, and on nothing else; prepare both parts.

    Args:
        rows: the cohort's patients; may hold more cases than the fold.
        volumes: case -> int16 HU, at least as wide as the window; `data.in_plane_px` gives room
            for crop jitter.
        fold: which cases train and which validate.
        data: how windows are cut.
        train: batch size and oversampling.
        seed: decides order and augmentation; give each fold its own.
        columns: what the table holds, see `TableEncoder.fit`; None: the clinical values.
        images: whether windows are cut; if not, `volumes` is never looked at.

    Raises:
        DataError: a case of the fold has no row or no volume, or fewer than two train.
    """
    train_rows, val_rows = _rows_of(rows, fold.train), _rows_of(rows, fold.val)
    if train_rows.height < 2:
        raise DataError(f"Batch norm needs at least two training cases, got {train_rows.height}.")
    encoder = TableEncoder.fit(train_rows, columns or CLINICAL)
    of_training = (volumes[case] for case in train_rows["case"])
    intensity = Intensity.fit(of_training, data.windows_hu) if images else None
    fitted = (volumes, encoder, intensity, data)
    return FoldBatches(
        train=TrainBatches(
            train_rows, *fitted, train.batch_size, seed=seed, oversample=train.oversample
        ),
        val=EvalBatches(val_rows, *fitted, 2 * train.batch_size),
    )


def _tensor(array: NDArray[np.float32]) -> Tensor:
    """A copy in torch's own memory: numpy's is aligned by luck, and sums may depend on that."""
    return torch.from_numpy(array).clone()


def _rows_of(rows: pl.DataFrame, cases: Sequence[str]) -> pl.DataFrame:
    """One row per case, sorted by name: the order of the cohort's rows has no effect."""
    found = rows.filter(pl.col("case").is_in(list(cases))).sort("case")
    absent = sorted(set(cases) - set(found["case"]))
    if absent:
        raise DataError(
            f"{len(absent)} cases of the fold are not in the cohort, {absent[0]} for one; "
            "give the cohort the study was begun with."
        )
    return found
