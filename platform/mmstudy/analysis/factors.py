"""What patients may be told apart by, as words: the rows of Table 1 and the subgroups.

Levels are coarse, so that none is one patient's own value. What a scanner wrote as text, its maker
and its kernel, is kept as text.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

__all__ = ["FACTORS", "NUMBERS", "Factor", "Number", "known_numbers"]

_INF = float("inf")
_SPACINGS = ((1.5, "up to 1.5 mm"), (3.0, "1.5 to 3 mm"), (_INF, "above 3 mm"))
_SIZES = (
    (20.0, "up to 20 mm"),
    (30.0, "20 to 30 mm"),
    (50.0, "30 to 50 mm"),
    (_INF, "above 50 mm"),
)
_T = ((0.5, "Tis"), (3.5, "T1"), (5.5, "T2"), (6.5, "T3"), (_INF, "T4"))
_N = ((0.5, "N0"), (1.5, "N1"), (2.5, "N2"), (_INF, "N3"))
_M = ((0.5, "M0"), (_INF, "M1"))
_SEX = ((0.5, "female"), (_INF, "male"))
_SMOKER = ((0.5, "no"), (_INF, "yes"))
Bands = tuple[tuple[float, str], ...]
"""Upper end, itself included, and name of each level, the lowest first."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A column of a cohort in levels; without `bands` the text is the level."""

    name: str
    column: str
    bands: Bands = ()

    def levels(self, patients: pl.DataFrame) -> pl.Series | None:
        """(patients,) each one's level, null where it is not known; None where the cohort lacks the
        column, or it holds something else."""
        if self.column not in patients.columns:
            return None
        if not self.bands:
            text = patients[self.column]
            if text.dtype == pl.Null:
                return text.cast(pl.String)
            return text.replace("", None) if text.dtype == pl.String else None
        values = known_numbers(patients, self.column)
        if values is None:
            return None
        chain = pl.lit(None, dtype=pl.String)
        for upper, name in reversed(self.bands):
            chain = pl.when(pl.col("value") <= upper).then(pl.lit(name)).otherwise(chain)
        return pl.DataFrame({"value": values}).select(level=chain)["level"]

    @property
    def order(self) -> tuple[str, ...]:
        """The levels from the lowest; none where they are text."""
        return tuple(name for _, name in self.bands)


@dataclass(frozen=True, slots=True)
class Number:
    """A column of a cohort that is told by its quartiles."""

    name: str
    column: str


FACTORS = (
    Factor("sex", "sex", _SEX),
    Factor("smoker", "smoker", _SMOKER),
    Factor("stage, T", "t_ord", _T),
    Factor("stage, N", "n_ord", _N),
    Factor("stage, M", "m_ord", _M),
    Factor("vendor", "vendor"),
    Factor("kernel", "kernel"),
    Factor("slice spacing", "spacing_z_mm", _SPACINGS),
    Factor("lesion size, longest side of a box", "long_side_mm", _SIZES),
)
NUMBERS = (
    Number("age, years", "age_years"),
    Number("weight, kg", "weight_kg"),
    Number("slices", "n_slices"),
    Number("slice spacing, mm", "spacing_z_mm"),
    Number("lesion size, longest side of a box, mm", "long_side_mm"),
)


def known_numbers(patients: pl.DataFrame, column: str) -> pl.Series | None:
    """(patients,) the values, null where one is missing: null, NaN or below 0, as cohorts have it.

    None where there is no such column, or it holds no numbers.
    """
    if column not in patients.columns:
        return None
    kind = patients[column].dtype
    if not (kind.is_numeric() or kind == pl.Null):
        return None
    value = pl.col(column).cast(pl.Float64)
    kept = pl.when(value.is_finite() & (value >= 0)).then(value)
    return patients.select(value=kept)["value"]
