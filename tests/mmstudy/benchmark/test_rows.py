"""The rows of the benchmark, as the networks name them."""

from __future__ import annotations

from dataclasses import replace

from mmcaf.net.entry import PaperRow
from mmcaf.net.registry import NETWORKS
from mmstudy.benchmark.rows import rows_of


def test_rows_of_others_come_after_those_of_the_paper_and_take_no_key_of_them() -> None:
    ours, floor = NETWORKS["pecon"], NETWORKS["logistic"]
    theirs = replace(ours, rows=(PaperRow(key="pond", title="Pond"), *_renamed(ours.rows)))
    rows = rows_of([floor, ours, theirs])
    assert [*rows] == ["pecon", "logistic", "pond"]
    assert rows["pecon"].title == "PECon"


def _renamed(rows: tuple[PaperRow, ...]) -> list[PaperRow]:
    return [replace(row, title="not PECon") for row in rows]


def test_rows_of_a_table_stand_in_its_order() -> None:
    names = ("mmtm", "daft", "drfuse")
    assert [*rows_of(NETWORKS[name] for name in names)] == [
        "drfuse",
        "mmtm",
        "mmtm_three",
        "daft",
        "daft_shipped",
    ]
