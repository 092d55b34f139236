"""Table 1: who the patients are, by split and class, with what is missing; no test of anything.

Quartiles of few patients are values of single ones, so below `LEAST` known values none is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mmcaf.data.splits import Split
from mmcaf.stats.metrics import Proportion
from mmstudy.analysis.factors import FACTORS, NUMBERS, Factor, Number, known_numbers

__all__ = ["LEAST", "Line", "Part", "Quartiles", "characteristics", "parts_of"]

LEAST = 5
"""Known values from which on quartiles are told."""

_MOST_TEXTS = 6  # levels of a scanner's own text that have a line; the rest share one


@dataclass(frozen=True, slots=True)
class Part:
    """Patients of one side of the split and one class."""

    side: str  # search or test
    label: int  # 1 squamous, 0 adenocarcinoma
    patients: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Of `known` values; None where these are too few to be told."""

    low: float | None
    median: float | None
    high: float | None
    known: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a cell for each part, in order."""

    name: str
    level: str  # empty: quartiles; `missing`: how many lack a value
    cells: tuple[Quartiles | Proportion, ...]


def parts_of(patients: pl.DataFrame, split: Split) -> list[Part]:
    """The patients of the search and those set aside, each by class; without those nobody is in.

    Args:
        patients: the cohort's rows.
        split: of the study.
    """
    searched = {case for fold in split.folds for case in (*fold.train, *fold.val)}
    found = []
    for side, cases in (("search", searched), ("test", set(split.test))):
        inside = patients.filter(pl.col("case").is_in(list(cases)))
        if not inside.is_empty():
            found += [Part(side, label, inside.filter(label=label)) for label in (1, 0)]
    return found


def characteristics(parts: Sequence[Part]) -> list[Line]:
    """Every line, quartiles first; what the cohort does not record has none."""
    lines: list[Line] = []
    for number in NUMBERS:
        lines += _number(number, parts)
    for factor in FACTORS:
        lines += _factor(factor, parts)
    return lines


def _number(number: Number, parts: Sequence[Part]) -> list[Line]:
    values = [known_numbers(part.patients, number.column) for part in parts]
    known = [of.drop_nulls() for of in values if of is not None]
    if len(known) < len(parts) or not parts:
        return []
    missing = [
        Proportion(part.patients.height - len(of), part.patients.height)
        for part, of in zip(parts, known, strict=True)
    ]
    lines = [Line(number.name, "", tuple(map(_quartiles, known)))]
    return [*lines, Line(number.name, "missing", tuple(missing))]


def _quartiles(known: pl.Series) -> Quartiles:
    if len(known) < LEAST:
        return Quartiles(None, None, None, len(known))
    low, median, high = (known.quantile(share, "linear") for share in (0.25, 0.5, 0.75))
    return Quartiles(low, median, high, len(known))


def _factor(factor: Factor, parts: Sequence[Part]) -> list[Line]:
    found = [factor.levels(part.patients) for part in parts]
    levels = [of for of in found if of is not None]
    if len(levels) < len(parts) or not parts:
        return []
    named = _named(factor, pl.concat(levels))
    lines = [
        Line(factor.name, level, tuple(_share(of.is_in([level]), of) for of in levels))
        for level in named
    ]
    if rest := _other(pl.concat(levels), named).n_unique():
        cells = tuple(Proportion(len(_other(of, named)), of.count()) for of in levels)
        lines.append(Line(factor.name, f"{rest} other", cells))
    missing = tuple(Proportion(of.null_count(), len(of)) for of in levels)
    return [*lines, Line(factor.name, "missing", missing)]


def _named(factor: Factor, levels: pl.Series) -> list[str]:
    """The levels that have a line: all of a scale, the most frequent texts."""
    if factor.order:
        return [*factor.order]
    counts = pl.DataFrame({"level": levels.drop_nulls()}).group_by("level").len()
    return (
        counts.sort("len", "level", descending=[True, False])["level"].head(_MOST_TEXTS).to_list()
    )


def _other(levels: pl.Series, named: list[str]) -> pl.Series:
    """The known levels that are none of `named`."""
    known = levels.drop_nulls()
    return known.filter(~known.is_in(named))


def _share(hits: pl.Series, levels: pl.Series) -> Proportion:
    return Proportion(int(hits.sum()), len(levels) - levels.null_count())
