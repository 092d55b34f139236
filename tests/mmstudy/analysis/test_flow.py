"""The way of patients as counts that add up, and groups that stand on two sides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort, load
from mmcaf.data.splits import Fold, Split
from mmstudy.analysis.flow import Group, crossings, flow_of, ingested
from support.reported_study import cohort_of

SPLIT = Split(("e", "f"), (Fold(("a", "b"), ("c", "d")), Fold(("c", "d"), ("a", "b"))))
LABELS = dict(zip("abcdef", [1, 0, 1, 0, 0, 0], strict=True))


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    cohort_of(tmp_path / "cohort", [*"abcdef"], np.array([*LABELS.values()]))
    return load(tmp_path / "cohort")


def test_counts_add_up(cohort: Cohort) -> None:
    flow = flow_of(SPLIT, 6, LABELS, ingested(cohort))
    assert flow.seen == flow.cohort.n + sum(count for *_, count in flow.left_out) == 9
    assert [(code, count) for code, _, count in flow.left_out] == [
        ("E_OTHER_CLASS", 2),
        ("E_NO_IMAGES", 1),
    ]
    assert flow.left_out[0][1].startswith("neither")
    assert (flow.cohort, flow.search, flow.test) == (Group(6, 2), Group(4, 2), Group(2, 0))
    assert flow.folds == ((Group(2, 1), Group(2, 1)),) * 2


def test_without_labels_or_report_less_is_known() -> None:
    flow = flow_of(SPLIT, 6, {"a": 1})
    assert (flow.seen, flow.left_out) == (None, ())
    assert (flow.cohort, flow.search) == (Group(6, None), Group(4, None))


@pytest.mark.parametrize("damage", ["gone", "no json", "other", "link"])
def test_a_report_that_is_not_of_this_cohort_is_not_read(cohort: Cohort, damage: str) -> None:
    path = cohort.folder / "ingest_report.json"
    told = json.loads(path.read_text())
    path.unlink()
    if damage == "no json":
        path.write_text('{"digest": 3}')
    elif damage == "other":
        path.write_text(json.dumps(told | {"digest": "f" * 16}))
    elif damage == "link":
        elsewhere = cohort.folder.parent / "elsewhere.json"
        elsewhere.write_text(json.dumps(told))
        path.symlink_to(elsewhere)
    assert ingested(cohort) is None


@pytest.mark.parametrize(
    ("groups", "crossed"),
    [("uvwxyz", 0), ("uuwxyz", 0), ("uvuxyz", 1), ("uvwxuz", 1), ("uvuvuz", 2)],
)
def test_groups_on_two_sides_are_counted(groups: str, crossed: int) -> None:
    patients = pl.DataFrame({"case": [*"abcdef"], "group_id": [*groups]})
    assert crossings(SPLIT, patients) == crossed
