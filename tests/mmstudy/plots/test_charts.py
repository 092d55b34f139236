"""Every chart from a study: what it shows is what the study's tables say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mmcaf.stats.areas import auroc
from mmstudy import plots
from mmstudy.errors import MMStudyError
from mmstudy.plots import Plot
from mmstudy.study import Study, open_study
from support.dashboard_studies import write_about
from support.made_study import made_study
from support.whole_study import EXPLAINED, whole_study

CHARTS: dict[str, Callable[[Study], Plot]] = {
    "history": plots.history,
    "learning-curves": plots.learning_curves,
    "timeline": plots.timeline,
    "parallel": plots.parallel,
    "setting": lambda study: plots.setting(study, "train.lr"),
    "contour": lambda study: plots.contour(study, "train.lr", "model.attention"),
    "pareto": plots.pareto,
    "importance": plots.importance,
    "folds-auroc": plots.folds,
    "roc": plots.roc,
    "calibration": plots.calibration,
    "net-benefit": plots.net_benefit,
    "confirmed": plots.confirmed,
    "forest-auroc": plots.forest,
    "attribute-age": lambda study: plots.attribute(study, "Age"),
    "shap": lambda study: plots.shap(study, EXPLAINED),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return whole_study(tmp_path_factory.mktemp("studies"))


@pytest.fixture
def empty(tmp_path: Path) -> Study:
    """It has begun, and no trial has."""
    return open_study(write_about(tmp_path, "empty", trials=3, epochs=2).root)


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_a_picture_that_says_whose_data_it_shows(study: Study, name: str) -> None:
    plot = CHARTS[name](study)
    assert plot.name == name
    assert plot.note == "whole (SYNTHETIC)"
    assert "whole (SYNTHETIC)</text>" in plot._repr_html_()
    assert any(len(layer.x) for layer in plot.layers)


@pytest.mark.parametrize("name", CHARTS)
def test_an_axis_ends_in_a_number_that_can_be_read(study: Study, name: str) -> None:
    """The page writes both ends beside the axis, as they are."""
    plot = CHARTS[name](study)
    ends = [end for span in (plot.x_range, plot.y_range) if span is not None for end in span]
    assert [end for end in ends if round(end, 3) != end] == []


def test_every_public_chart_is_tested_here() -> None:
    public = {name for name in plots.__all__ if name.islower()}
    measured = {"folds-auroc", "forest-auroc", "attribute-age"}  # named by what they show as well
    names = {name.partition("-")[0] if name in measured else name for name in CHARTS}
    assert {name.replace("-", "_") for name in names} == public


def test_the_history_is_that_of_the_table(study: Study) -> None:
    done = study.trials().drop_nulls("value").sort("number")
    dots, best = plots.history(study).layers
    assert dots.y == done["value"].to_list()
    assert best.y[-1] == done["value"].max()


def test_a_part_of_the_trials_can_be_drawn(study: Study) -> None:
    few = study.trials().filter(pl.col("param:train.lr") < 1e-3)
    for plot in (plots.history(study, trials=few), plots.setting(study, "train.lr", trials=few)):
        assert len(plot.layers[0].x) == few["value"].count() > 0


def test_learning_curves_are_of_the_best_or_of_those_asked_for(study: Study) -> None:
    def lines(plot: Plot) -> list[str]:
        return [layer.name for layer in plot.layers if layer.kind == "line"]

    best = study.trials()["number"].head(2).to_list()
    assert lines(plots.learning_curves(study, top=2)) == [f"trial {number}" for number in best]
    assert lines(plots.learning_curves(study, [7, 3])) == ["trial 7", "trial 3"]


def test_without_a_number_the_best_trial_is_meant(study: Study) -> None:
    best = study.best_trial()
    assert best is not None
    assert plots.roc(study) == plots.roc(study, best["number"])
    assert plots.roc(study) != plots.roc(study, 0)
    cases = study.out_of_fold(best["number"])
    value = auroc(cases["label"], cases["probability"], cases["fold"])
    assert value == pytest.approx(best["value"])
    assert f"AUROC {value:.3f} [" in plots.roc(study).alt


def test_parallel_paths_cross_every_axis_and_the_best_comes_last(study: Study) -> None:
    plot = plots.parallel(study)
    (layer,) = plot.layers
    width = len(plot.axes)
    done = study.trials().drop_nulls("value")
    paths = [layer.y[i : i + width] for i in range(0, len(layer.y), width)]
    assert len(paths) == done.height
    assert [path[-1] for path in paths] == sorted(done["value"].to_list())
    best = done.sort("value").tail(1).to_dicts()[0]
    named = {axis.name: (axis, at) for axis, at in zip(plot.axes, paths[-1], strict=True)}
    assert 10 ** named["log10 lr"][1] == pytest.approx(best["param:train.lr"])
    axis, at = named["attention"]
    assert axis.names[int(at)] == best["param:model.attention"]


def test_a_trial_without_a_setting_leaves_a_gap(study: Study) -> None:
    trials = study.trials().with_columns(pl.lit(None, pl.Float64).alias("param:train.momentum"))
    plot = plots.parallel(study, trials=trials)
    place = [axis.name for axis in plot.axes].index("momentum")
    assert plot.layers[0].y[place] != plot.layers[0].y[place]  # NaN
    plot._repr_html_()


def test_a_cell_is_the_mean_of_its_trials(study: Study) -> None:
    plot = plots.contour(study, "model.tabular", "model.attention")
    (layer,) = plot.layers
    done = study.trials().drop_nulls("value")
    for x, y, mean, n in zip(layer.x, layer.y, layer.shade, layer.count, strict=True):
        of = done.filter(
            (pl.col("param:model.tabular") == plot.columns[int(x)])
            & (pl.col("param:model.attention") == plot.rows[int(y)])
        )
        assert (of.height, of["value"].mean()) == (n, pytest.approx(mean))
    assert sum(layer.count) == done.height


def test_the_front_goes_up_the_cost_to_each_new_best(study: Study) -> None:
    plot = plots.pareto(study, "seconds_per_epoch")
    everyone, _, front = plot.layers
    points = set(zip(everyone.x, everyone.y, strict=True))
    kept = {
        (cost, value)
        for cost, value in points
        if not any(c <= cost and v >= value for c, v in points - {(cost, value)})
    }
    assert set(zip(front.x, front.y, strict=True)) == kept


def test_the_confirmed_mean_stands_beside_the_value_of_the_search(study: Study) -> None:
    best = study.trials().to_dicts()[0]
    layers = {layer.name: layer for layer in plots.confirmed(study).layers}
    assert layers["confirmed mean"].x == [pytest.approx(0.675)]  # of 0.6, 0.65, 0.7, 0.75
    assert layers["value in the search"].x == [best["value"]]
    assert len(layers["one fold of one run"].x) == 4


def test_importance_is_the_drivers_or_what_is_given(study: Study) -> None:
    assert plots.importance(study).rows == ("train.lr (n=40)", "train.momentum (n=40)")
    rows = [{"setting": "train.lr", "fanova": 1.0, "ped_anova": 1.0, "n": 12}]
    assert plots.importance(study, rows).rows == ("train.lr (n=12)",)
    said = [{**rows[0], "says": "no dependence shown"}]
    assert plots.importance(study, said).rows == ("train.lr (n=12, no dependence shown)",)


def test_the_strongest_clinical_value_stands_first(study: Study) -> None:
    assert plots.shap(study, EXPLAINED).rows == ("sex: M", "age: 60 to 64")
    assert plots.attribute(study, "Age").layers[0].y == [-0.5, 0.5]


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (
            lambda s: plots.setting(s, "train.lrr"),
            r"No searched setting.*Did you mean 'train\.lr'\?",
        ),
        (lambda s: plots.contour(s, "train.lr", "train.lr"), "two different settings"),
        (lambda s: plots.contour(s, "train.lr", "lr"), "No searched setting 'lr'; there are: tr"),
        (lambda s: plots.pareto(s, "money"), "No cost 'money'; there are: seconds_per_epoch"),
        (lambda s: plots.folds(s, 0, "aucroc"), "Did you mean 'auroc'"),
        (lambda s: plots.folds(s, 99), "no epoch of a trial 99"),
        (lambda s: plots.roc(s, 99), "has no trial 99"),
        (lambda s: plots.roc(s, 8), "Trial 8 of whole is not complete"),
        (lambda s: plots.forest(s, "luck"), "No measure of a comparison 'luck'"),
        (lambda s: plots.attribute(s, "Agee"), "Did you mean 'Age'"),
        (lambda s: plots.shap(s, "c000"), "No explained case 'c000'; there are: c003"),
        (lambda s: plots.shap(s, "c000", 0), "Nothing was explained of trial 0"),
    ],
)
def test_what_cannot_be_drawn_says_why(
    study: Study, draw: Callable[[Study], Plot], said: str
) -> None:
    with pytest.raises(MMStudyError, match=said):
        draw(study)


@pytest.mark.parametrize("name", [name for name in CHARTS if name != "learning-curves"])
def test_a_study_without_a_trial_says_so(empty: Study, name: str) -> None:
    with pytest.raises(MMStudyError, match=r"complete|begun|importance|has ended"):
        CHARTS[name](empty)


def test_a_study_that_searches_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(MMStudyError, match="searches no setting"):
        plots.parallel(made_study(tmp_path))


def test_real_patients_are_not_called_synthetic(tmp_path: Path) -> None:
    assert plots.history(made_study(tmp_path)).note == "made"
