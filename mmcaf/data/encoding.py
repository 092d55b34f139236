"""What is fitted on the training fold, and on nothing else: the clinical row and the intensities.

The state of both is a few numbers, kept as JSON in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["CLINICAL", "Intensity", "TableEncoder"]

# Columns of the cohort table, in the order the network reads them.
CLINICAL = ("sex", "age_years", "weight_kg", "t_ord", "n_ord", "m_ord", "smoker")
_MINUS_ONE_IS_MISSING = ("sex", "smoker")


@dataclass(frozen=True, slots=True)
class TableEncoder:
    """Seven clinical values, missing ones set to the training median, scaled to [-1, 1].

    The KAN's splines live on [-1, 1] and vanish beyond about 2.2, so values outside the range seen
    in training are clipped to it.
    """

    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, rows: pl.DataFrame) -> TableEncoder:
        """Learn from training rows; a column without any value is 0 throughout."""
        if rows.is_empty():
            raise ValueError("Need at least one training row to fit the clinical encoder.")
        columns = [_values(rows, name) for name in CLINICAL]
        seen = [values[~np.isnan(values)] for values in columns]
        known = [values if len(values) else np.zeros(1) for values in seen]
        return cls(
            median=tuple(float(np.median(values)) for values in known),
            low=tuple(float(values.min()) for values in known),
            high=tuple(float(values.max()) for values in known),
        )

    def transform(self, rows: pl.DataFrame) -> NDArray[np.float32]:
        """Rows as an array of shape (rows, 7) within [-1, 1]."""
        columns = []
        state = zip(CLINICAL, self.median, self.low, self.high, strict=True)
        for name, median, low, high in state:
            values = _values(rows, name)
            values = np.where(np.isnan(values), median, values)
            span = high - low
            scaled = 2 * (values - low) / span - 1 if span else np.zeros_like(values)
            columns.append(np.clip(scaled, -1, 1))
        return np.stack(columns, axis=1).astype(np.float32)

    def to_json(self) -> dict[str, list[float]]:
        """Plain lists, one entry per column of `CLINICAL`."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Sequence[float]]) -> TableEncoder:
        """The inverse of `to_json`."""
        return cls(tuple(value["median"]), tuple(value["low"]), tuple(value["high"]))


@dataclass(frozen=True, slots=True)
class Intensity:
    """HU window mapped to [0, 1], then centred and scaled by what the training volumes hold."""

    hu: tuple[float, float]
    mean: float
    std: float

    @classmethod
    def fit(
        cls, volumes: Sequence[NDArray[np.int16]], hu: tuple[float, float], *, step: int = 4
    ) -> Intensity:
        """Learn from every `step`-th voxel per axis of training volumes [slices, rows, columns]."""
        if not volumes:
            raise ValueError("Need at least one training volume to fit intensities.")
        parts = [_scaled(v[::step, ::step, ::step], hu).ravel() for v in volumes]
        voxels = np.concatenate(parts).astype(np.float64)
        return cls(hu, float(voxels.mean()), float(voxels.std()) or 1.0)

    def apply(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise a window in HU of any shape."""
        return ((_scaled(window, self.hu) - self.mean) / self.std).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"hu": list(self.hu), "mean": self.mean, "std": self.std}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Intensity:
        """The inverse of `to_json`."""
        low, high = value["hu"]
        return cls((low, high), value["mean"], value["std"])


def _scaled(values: NDArray[Any], hu: tuple[float, float]) -> NDArray[np.float32]:
    low, high = hu
    scaled = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 1)
    return clipped


def _values(rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
    values = rows[name].cast(pl.Float64).to_numpy().astype(np.float64)
    return np.where(values == -1, np.nan, values) if name in _MINUS_ONE_IS_MISSING else values
