"""Every page on every kind of study, without a browser."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mmcaf.stats.areas import auroc
from mmcaf.stats.predictive import predictive
from mmstudy.comparison.diagnosis import diagnosis
from mmstudy.serving import app_path
from mmstudy.study import open_study
from support.broken_study import BREAKS
from support.dashboard_studies import large_study, write_about
from support.made_probe import PROBE
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, add_look, made_study

PAGES = ("studies", "study", "trials", "parameters", "trial")
PAGES += ("compare", "cases", "confirm", "paper")
STUDIES = ("empty", "running", "twelve", "large", "study_v1")


def opened(page: AppTest, name: str, study: str, **values: Any) -> AppTest:
    """The page `name`, as a link to it would open it."""
    page.session_state["study"] = study
    page.session_state["_going"] = "" if name == "studies" else name
    for key, value in values.items():
        page.session_state[key] = value
    return page.run()


def words(page: AppTest) -> str:
    """All boxes and lines of plain text."""
    kinds = (page.info, page.warning, page.error, page.text, page.caption, page.markdown)
    return "\n".join(str(one.value) for kind in kinds for one in kind)


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_drawn_for_every_study(page: AppTest, name: str, study: str) -> None:
    opened(page, name, study)
    assert not page.exception
    assert not page.error
    assert page.title[0].value
    if name != "studies":
        assert "SYNTHETIC DATA" in page.warning[0].value
        assert page.text[0].value == open_study(Path(sys.argv[1]) / study).question


@pytest.mark.parametrize("study", ["half", "later"])
@pytest.mark.parametrize("name", PAGES[1:])
def test_a_study_that_cannot_be_opened_says_why(page: AppTest, name: str, study: str) -> None:
    opened(page, name, study)
    assert not page.exception
    said = page.error[0].value.replace("\\", "")
    assert {"half": "has no study.json", "later": "has version 99"}[study] in said


def test_the_studies_with_their_counts_and_those_that_are_broken(page: AppTest) -> None:
    page.run()
    table = page.dataframe[0].value.set_index("study")
    assert table.loc["large", ["complete", "pruned", "failed"]].to_list() == [8800, 1000, 200]
    assert table["state"].to_dict() == {
        "empty": "empty",
        "running": "running",
        "twelve": "ended",
        "large": "ended",
        "study_v1": "ended",
    }
    assert len(page.warning) == 2


def test_no_study_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=240).run()
    assert not found.exception
    assert "mmstudy run" in found.info[0].value.replace("\\", "")


def test_the_overview_says_how_the_study_stands(page: AppTest) -> None:
    opened(page, "study", "twelve")
    shown = {metric.label: metric.value for metric in page.metric}
    best = open_study(Path(sys.argv[1]) / "twelve").trials()["value"].max()
    assert shown == {
        "Best AUROC of the search": f"{best:.3f}",
        "Complete": "11 of 12",
        "Pruned": "1",
        "Running": "0",
        "Failed": "0",
        "Time left": "–",
    }


def test_what_runs_is_shown_with_its_time_left(page: AppTest) -> None:
    opened(page, "study", "running")
    row = page.dataframe[0].value.iloc[0]
    assert (row["number"], row["fold"], row["epoch"]) == (3, 1, 4)
    assert row["done"] == pytest.approx(40)  # 4 of 2 folds x 5 epochs
    assert row["time left"] == "2 min"  # 6 epochs of 20 s
    assert "running now" in words(page)


def test_trials_are_filtered_by_what_the_address_says(page: AppTest) -> None:
    opened(page, "trials", "large", state=["pruned"])
    assert set(page.dataframe[0].value["state"]) == {"pruned"}
    assert "1000 of 10000 trials" in words(page)
    page.text_input(key="has").set_value("[1, 2, 3]").run()
    assert set(page.dataframe[0].value["model.pyramid_scales"]) == {"[1, 2, 3]"}


def test_a_range_filter_reaches_the_parallel_coordinates(page: AppTest) -> None:
    opened(page, "parameters", "large", **{"s.train.lr": (-3.2, -2.8)})
    assert not page.exception
    drawn = int(words(page).split(" complete trials of 10000")[0].split()[-1])
    assert 0 < drawn < 8800 / 5  # a tenth of the axis


def test_no_trial_table_has_a_figure_of_the_test_set(page: AppTest) -> None:
    for name in ("trials", "study", "parameters", "compare"):
        opened(page, name, "twelve", chosen="0, 1")
        columns = {column for frame in page.dataframe for column in frame.value.columns}
        assert not {column for column in columns if "test" in column}


def test_a_trial_speaks_the_clinics_words(page: AppTest) -> None:
    opened(page, "trial", "twelve", trial=0)
    rates, matrix, cases = (frame.value for frame in page.dataframe[1:4])
    assert rates["measure"].to_list()[:2] == ["sensitivity", "specificity"]
    assert matrix["truth"].to_list() == ["squamous", "adenocarcinoma"]
    assert matrix.drop(columns=["truth", "origin"]).to_numpy().sum() == 40
    assert set(cases["truth"]) == {"squamous", "adenocarcinoma"}
    assert page.code[0].value.startswith("mmstudy rerun ")


def test_a_trial_has_predictive_values_at_the_share_that_is_set(page: AppTest) -> None:
    opened(page, "trial", "twelve", trial=0)
    counts = diagnosis(open_study(Path(sys.argv[1]) / "twelve"), 0).row.counts
    page.slider(key="prevalence").set_value(7).run()
    assert not page.exception
    found = predictive(counts, 0.07)
    assert f"of whom 7.0% are squamous: PPV {found.ppv.value:.3f}" in words(page)


def test_a_trial_that_is_not_complete_shows_its_reason(page: AppTest) -> None:
    opened(page, "trial", "twelve", trial=8)
    assert "behind" in words(page)
    assert "once the trial is complete" in words(page)


def test_compared_trials_show_what_differs_first(page: AppTest) -> None:
    opened(page, "compare", "twelve", chosen="0, 3, 999")
    assert "Left out: 999. " in words(page).replace("\\", "")
    table = page.dataframe[0].value
    assert list(table.columns) == ["setting", "differs", "trial 0", "trial 3", "origin"]
    marks = table["differs"].to_list()
    assert marks == sorted(marks, reverse=True)
    assert table.iloc[-1]["differs"] == ""  # trials 0 and 3 share the pyramid scales


def test_the_paper_says_that_no_difference_can_be_shown(page: AppTest) -> None:
    opened(page, "paper", "twelve")
    said = words(page)
    assert "No difference can be shown between twelve trial" in said
    assert "outperforms" not in said
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Looks at the test set"] == "0"
    assert shown["Smallest gap that can show"] == "6 of 43 patients"
    marked = [box.label for box in page.expander if "Marked" in box.label]
    assert any("DrFuse" in label for label in marked)
    names = [name for frame in page.dataframe for name in frame.value.get("method", [])]
    assert "DrFuse !" in names
    assert "MMCAF-Net" in names


def test_always_wrong_patients_come_first(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path))  # where no other test noted a cohort
    opened(page, "cases", "twelve")
    table = page.dataframe[0].value
    share = (table["wrong"] / table["trials"]).to_list()
    assert share == sorted(share, reverse=True)
    assert "cannot be read from here" in words(page).replace("\\", "")  # there is no cohort


def test_markup_in_names_stays_text(page: AppTest) -> None:
    opened(page, "study", "large")
    assert page.text[0].value == "<b>Does</b> it *show* :red[$all$]?"
    assert not any("<b>" in str(one.value) for one in page.markdown)


def test_a_study_of_another_size_does_not_keep_the_trial(page: AppTest) -> None:
    opened(page, "trial", "large", trial=9000)
    assert page.number_input(key="trial").value == 9000
    page.sidebar.selectbox(key="study").set_value("twelve").run()
    assert not page.exception
    assert page.number_input(key="trial").value < 12


def test_a_study_that_grows_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_about(tmp_path, "s", trials=4, epochs=2)
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
    opened(found, "study", "s")
    assert "No trial has begun" in words(found)
    large_study(tmp_path, "s", trials=4, epochs=2)
    found.run()
    assert {metric.label: metric.value for metric in found.metric}["Complete"] == "4 of 4"


def test_numbers_equal_to_the_papers_are_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study with the counts and AUROC of MMCAF-Net's published row, on real test patients."""
    study = made_study(tmp_path, name="equal")
    add_look(study, 0, MMCAF_LABELS, MMCAF_SCORES)
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
    opened(found, "paper", "equal")
    assert not found.exception
    said = words(found)
    assert "No difference can be shown between equal trial 0 and the" in said
    assert "outperforms" not in said
    assert "sensitivity 10/15 against 10/15" in said.lower()
    tests = next(f.value for f in found.dataframe if "could show" in f.value)
    assert len(tests) == 3 * 13
    assert "MSCA_Fusion =" in tests["against"].to_list()
    assert "among many some look clear by chance" in said
    assert {m.label: m.value for m in found.metric}["Looks at the test set"] == "1"
    assert not any("SYNTHETIC" in str(box.value) for box in found.warning)


