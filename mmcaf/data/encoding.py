"""What is fitted on the training fold, and on nothing else: the clinical row and the intensities.

The state of both is a few numbers, kept as readable JSON in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, TypeVar

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.config import HuWindow
from mmcaf.errors import DataError

__all__ = ["CLINICAL", "LESION_SIZE", "Channel", "Column", "Intensity", "TableEncoder"]

T = TypeVar("T")

# Columns of the cohort table, in the order the network reads them.
CLINICAL = ("sex", "age_years", "weight_kg", "t_ord", "n_ord", "m_ord", "smoker")
LESION_SIZE = "log_max_diam_mm"  # of the largest annotated box: an oracle's value, no clinical one
_MISSING = -1  # beside null; none of the seven can be negative
_FIT_STEP = 4  # every fourth voxel per axis says enough about intensities


@dataclass(frozen=True, slots=True)
class Column:
    """What training rows say about one clinical value, in its own unit."""

    median: float
    low: float
    high: float

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Within [-1, 1]; missing ones at the median, all 0 where training saw a single value."""
        if self.low == self.high:
            return np.zeros_like(values)
        known = np.where(np.isnan(values), self.median, values)
        scaled = 2 * (known - self.low) / (self.high - self.low) - 1
        within: NDArray[np.float64] = np.clip(scaled, -1, 1)
        return within


@dataclass(frozen=True, slots=True)
class TableEncoder:
    """Clinical values, missing ones set to the training median, scaled to [-1, 1].

    The KAN's splines live on [-1, 1] and vanish beyond about 2.2, so values outside the range seen
    in training are clipped to it.
    """

    columns: tuple[Column, ...]  # in the order of `names`
    names: tuple[str, ...] = CLINICAL

    @classmethod
    def fit(cls, rows: pl.DataFrame, names: Sequence[str] = CLINICAL) -> TableEncoder:
        """Learn from training rows; a column without any value becomes 0 throughout.

        Args:
            rows: of the training cases.
            names: what to read, seven columns at most; `LESION_SIZE` is the log of `max_diam_mm`.

        Raises:
            ValueError: no rows.
            DataError: a column is absent, or a value infinite.
        """
        if rows.is_empty():
            raise ValueError("Need at least one training row to fit the clinical encoder, got 0.")
        return cls(tuple(_fitted(_values(rows, name)) for name in names), tuple(names))

    def transform(self, rows: pl.DataFrame) -> NDArray[np.float32]:
        """Rows as an array of shape (rows, 7) within [-1, 1]; 0 beyond the columns there are.

        Raises:
            DataError: a column is absent, or a value infinite.
        """
        table = np.zeros((rows.height, len(CLINICAL)), dtype=np.float32)
        for index, (name, column) in enumerate(zip(self.names, self.columns, strict=True)):
            table[:, index] = column.scaled(_values(rows, name))
        return table

    def to_json(self) -> dict[str, dict[str, float]]:
        """Column name -> median, low, high."""
        return {n: asdict(column) for n, column in zip(self.names, self.columns, strict=True)}

    @classmethod
    def from_json(cls, value: Mapping[str, Mapping[str, float]]) -> TableEncoder:
        """The inverse of `to_json`.

        Raises:
            DataError: other columns, or no numbers.
        """
        known = (CLINICAL, (LESION_SIZE,))
        names = next((names for names in known if set(names) == set(value)), None)
        if names is None:
            raise DataError(
                f"Need the clinical columns {', '.join(CLINICAL)}, got {', '.join(value)}; "
                "this state was written by another version."
            )
        return cls(tuple(_told(value[name], Column) for name in names), names)


@dataclass(frozen=True, slots=True)
class Channel:
    """One HU window mapped to [0, 1], then centred and scaled by what the training volumes hold."""

    hu: HuWindow
    mean: float  # of values in [0, 1]
    std: float

    def apply(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise HU values of any shape: (scaled to [0, 1] - mean) / std."""
        scaled = _scaled(window, self.hu)
        scaled -= np.float32(self.mean)
        scaled /= np.float32(self.std)
        return scaled

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"hu": list(self.hu), "mean": self.mean, "std": self.std}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Channel:
        """The inverse of `to_json`.

        Raises:
            DataError: it is none.
        """
        return _told(value, cls)


@dataclass(frozen=True, slots=True)
class Intensity:
    """One channel per HU window: one wide window, or lung, mediastinum and a wide one."""

    channels: tuple[Channel, ...]

    @classmethod
    def fit(cls, volumes: Iterable[NDArray[np.int16]], windows_hu: Sequence[HuWindow]) -> Intensity:
        """Learn from every fourth voxel per axis of training volumes [slices, rows, columns].

        Volumes are read one after another, each voxel counts the same.

        Raises:
            ValueError: no volumes.
        """
        count = 0
        totals, squares = [0.0] * len(windows_hu), [0.0] * len(windows_hu)
        for volume in volumes:
            some = np.asarray(volume[::_FIT_STEP, ::_FIT_STEP, ::_FIT_STEP])
            count += some.size
            for channel, hu in enumerate(windows_hu):
                voxels = _scaled(some, hu).astype(np.float64)
                totals[channel] += float(voxels.sum())
                squares[channel] += float((voxels**2).sum())
        if not count:
            raise ValueError("Need at least one training volume to fit intensities, got 0.")
        fitted = zip(windows_hu, totals, squares, strict=True)
        return cls(tuple(_channel(hu, total, square, count) for hu, total, square in fitted))

    def apply(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """HU windows [b, d, h, w] -> normalised [b, c, d, h, w]."""
        if len(self.channels) == 1:
            return self.channels[0].apply(windows)[:, None]
        return np.stack([channel.apply(windows) for channel in self.channels], axis=1)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; several channels as a list."""
        if len(self.channels) == 1:
            return self.channels[0].to_json()
        return {"channels": [channel.to_json() for channel in self.channels]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Intensity:
        """The inverse of `to_json`.

        Raises:
            DataError: it is none.
        """
        return cls(tuple(Channel.from_json(part) for part in value.get("channels", [value])))


def _told(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise DataError(
            f"A checkpoint is damaged: of its {kind.__name__.lower()}, {error}. Delete it, and "
            "its networks are trained again."
        ) from error


def _channel(hu: HuWindow, total: float, squares: float, count: int) -> Channel:
    mean = total / count
    std = sqrt(max(squares / count - mean**2, 0.0))
    # Below that the volumes are of one grey, and rounding is all that would be scaled up.
    return Channel(hu, mean, std if std > 1e-6 else 1.0)


def _scaled(values: NDArray[Any], hu: HuWindow) -> NDArray[np.float32]:
    """A new array: `hu` mapped to [0, 1], clipped outside."""
    low, high = hu
    scaled = values.astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    np.clip(scaled, 0, 1, out=scaled)
    return scaled


def _fitted(values: NDArray[np.float64]) -> Column:
    known = values[~np.isnan(values)]
    if not len(known):
        return Column(0.0, 0.0, 0.0)
    return Column(float(np.median(known)), float(known.min()), float(known.max()))


def _values(rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """One column, NaN where missing."""
    if name == LESION_SIZE:
        return np.log(_values(rows, name.removeprefix("log_")))
    if name not in rows.columns:
        raise DataError(f"The cohort has no column {name}; ingest it again.")
    values = rows[name].cast(pl.Float64).to_numpy().astype(np.float64)
    if np.isinf(values).any():
        raise DataError(f"The cohort's column {name} holds an infinite value; mend the sheet.")
    return np.where(values == _MISSING, np.nan, values)
