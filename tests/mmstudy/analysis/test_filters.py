"""Which trials a reader wants to see, and how settings are written."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmstudy.analysis.filters import Filter, Setting, as_text, differing, matching, text_of

TABLE = pl.DataFrame(
    {
        "number": [0, 1, 2, 3],
        "state": ["complete", "pruned", "fail", "complete"],
        "value": [0.8, None, None, 0.6],
        "reason": [None, "no chance", "Out of Memory", None],
        "host": ["node-a", "node-b", "node-b", None],
        "param:train.lr": [0.01, 0.1, 0.001, None],
        "param:train.batch_size": [2, 4, 8, 16],
        "param:model.attention": ["softmax", "linear", None, "linear"],
    }
)


def kept(wanted: Filter) -> list[int]:
    return matching(TABLE, wanted)["number"].to_list()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(states=("complete", "fail")), [0, 2, 3]),
        (Filter(least=0.6), [0, 3]),
        (Filter(least=0.7), [0]),
        (Filter(text="MEMORY"), [2]),
        (Filter(text="node-b"), [1, 2]),
        (Filter(text="soft"), [0]),
        (Filter(text="0.00"), [2]),
        (Filter(text=".*"), []),  # a text, no pattern
        (Filter(ranges={"train.lr": (0.01, 0.1)}), [0, 1]),
        (Filter(ranges={"train.batch_size": (4, 8)}), [1, 2]),
        (Filter(options={"model.attention": ("linear",)}), [1, 3]),
        (Filter(options={"model.attention": ("linear", "softmax")}), [0, 1, 3]),
        (Filter(states=("complete",), options={"model.attention": ("linear",)}), [3]),
        (Filter(states=("running",)), []),
    ],
)
def test_a_filter_asks_for_all_it_names(wanted: Filter, expected: list[int]) -> None:
    assert kept(wanted) == expected


@given(st.floats(0, 1), st.sampled_from(["", "node", "linear", "x"]))
def test_more_asked_for_is_never_more_shown(least: float, text: str) -> None:
    both = kept(Filter(least=least, text=text))
    assert both == [n for n in kept(Filter(least=least)) if n in kept(Filter(text=text))]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "true"),
        (False, "false"),
        ([1, [2, 3]], "[1, [2, 3]]"),
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (0.123456, "0.1235"),
        (3, "3"),
        ("linear", "linear"),
    ],
)
def test_a_value_as_it_is_written(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_a_column_is_written_like_its_values() -> None:
    found = TABLE.select(text_of("param:train.lr"))["param:train.lr"].to_list()
    assert found == ["0.01", "0.1", "0.001", None]


def test_what_differs_comes_first_and_each_keeps_the_order_of_the_spec() -> None:
    found = differing(TABLE.filter(pl.col("number").is_in([1, 3])).to_dicts())
    assert found.columns == ["setting", "differs", "1", "3"]
    assert found.rows() == [
        ("train.lr", True, "0.1", "-"),
        ("train.batch_size", True, "4", "16"),
        ("model.attention", False, "linear", "linear"),
    ]


def test_of_one_trial_nothing_differs_and_of_none_there_is_no_table() -> None:
    assert not differing(TABLE.head(1).to_dicts())["differs"].any()
    assert differing([]).is_empty()


def test_a_setting_is_a_range_or_options() -> None:
    assert Setting(path="train.lr", low=0.0, high=1.0).numeric
    assert not Setting(path="model.attention", options=("a",)).numeric
    assert Setting(path="train.lr").column == "param:train.lr"