def test_a_benchmark_stands_on_the_page_of_the_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_study(tmp_path, name="bench-mmcaf_net", synthetic=True)
    made_study(tmp_path, scores=(1 - MMCAF_SCORES,), name="bench-kan", synthetic=True)
    rows: dict[str, Any] = {"mmcaf_net": {}, "kan": {}, "sam_msca": {"fault": "not reproducible"}}
    state = {"trials": 1, "seeds": 0, "shared_seconds": 1.0, "rows": rows}
    (tmp_path / "benchmark.json").write_text(json.dumps(state), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
    opened(found, "paper", "bench-mmcaf_net")
    assert not found.exception
    assert "2 of 3 rows are complete" in words(found)
    table = next(f.value for f in found.dataframe if "ours AUROC" in f.value)
    assert table["row"].to_list() == ["MMCAF-Net", "KAN, table alone", "SAM+E3D-MSCA"]
    within = f"{auroc(MMCAF_LABELS, MMCAF_SCORES, np.arange(43) % 2):.3f}"
    assert table["ours AUROC"].str.startswith(within).to_list() == [True, False, False]
    assert any("SYNTHETIC" in str(box.value) for box in found.warning)


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_study_hides_no_other_on_any_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    made_study(tmp_path, name="good")
    BREAKS[what](made_study(tmp_path, name="bench-kan").folder.root)
    state = {"trials": 1, "seeds": 0, "rows": {"mmcaf_net": {}, "kan": {}}}
    (tmp_path / "benchmark.json").write_text(json.dumps(state), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path)])
    found = AppTest.from_file(str(app_path().resolve()), default_timeout=240)
    opened(found, "studies", "good")
    assert not found.exception
    assert "good" in found.dataframe[0].value["study"].to_list()
    if what != "an empty confirmation":  # the page of studies does not read these
        assert "bench-kan" in words(found).replace("\\", "")
    for name in ("trials", "paper"):
        opened(found, name, "good")
        assert not found.exception
        assert not found.error
        opened(found, name, "bench-kan")
        assert not found.exception
        assert found.title[0].value


