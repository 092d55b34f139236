"""Which trial is best is decided once: every command, table and page says the same one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmstudy import plots
from mmstudy.analysis.listing import listed
from mmstudy.analysis.overview import overview
from mmstudy.analysis.selection import selection_of
from mmstudy.comparison.comparison import compare
from mmstudy.followup.confirm import summary
from mmstudy.storage.schema import State
from mmstudy.study import Study, best_first
from support.made_study import (
    MMCAF_LABELS,
    MMCAF_SCORES,
    add_confirmation,
    add_trial,
    made_study,
)

Command = Callable[..., tuple[int, str, str]]
WORSE = np.where(MMCAF_LABELS == 1, 0.4, MMCAF_SCORES)
IN_THE_SEARCH, CONFIRMED = 1, 0  # the best trial before and after it was confirmed


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Trial 1 is the best of the search; 0 and 2 are alike."""
    return made_study(tmp_path, scores=[WORSE, MMCAF_SCORES, WORSE], name="s")


def confirmed(study: Study) -> Study:
    """Trials 0 and 1 are confirmed, the worse one with the better value."""
    add_confirmation(study, 0, 0.72)
    add_confirmation(study, 1, 0.65)
    return study


def test_of_two_with_one_confirmed_value_the_better_of_the_search_comes_first(
    study: Study,
) -> None:
    for number in (0, 1):
        add_confirmation(study, number, 0.7)
    shown = summary(study)
    assert [row["number"] for row in shown] == [1, 0]
    assert [*study.confirmed()] == study.trials()["number"].head(2).to_list() == [1, 0]
    assert [row.split()[1] for row in plots.confirmed(study).rows] == ["1", "0"]


def told(study: Study, command: Command, tmp_path: Path) -> dict[str, int]:
    """Who says it -> the trial it says."""
    root = ["--root", str(tmp_path)]

    def rows(*words: str) -> list[dict[str, Any]]:
        code, out, _ = command(*words, *root, "-f", "json")
        assert code == 0
        found: list[dict[str, Any]] = json.loads(out)
        return found

    out = tmp_path.parent / f"{tmp_path.name}-out"
    assert command("export", "s", *root, "--out", str(out))[0] == 0
    with (out / "trials.csv").open(encoding="utf-8", newline="") as file:
        exported = int(next(csv.DictReader(file))["number"])
    (line,) = [one.standing for one in listed(tmp_path) if one.standing]
    best, now = study.best_trial(), overview(study, study.trials())
    compared = json.loads(command("compare", "s", *root, "-f", "json")[1])
    assert best is not None
    return {
        "ls": rows("ls")[0]["trial"],
        "status": rows("status", "s")[0]["trial"],
        "trials": rows("trials", "s")[0]["number"],
        "best": rows("best", "s")[0]["number"],
        "compare": compared["trial"],
        "export": exported,
        "a list": line.trial or 0,
        "overview": now.best or 0,
        "selection": selection_of(study).trial,
        "comparison": compare(study, expected=False).trial,
        "Study.best": study.best()["number"][0],
        "Study.best_trial": best["number"],
        "Study.trials": study.trials()["number"][0],
    }


def test_all_agree_before_and_after_trials_are_confirmed(
    study: Study, command: Command, tmp_path: Path
) -> None:
    assert set(told(study, command, tmp_path).values()) == {IN_THE_SEARCH}
    assert set(told(confirmed(study), command, tmp_path).values()) == {CONFIRMED}


def test_the_confirmed_value_is_shown_as_what_it_is(
    study: Study, command: Command, tmp_path: Path
) -> None:
    before = overview(study, study.trials())
    assert before.shown == ("Best AUROC of the search", before.best_value)
    now = overview(confirmed(study), study.trials())
    assert now.shown == ("Best AUROC, confirmed", pytest.approx(0.72))
    assert now.best_value == study.trial(0)["value"]
    _, out, _ = command("ls", "--root", str(tmp_path), "-f", "json")
    assert json.loads(out)[0]["confirmed"] == pytest.approx(0.72)


def test_a_history_says_that_its_line_is_the_search_s(study: Study) -> None:
    names = [layer.name for layer in plots.history(confirmed(study)).layers]
    assert names == ["trial", "best of the search so far"]


def test_confirming_takes_those_that_are_highest_in_the_search(study: Study) -> None:
    assert study.highest(2) == [1, 0]
    assert confirmed(study).highest(2) == [1, 0]  # the same call goes on
    assert study.trials()["number"].to_list() == [0, 1, 2]


def test_only_complete_trials_are_in_the_order(study: Study) -> None:
    add_trial(study, 3, State.PRUNED)
    add_confirmation(study, 3, 0.99)
    assert best_first(study.trials())["number"].to_list() == [1, 0, 2]
    assert study.trials()["number"].to_list() == [1, 0, 2, 3]


def test_equals_stand_by_number_and_those_without_a_value_last() -> None:
    table = pl.DataFrame(
        {
            "number": [4, 2, 7, 5],
            "state": "complete",
            "value": [0.6, 0.6, None, 0.9],
            "confirmed": [0.5, 0.5, None, None],
        }
    )
    assert best_first(table)["number"].to_list() == [2, 4, 5, 7]
    assert best_first(table.drop("confirmed"))["number"].to_list() == [5, 2, 4, 7]
