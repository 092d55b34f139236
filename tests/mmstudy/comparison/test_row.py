"""A method's figures: each beside an outside reference, undefined where undefined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from mmcaf.stats.metrics import ConfusionMatrix
from mmstudy.comparison.published import published
from mmstudy.comparison.row import (
    RATE_NAMES,
    Figure,
    MethodRow,
    limited_to,
    row_of,
    row_of_counts,
)
from mmstudy.storage.origin import Origin

RANDOM = np.random.default_rng(2)
LABELS = np.arange(60) % 3 == 0
SCORES = 1 / (1 + np.exp(-(RANDOM.normal(size=60) + LABELS)))
CASES = [f"c{i:02d}" for i in range(60)]


def predictions() -> pl.DataFrame:
    table = pl.DataFrame({"case": CASES, "label": LABELS.astype(int), "probability": SCORES})
    return table.sample(fraction=1, shuffle=True, seed=1)


@pytest.fixture(scope="module")
def row() -> MethodRow:
    return row_of(predictions(), method="ours", cases="validation", origin=Origin())


def test_figures_are_scikit_learn_s(row: MethodRow) -> None:
    calls = SCORES >= 0.5
    assert row.auroc.value == pytest.approx(sk.roc_auc_score(LABELS, SCORES))
    assert row.auprc.value == pytest.approx(sk.average_precision_score(LABELS, SCORES))
    assert row.brier.value == pytest.approx(sk.brier_score_loss(LABELS, SCORES))
    assert row.f1.value == pytest.approx(sk.f1_score(LABELS, calls))
    tn, fp, fn, tp = sk.confusion_matrix(LABELS, calls).ravel()
    assert row.counts == ConfusionMatrix(tp=tp, fn=fn, fp=fp, tn=tn)
    assert (row.n, row.positives) == (60, 20)


def test_every_figure_lies_in_its_interval(row: MethodRow) -> None:
    for figure in (row.auroc, row.f1, row.auprc, row.brier):
        assert figure.low is not None
        assert figure.low < figure.value < figure.high  # type: ignore[operator]


def test_rates_have_wilson_s_intervals_and_their_counts(row: MethodRow) -> None:
    as_dict = row.as_dict()
    assert list(row.rates) == list(RATE_NAMES)
    for name in RATE_NAMES:
        one = as_dict[name]
        low, high = proportion_confint(one["hits"], one["total"], method="wilson")
        assert (one["low"], one["high"]) == pytest.approx((low, high))
        assert one["value"] == one["hits"] / one["total"]
    assert (as_dict["squamous"], as_dict["adenocarcinoma"]) == (20, 40)


def test_the_order_of_cases_does_not_matter(row: MethodRow) -> None:
    again = row_of(
        predictions().sort("case", descending=True),
        method="ours",
        cases="validation",
        origin=Origin(),
    )
    assert again.as_dict() == row.as_dict()
    assert row.predictions is not None
    assert row.predictions["case"].to_list() == CASES


def test_one_half_is_called_squamous() -> None:
    table = pl.DataFrame({"case": ["a", "b"], "label": [1, 0], "probability": [0.5, 0.4999]})
    assert row_of(table, method="m", cases="c", origin=Origin()).counts == ConfusionMatrix(
        tp=1, fn=0, fp=0, tn=1
    )


def test_other_calls_change_counts_and_f1_and_nothing_of_the_scores(row: MethodRow) -> None:
    calls = SCORES >= 0.2
    other = row.called(calls, threshold="0.2")
    assert other.f1.value == pytest.approx(sk.f1_score(LABELS, calls))
    assert other.counts.tp == int((calls & LABELS).sum())
    assert (other.auroc, other.brier, other.threshold) == (row.auroc, row.brier, "0.2")
    assert other.scored.calls.tolist() == calls.tolist()
    assert other.scored.scores == pytest.approx(SCORES)
    assert row.threshold == "0.5"


def test_a_case_twice_is_refused() -> None:
    table = pl.concat([predictions(), predictions().head(1)])
    with pytest.raises(ValueError, match="each case once per fold, got some of ours several times"):
        row_of(table, method="ours", cases="validation", origin=Origin())


def test_one_class_has_no_area_and_no_sensitivity() -> None:
    table = pl.DataFrame({"case": ["a", "b"], "label": [0, 0], "probability": [0.2, 0.7]})
    found = row_of(table, method="m", cases="c", origin=Origin())
    assert found.auroc == Figure() == found.auprc
    sensitivity = found.as_dict()["sensitivity"]
    assert sensitivity == {"value": None, "low": None, "high": None, "hits": 0, "total": 0}
    assert found.as_dict()["majority"]["value"] == 1.0


class TestPublished:
    ROW = row_of_counts(
        ConfusionMatrix(tp=10, fn=5, fp=4, tn=24),
        auroc=0.79,
        method="MMCAF-Net",
        cases="paper",
        table="1",
        printed={"accuracy": 0.79},
    )

    def test_its_area_is_as_printed_with_an_interval_from_counts(self) -> None:
        assert self.ROW.auroc.value == 0.79
        assert self.ROW.auroc.low is not None
        assert self.ROW.auroc.low < 0.79
        assert (self.ROW.auprc, self.ROW.brier) == (Figure(), Figure())
        assert self.ROW.as_dict()["printed"] == {"accuracy": 0.79}

    def test_it_has_no_cases_to_pair(self) -> None:
        with pytest.raises(ValueError, match="MMCAF-Net is known by its counts alone"):
            _ = self.ROW.scored
        with pytest.raises(ValueError, match="counts alone"):
            self.ROW.called([True], threshold="x")

    def test_a_marked_row_is_not_ranked(self) -> None:
        marked = row_of_counts(
            self.ROW.counts, auroc=0.5, method="x", cases="c", table="1", flag="contradicts"
        )
        assert (self.ROW.ranked, marked.ranked) == (True, False)


def test_an_undefined_value_has_no_interval_either() -> None:
    assert Figure.of(float("nan"), (0.1, 0.2)) == Figure()
    assert Figure.of(0.5, None) == Figure(0.5)
    assert Figure.of(0.5, (0.4, 0.6)) == Figure(0.5, 0.4, 0.6)


def test_a_row_can_be_limited_to_some_patients() -> None:
    case = ["a", "b", "c", "d", "a", "b", "c", "d"]
    fold = [0, 0, 1, 1, 2, 3, 2, 3]
    rows = pl.DataFrame({"case": case, "fold": fold, "label": [1, 0] * 4})
    rows = rows.with_columns(probability=pl.Series(np.arange(8) / 10))
    among = np.arange(16.0).reshape(2, 8)
    whole = row_of(rows, method="x", cases="validation", origin=Origin())
    whole = replace(whole, among=among)
    left = limited_to(whole, pl.Series(["c", "d", "e"]))
    assert left.predictions is not None
    assert left.predictions["case"].to_list() == ["c", "c", "d", "d"]
    assert left.predictions["fold"].to_list() == [1, 2, 1, 3]
    assert left.among is not None
    assert left.among.tolist() == among[:, 4:].tolist()
    assert (left.n, left.networks, left.cases) == (2, 2, "validation, 2 of them")
    assert limited_to(whole, pl.Series(case)) is whole
    with pytest.raises(ValueError, match="known by its counts alone"):
        limited_to(published()[0], pl.Series(case))