def test_few_trials_say_nothing_of_importance_and_nothing_is_computed(page: AppTest) -> None:
    opened(page, "parameters", "twelve")
    assert not page.exception
    assert "11 complete trials: too few to say" in words(page).replace("\\", "")
    assert "importance" not in {button.key for button in page.button}


def test_what_a_setting_can_move_is_shown_where_it_was_probed(page: AppTest, studies: Path) -> None:
    path = studies / "twelve" / "probe.json"
    path.write_text(json.dumps(msgspec.to_builtins(PROBE)))
    try:
        opened(page, "parameters", "twelve")
        assert not page.exception
        tables = [one.value for one in page.dataframe if "says" in one.value.columns]
        assert "mostly finds noise" in tables[0]["says"][1]
        assert "of other patients" in words(page)
        assert "All else is held at train.lr 0.001" in words(page).replace("\\", "")
    finally:
        path.unlink()


def test_importance_of_the_driver_is_shown(page: AppTest, studies: Path) -> None:
    path = studies / "twelve" / "importance.json"
    rows = [{"setting": "train.lr", "fanova": 0.7, "ped_anova": 0.6, "n": 40}]
    path.write_text(json.dumps({"complete": 9, "rows": rows}))
    try:
        opened(page, "parameters", "twelve")
        assert "9 complete trials: too few to say" in words(page).replace("\\", "")
        path.write_text(json.dumps({"complete": 40, "rows": rows}))
        opened(page, "parameters", "twelve")
        assert "Of 40 complete trials; there are 11 now" in words(page)
        path.write_text('{"complete": 9, "fa')  # half-copied
        page.run()
        assert not page.exception
        assert "is damaged" in words(page).replace("\\", "")
    finally:
        path.unlink()
