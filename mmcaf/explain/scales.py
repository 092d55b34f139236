"""Clinical attributes on their own scales, coarse enough to tell no patient's value.

Curves of age and weight run from the 5th to the 95th percentile of the training values, never to
the youngest patient or the heaviest; what has levels runs over all of them. Of fewer than 20 values
percentiles are those of single patients: none are told, and curves run between round numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.encoding import TableEncoder
from mmcaf.net.config import TABLE_COLUMNS

__all__ = ["AttributeScale", "banded", "points_of", "scales_of"]

_POINTS = 33  # of a curve
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LEAST_KNOWN = 20
_LOG = "log_"  # a column that is read by its logarithm: the lesion's size alone
_LOG_UNIT = "log mm, root of width x height of the largest box"
_BANDS = {
    "age_years": 5,
    "weight_kg": 10,
    "max_diam_mm": 10,
}  # width of the band a patient's value is told in
_LEVELS = {
    "sex": "0 female, 1 male",
    "t_ord": "T: 0 is, 1 1a, 2 1b, 3 1c, 4 2a, 5 2b, 6 3, 7 4",
    "n_ord": "N: 0 to 3",
    "m_ord": "M: 0, 1 1a, 2 1b, 3 1c",
    "smoker": "0 no, 1 yes",
}
_WORDS = {"sex": ("female", "male"), "smoker": ("no", "yes")}


@dataclass(frozen=True, slots=True, eq=False)
class AttributeScale:
    """One attribute as a fold's training rows have it."""

    name: str
    unit: str  # or what its levels mean
    x: NDArray[np.float64]  # points of the curves, in that unit
    points: NDArray[np.float64]  # the same within [-1, 1], as the network reads them
    median: float  # within [-1, 1]
    quantiles: tuple[float, ...]  # 5, 25, 50, 75, 95 % of the known training values, or ()
    n_train: int  # known training values


def scales_of(encoder: TableEncoder, rows: pl.DataFrame) -> list[AttributeScale]:
    """The scales of the encoder's columns.

    Args:
        encoder: fitted on `rows`.
        rows: of the training cases.
    """
    found = []
    for name, column in zip(encoder.to_json(), encoder.columns, strict=True):
        known = _known(rows, name)
        enough = len(known) >= _LEAST_KNOWN
        quantiles = tuple(np.quantile(known, _QUANTILES).tolist()) if enough else ()
        low, high = column.low, column.high
        if name not in _LEVELS:
            band = _BANDS.get(name, 1)
            wide = floor(low / band) * band, ceil(high / band) * band
            low, high = (quantiles[0], quantiles[-1]) if enough else wide
        x = np.linspace(low, high, _POINTS)
        found.append(
            AttributeScale(
                name=name,
                unit=_LEVELS.get(
                    name, _LOG_UNIT if name.startswith(_LOG) else name.rpartition("_")[2]
                ),
                x=x,
                points=column.scaled(x),
                median=float(column.scaled(np.array([column.median]))[0]),
                quantiles=quantiles,
                n_train=len(known),
            )
        )
    return found


def points_of(scales: Sequence[AttributeScale]) -> NDArray[np.float64]:
    """All points as rows a network can read, [points, 7]; 0 beyond the attributes there are."""
    points = np.zeros((_POINTS, TABLE_COLUMNS))
    for index, scale in enumerate(scales):
        points[:, index] = scale.points
    return points


def banded(name: str, row: Mapping[str, Any]) -> str:
    """A patient's value in words: a band of 5 years or 10 kg, a stage, yes or no.

    >>> banded("age_years", {"age_years": 67.0}), banded("smoker", {"smoker": -1})
    ('65-69 years', 'unknown')
    """
    name = name.removeprefix(_LOG)  # nobody thinks in logarithms
    value = row.get(name)
    if value is None or value < 0 or np.isnan(value):
        return "unknown"
    if name in _BANDS:
        low = int(value // _BANDS[name]) * _BANDS[name]
        return f"{low}-{low + _BANDS[name] - 1} {name.rpartition('_')[2]}"
    if name in _WORDS:
        return _WORDS[name][int(value)]
    stage = row.get(f"{name[0]}_raw")
    return f"{name[0].upper()}{stage}" if name in _LEVELS and stage else f"{value:.3g}"


def _known(rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
    values = rows[name.removeprefix(_LOG)].cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
    known: NDArray[np.float64] = values[values >= 0]  # -1 is unknown
    return np.log(known) if name.startswith(_LOG) else known
