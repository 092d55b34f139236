"""Table 1: counts that add up by split and class, quartiles as numpy has them, nobody's value."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mmcaf.data.splits import Fold, Split
from mmcaf.stats.metrics import Proportion
from mmstudy.analysis.characteristics import Line, Quartiles, characteristics, parts_of
from support.reported_study import cohort_of

NAMES = [f"c{i:03d}" for i in range(30)]
SPLIT = Split(tuple(NAMES[24:]), (Fold(tuple(NAMES[:12]), tuple(NAMES[12:24])),))


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    labels = (np.arange(30) % 3 == 0).astype(int)
    return cohort_of(tmp_path_factory.mktemp("c") / "cohort", NAMES, labels)


def lines_of(patients: pl.DataFrame, name: str) -> dict[str, Line]:
    return {
        one.level: one for one in characteristics(parts_of(patients, SPLIT)) if one.name == name
    }


def test_everybody_is_in_one_part(patients: pl.DataFrame) -> None:
    parts = parts_of(patients, SPLIT)
    assert [(p.side, p.label, p.patients.height) for p in parts] == [
        ("search", 1, 8),
        ("search", 0, 16),
        ("test", 1, 2),
        ("test", 0, 4),
    ]
    alone = Split((), SPLIT.folds)
    assert {part.side for part in parts_of(patients, alone)} == {"search"}


def test_quartiles_are_of_known_values_and_few_are_not_told(patients: pl.DataFrame) -> None:
    lines = lines_of(patients, "age, years")
    found, missing = lines[""].cells, lines["missing"].cells
    ages = [40.0 + i for i in range(7, 24) if i % 3 == 0]
    low, median, high = np.quantile(ages, [0.25, 0.5, 0.75])
    assert found[0] == Quartiles(low, median, high, len(ages))
    assert found[2] == Quartiles(None, None, None, 2)
    assert missing[0] == Proportion(3, 8)


def test_levels_and_missing_ones_add_up(patients: pl.DataFrame) -> None:
    for factor in ("sex", "vendor", "kernel", "stage, T"):
        lines = lines_of(patients, factor)
        missing = lines.pop("missing")
        for part, cell in enumerate(missing.cells):
            cells = [line.cells[part] for line in lines.values()]
            assert isinstance(cell, Proportion)
            known = cell.total - cell.hits
            assert sum(one.hits for one in cells if isinstance(one, Proportion)) == known
            assert {one.total for one in cells if isinstance(one, Proportion)} == {known}


def test_rare_texts_share_a_line(patients: pl.DataFrame) -> None:
    lines = lines_of(patients, "kernel")
    assert list(lines) == ["K0", "K1", "K2", "K3", "K4", "K5", "3 other", "missing"]


def test_what_a_cohort_does_not_record_has_no_line(patients: pl.DataFrame) -> None:
    without = patients.drop("long_side_mm", "vendor")
    assert not lines_of(without, "vendor")
    assert not lines_of(without, "lesion size, longest side of a box")
    assert characteristics([]) == []
