"""Which trials a reader wants to see, and in what they differ; pure functions of tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mmstudy.study import Study

__all__ = ["Filter", "Setting", "as_text", "differing", "matching", "settings", "text_of"]

PREFIX = "param:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A searched setting: a range (`low`, `high`), or `options` as they stand in the table."""

    path: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    whole: bool = False  # a range of whole numbers
    options: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """Its column in the table of trials."""
        return PREFIX + self.path

    @property
    def numeric(self) -> bool:
        """Whether it is a range."""
        return self.low is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a trial must be to be shown; empty fields ask nothing."""

    states: tuple[str, ...] = ()
    least: float | None = None  # value
    text: str = ""  # part of a setting's value, of the reason or of the host
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # path -> both included
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # path -> any of these


def settings(study: Study, trials: pl.DataFrame) -> list[Setting]:
    """The searched settings that at least one trial has, in the order of the spec."""
    space = study.about.space
    found = []
    for path, dimension in space.items():
        if PREFIX + path not in trials.columns:
            continue
        bounds = dimension.real or dimension.whole
        if bounds:
            (low, high), whole = bounds, dimension.whole is not None
            found.append(Setting(path=path, log=dimension.log, low=low, high=high, whole=whole))
        else:
            options = tuple(as_text(option) for option in dimension.choice)
            found.append(Setting(path=path, options=options))
    return found


def matching(trials: pl.DataFrame, wanted: Filter) -> pl.DataFrame:
    """The rows of `trials` that `wanted` asks for, in their order."""
    keep: list[pl.Expr] = []
    if wanted.states:
        keep.append(pl.col("state").is_in(list(wanted.states)))
    if wanted.least is not None:
        keep.append(pl.col("value") >= wanted.least)
    if wanted.text:
        columns = [name for name in trials.columns if name.startswith(PREFIX)]
        texts = [pl.col(name).cast(pl.String) for name in (*columns, "reason", "host")]
        part = wanted.text.lower()
        hits = [text.str.to_lowercase().str.contains(part, literal=True) for text in texts]
        keep.append(pl.any_horizontal(hit.fill_null(value=False) for hit in hits))
    for path, (low, high) in wanted.ranges.items():
        keep.append(pl.col(PREFIX + path).cast(pl.Float64).is_between(low, high))
    for path, options in wanted.options.items():
        keep.append(text_of(PREFIX + path).is_in(list(options)))
    return trials.filter(*keep) if keep else trials


def differing(trials: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Settings of a few trials side by side, those in which they differ first.

    Columns: setting, differs, and one per trial, named by its number.
    """
    columns = [name for name in trials[0] if name.startswith(PREFIX)] if trials else []
    rows = []
    for name in columns:
        values = [as_text(trial.get(name)) for trial in trials]
        differs = len(set(values)) > 1
        named = {f"{t['number']}": value for t, value in zip(trials, values, strict=True)}
        rows.append({"setting": name.removeprefix(PREFIX), "differs": differs, **named})
    rows.sort(key=lambda row: not row["differs"])  # stable: the spec's order within each
    return pl.DataFrame(rows)


def text_of(column: str) -> pl.Expr:
    """The values of a column as `as_text` writes them."""
    return pl.col(column).map_elements(as_text, return_dtype=pl.String, skip_nulls=True)


def as_text(value: Any) -> str:
    """A setting's value as the tables show it; "-" where the trial does not have it.

    >>> as_text([2, 3]), as_text(True), as_text(None), as_text(0.00012345)
    ('[2, 3]', 'true', '-', '0.0001234')
    """
    if value is None:
        return "-"
    if isinstance(value, bool | list):
        return json.dumps(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
