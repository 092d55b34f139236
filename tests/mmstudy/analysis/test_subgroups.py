"""Parts of the patients: AUROC within folds as counted by hand, and silence where there are few."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mmcaf.stats.areas import auroc_interval
from mmstudy.analysis.subgroups import LEAST, Subgroup, subgroups

N = 80
RANDOM = np.random.default_rng(1)
CASES = [f"c{i}" for i in range(N)]
LABELS = np.arange(N) % 2
FOLDS = np.arange(N) // 2 % 4
SCORES = RANDOM.normal(size=N) + LABELS + FOLDS  # folds are shifted
FOUND = pl.DataFrame(
    {"case": CASES, "label": LABELS, "fold": FOLDS, "probability": 1 / (1 + np.exp(-SCORES))}
)


def one_of(patients: pl.DataFrame, factor: str, level: str) -> Subgroup:
    found = [o for o in subgroups(FOUND, patients) if (o.factor, o.level) == (factor, level)]
    assert len(found) == 1
    return found[0]


def by_hand(inside: np.ndarray) -> float:
    """The mean over folds of the share of pairs in the right order."""
    areas = []
    for fold in range(4):
        of = inside & (fold == FOLDS)
        sick, well = SCORES[of & (LABELS == 1)], SCORES[of & (LABELS == 0)]
        areas.append(np.mean([[s > w for w in well] for s in sick]))
    return float(np.mean(areas))


def test_a_part_has_its_auroc_within_folds() -> None:
    sex = (np.arange(N) // 8) % 2
    found = one_of(pl.DataFrame({"case": CASES, "sex": sex}), "sex", "female")
    inside = sex == 0
    assert (found.n, found.positives) == (inside.sum(), LABELS[inside].sum())
    assert found.auroc == pytest.approx(by_hand(inside), abs=1e-12)
    rows = FOUND.filter(pl.Series(inside))
    expected = auroc_interval(rows["label"], rows["probability"], folds=rows["fold"])
    assert found.interval == pytest.approx(expected)


@pytest.mark.parametrize(("size", "known"), [(LEAST - 1, False), (LEAST, True)])
def test_few_patients_have_none(size: int, known: bool) -> None:
    patients = pl.DataFrame({"case": CASES, "vendor": ["A"] * size + ["B"] * (N - size)})
    found = one_of(patients, "vendor", "A")
    assert (found.auroc is not None) == known
    assert known or found.reason == f"fewer than {LEAST} patients"


def test_one_class_has_none() -> None:
    patients = pl.DataFrame({"case": CASES, "vendor": ["AB"[k] for k in LABELS]})
    found = one_of(patients, "vendor", "B")
    assert (found.auroc, found.interval, found.reason) == (None, None, "one class alone")


def test_classes_that_no_fold_holds_together_have_none() -> None:
    apart = ["A" if (FOLDS[i] < 2 and LABELS[i]) or (FOLDS[i] > 1 and not LABELS[i]) else "B"
             for i in range(N)]  # fmt: skip
    found = one_of(pl.DataFrame({"case": CASES, "vendor": apart}), "vendor", "A")
    assert (found.n, found.auroc, found.reason) == (40, None, "no fold holds both classes")


def test_whose_level_is_not_known_is_a_part_and_repeats_count_once() -> None:
    patients = pl.DataFrame({"case": CASES, "sex": [-1] * 30 + [1] * 50})
    twice = pl.concat([FOUND, FOUND.with_columns(fold=pl.col("fold") + 4)])
    levels = {one.level: one.n for one in subgroups(twice, patients)}
    assert levels == {"male": 50, "not known": 30}
    assert subgroups(FOUND, pl.DataFrame({"case": CASES})) == []
