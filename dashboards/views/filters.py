"""Widgets that say which trials are wanted; all of it stands in the address."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

import streamlit as st

from mmstudy.analysis.filters import Filter, Setting
from mmstudy.storage.schema import State

__all__ = ["ask"]


def ask(settings: Sequence[Setting]) -> Filter:
    """What the reader chose."""
    left, middle, right = st.columns([2, 1, 2])
    states = left.multiselect(
        "State", [state.value for state in State], key="state", bind="query-params"
    )
    least = middle.number_input(
        "Value at least",
        min_value=0.0,
        max_value=1.0,
        value=0.0,
        step=0.05,
        key="least",
        bind="query-params",
    )
    text = right.text_input(
        "Contains", key="has", bind="query-params", help="part of a setting, host or reason"
    )
    ranges: dict[str, tuple[float, float]] = {}
    options: dict[str, tuple[str, ...]] = {}
    with st.expander("Settings"):
        cells = st.columns(3)
        for index, setting in enumerate(settings):
            with cells[index % 3]:
                if setting.numeric:
                    if chosen := _range(setting):
                        ranges[setting.path] = chosen
                elif setting.options:
                    picked = st.multiselect(
                        setting.path,
                        list(setting.options),
                        key=f"s.{setting.path}",
                        bind="query-params",
                    )
                    if picked:
                        options[setting.path] = tuple(picked)
    return Filter(
        states=tuple(states),
        least=least or None,
        text=text.strip(),
        ranges=ranges,
        options=options,
    )


def _range(setting: Setting) -> tuple[float, float] | None:
    """The chosen range; None where it is the whole one. A log range is chosen by its exponent."""
    low, high = setting.low or 0.0, setting.high or 0.0
    key = f"s.{setting.path}"
    if setting.log:
        ends = (floor(10 * log10(low)) / 10, ceil(10 * log10(high)) / 10)
        name = f"log10 {setting.path}"
        chosen = st.slider(name, *ends, ends, step=0.1, key=key, bind="query-params")
        return None if chosen == ends else (10 ** chosen[0], 10 ** chosen[1])
    step = 1.0 if setting.whole else (high - low) / 100
    chosen = st.slider(
        setting.path, low, high, (low, high), step=step, key=key, bind="query-params"
    )
    return None if chosen == (low, high) else (chosen[0], chosen[1])
